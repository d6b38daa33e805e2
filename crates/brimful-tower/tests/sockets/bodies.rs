//! Responses whose bodies take long hold their permits.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use brimful::ConcurrencyLimit;
use brimful_tower::RateLimitLayer;
use brimful_tower::key::Everyone;
use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::sync::mpsc::{Receiver, Sender, UnboundedSender, channel, unbounded_channel};

use super::client::{Client, VERSIONS, Version};
use super::server::{Server, soon, until};

/// A body of the parts that the test sends.
struct Parts(Receiver<Bytes>);

impl http_body::Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|part| part.map(|part| Ok(Frame::data(part))))
    }
}

/// Passes the other end of the body to the test.
async fn slow(State(tell): State<UnboundedSender<Sender<Bytes>>>) -> Body {
    let (parts, body) = channel(1);
    tell.send(parts).expect("the test runs");
    Body::new(Parts(body))
}

async fn is_refused(version: Version, server: &Server) {
    let status = Client::connect(version, server.address).await.status(HeaderMap::new()).await;
    assert_eq!(status, 503, "{version:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies_hold_their_permits() {
    for version in VERSIONS {
        let limit = Arc::new(ConcurrencyLimit::new(2));
        let (tell, mut bodies) = unbounded_channel();
        let layer = RateLimitLayer::new(limit.clone(), Everyone);
        let server = Server::start(Router::new().route("/", get(slow)).layer(layer).with_state(tell)).await;
        let mut responses = Vec::new();
        for _ in 0..2 {
            let mut client = Client::connect(version, server.address).await;
            let response = soon(client.get(HeaderMap::new())).await.expect("a response");
            assert_eq!(response.status(), 200);
            responses.push((client, response.into_body(), bodies.recv().await.expect("a body")));
        }
        is_refused(version, &server).await;

        // A part of a body is not its end.
        let (_client, mut body, parts) = responses.remove(0);
        parts.send(Bytes::from_static(b"part")).await.expect("an open body");
        assert_eq!(soon(body.frame()).await.unwrap().unwrap().into_data().unwrap(), "part");
        is_refused(version, &server).await;
        assert_eq!(limit.in_flight(), 2);
        drop(parts);
        assert!(soon(body.collect()).await.expect("its end").to_bytes().is_empty());
        until("the permit is given back", || limit.in_flight() == 1).await;

        // A client that goes away gives its permit back, although the body has not ended.
        let (client, _body, _parts) = responses.remove(0);
        drop((client, _body));
        until("the permit is given back", || limit.in_flight() == 0).await;
        let mut client = Client::connect(version, server.address).await;
        assert_eq!(soon(client.get(HeaderMap::new())).await.expect("a response").status(), 200);
    }
}

/// A client that reads slowly holds its permit, although the whole body is there.
#[tokio::test(flavor = "multi_thread")]
async fn slow_readers_hold_their_permits() {
    const PARTS: usize = 64;
    for version in VERSIONS {
        let limit = Arc::new(ConcurrencyLimit::new(1));
        let (tell, mut bodies) = unbounded_channel::<Sender<Bytes>>();
        let layer = RateLimitLayer::new(limit.clone(), Everyone);
        let server = Server::start(Router::new().route("/", get(slow)).layer(layer).with_state(tell)).await;
        // More than the sockets hold.
        let part = Bytes::from(vec![b'.'; 1 << 20]);
        let sent = tokio::spawn(async move {
            let parts = bodies.recv().await.expect("a body");
            for _ in 0..PARTS {
                parts.send(part.clone()).await.expect("an open body");
            }
        });
        let mut client = Client::connect(version, server.address).await;
        let response = soon(client.get(HeaderMap::new())).await.expect("a response");
        is_refused(version, &server).await;
        let body = soon(response.into_body().collect()).await.expect("a body").to_bytes();
        assert_eq!(body.len(), PARTS << 20);
        soon(sent).await.expect("no panic");
        until("the permit is given back", || limit.in_flight() == 0).await;
    }
}

/// Neither does a client that does not read free its permit early, if the body is one frame.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_one_frame_holds_its_permit() {
    for version in VERSIONS {
        let limit = Arc::new(ConcurrencyLimit::new(1));
        let layer = RateLimitLayer::new(limit.clone(), Everyone);
        // More than the sockets hold.
        let frame = Bytes::from(vec![b'.'; 64 << 20]);
        let page = frame.clone();
        let server = Server::start(Router::new().route("/", get(async move || page)).layer(layer)).await;
        let mut client = Client::connect(version, server.address).await;
        let response = soon(client.get(HeaderMap::new())).await.expect("a response");
        assert_eq!(response.headers()["content-length"], "67108864");
        is_refused(version, &server).await;
        let body = soon(response.into_body().collect()).await.expect("a body").to_bytes();
        assert!(body == frame);
        until("the permit is given back", || limit.in_flight() == 0).await;
    }
}

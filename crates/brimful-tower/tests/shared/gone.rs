//! Clients that go away.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;

use brimful_redis::{FailurePolicy, RedisRateLimiter, RedisStore};
use brimful_tower::RateLimitLayer;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use tower::{Layer, Service, ServiceExt};

use crate::proxy::{Mode, Proxy};
use crate::server::server;
use crate::support::{by_path, call, left, patient, request, serve, until_left};

/// The request to the store is on its way, and is executed: the cost stays charged.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_during_the_decision_pays() {
    let server = server!();
    let proxy = Proxy::to(server.port()).await;
    let builder = RedisRateLimiter::<str>::builder("10/day".parse::<brimful::Quota>().unwrap());
    let builder = builder.on_failure(FailurePolicy::Deny).deadline(Duration::from_secs(20));
    let shared = Arc::new(builder.build(RedisStore::connect(&proxy.url()).await.unwrap()).unwrap());
    let service = RateLimitLayer::new(shared, by_path()).layer(serve());
    assert_eq!(call(&service, request("/a")).await.status(), 200);
    let direct = patient(&server, "10/day").await;
    assert_eq!(left(&direct, "/a").await, 9);
    // The reply takes half a second.
    proxy.set(Mode::Slow);
    for gone in 1..=3 {
        let deciding = tokio::spawn(service.clone().oneshot(request("/a")));
        until_left(&direct, "/a", 9 - gone).await;
        deciding.abort();
        assert!(deciding.await.unwrap_err().is_cancelled(), "it was not decided yet");
    }
    proxy.set(Mode::Pass);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(left(&direct, "/a").await, 6);
}

/// A request that sleeps until its tokens are there has none.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_during_its_wait_pays_nothing() {
    let server = server!();
    let shared = patient(&server, "2/day").await;
    let layer = RateLimitLayer::builder(shared.clone(), by_path()).wait_up_to(Duration::from_secs(100_000));
    let service = layer.build().layer(serve());
    assert_eq!(call(&service, request("/a")).await.status(), 200);
    assert_eq!(call(&service, request("/a")).await.status(), 200);
    let before = shared.stats().requests;
    let waiting = tokio::spawn(service.clone().oneshot(request("/a")));
    crate::http_server::until("it was asked for", || shared.stats().denied == 1).await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    shared.add_tokens("/a", 1).await.unwrap();
    assert_eq!(left(&shared, "/a").await, 1);
    assert_eq!(shared.stats().requests, before + 3);
}

/// A service that is ready until it is closed.
#[derive(Clone, Default)]
struct Door(Arc<AtomicBool>);

impl Service<Request<()>> for Door {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Empty<Bytes>>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.0.load(SeqCst) { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(Empty::new())))
    }
}

/// The tokens of an admitted request that the service does not get are given back.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_before_the_service_is_ready_pays_nothing() {
    let server = server!();
    let shared = patient(&server, "5/day").await;
    let door = Door::default();
    let mut service = RateLimitLayer::new(shared.clone(), by_path()).layer(door.clone());
    service.ready().await.unwrap();
    let response = service.call(request("/a"));
    door.0.store(true, SeqCst);
    let response = tokio::spawn(response);
    crate::http_server::until("it was admitted", || shared.stats().admitted == 1).await;
    assert_eq!(left(&shared, "/a").await, 4);
    response.abort();
    assert!(response.await.unwrap_err().is_cancelled());
    until_left(&shared, "/a", 5).await;
}

//! The requests: from a thousand addresses in turn, as axum passes them to a layer.

use std::convert::Infallible;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use axum::extract::ConnectInfo;
use http::header::{HOST, HeaderValue};
use http::{Request, Response, StatusCode};
use tower::Service;

/// The clients.
pub(super) const CLIENTS: u32 = 1_000;

/// The requests that are made before some are timed. Their memory fits into the nearest caches.
const BATCH: u64 = 64;

/// Returns a request of the client of this number. It has the header that every request of HTTP/1.1 has.
pub(super) fn request<B: Default>(client: u32) -> Request<B> {
    let mut request = Request::new(B::default());
    let address = Ipv4Addr::from_bits(0x0a00_0000 + client % CLIENTS);
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from((address, 4711))));
    request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
    request
}

/// Returns the status of a response that is there at once.
#[inline]
pub(super) fn status<S, B, R>(service: &mut S, request: Request<B>) -> StatusCode
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
{
    let mut context = Context::from_waker(Waker::noop());
    // Services are asked before each call.
    let Poll::Ready(Ok(())) = service.poll_ready(&mut context) else { panic!("the service is not ready") };
    match pin!(service.call(request)).poll(&mut context) {
        Poll::Ready(Ok(response)) => black_box(response).status(),
        Poll::Pending => panic!("the request waits"),
    }
}

/// Returns the nanoseconds for this many responses, all of which must have the status. The time includes the drop of the
/// response, and not the making of the request.
pub(super) fn nanos<S, B, R>(service: &mut S, operations: u64, expected: StatusCode) -> f64
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    B: Default,
{
    let (mut requests, mut client, mut nanos) = (Vec::with_capacity(BATCH as usize), 0, 0);
    for _ in 0..operations.div_ceil(BATCH) {
        requests.extend((0..BATCH).map(|_| {
            client += 1;
            request(client)
        }));
        let begun = Instant::now();
        for request in requests.drain(..) {
            let status = status(service, request);
            assert_eq!(status, expected);
        }
        nanos += begun.elapsed().as_nanos();
    }
    nanos as f64 * operations as f64 / (operations.div_ceil(BATCH) * BATCH) as f64
}

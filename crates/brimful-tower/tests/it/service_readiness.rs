//! Services that reserve something in `poll_ready`.

use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use brimful::{KeyedRateLimiter, MockClock};
use brimful_tower::key::HeaderKey;
use brimful_tower::{RateLimit, RateLimitLayer};
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Empty;
use tower::buffer::Buffer;
use tower::limit::ConcurrencyLimit;
use tower::util::ServiceFn;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{by_api_key, keyed, poll, request};

type Keyed = KeyedRateLimiter<HeaderValue, MockClock>;
type Answer = Ready<Result<Response<Empty<Bytes>>, Infallible>>;
type Limited = RateLimit<ConcurrencyLimit<ServiceFn<fn(Request<()>) -> Answer>>, HeaderKey, Keyed>;

/// Returns a service that has one slot, behind a limit by which its requests wait.
fn limited(limiter: &Arc<Keyed>) -> Limited {
    let layer = RateLimitLayer::builder(limiter.clone(), by_api_key()).wait_up_to(Duration::from_secs(5)).build();
    layer.layer(ConcurrencyLimit::new(service_fn(|_| ready(Ok(Response::new(Empty::new())))), 1))
}

/// The slot that a request has reserved is that of this request, also if it waits.
#[test]
fn a_request_that_waits_uses_the_slot_of_its_own() {
    let limiter = keyed("1/s burst 1");
    let mut service = limited(&limiter);
    for nth in 0..4 {
        let mut call = Box::pin(async { service.ready().await.unwrap().call(request("a")).await.unwrap().status() });
        if nth > 0 {
            assert_eq!(poll(call.as_mut()), Poll::Pending, "{nth}");
            limiter.clock().advance(Duration::from_secs(1));
        }
        assert_eq!(poll(call.as_mut()), Poll::Ready(http::StatusCode::OK), "{nth}");
    }
}

/// While it waits, it keeps the slot, so that no other request is served; if its client goes away, the slot is free.
#[test]
fn a_request_that_waits_keeps_its_slot() {
    let limiter = keyed("1/s burst 1");
    let mut service = limited(&limiter);
    let mut other = service.clone();
    let mut start = async |key| service.ready().await.unwrap().call(request(key));
    let Poll::Ready(first) = poll(pin!(start("a"))) else { panic!("the slot is free") };
    assert!(poll(pin!(first)).is_ready());
    let Poll::Ready(second) = poll(pin!(start("a"))) else { panic!("the slot is free") };
    let mut second = Box::pin(second);
    assert!(poll(second.as_mut()).is_pending());
    assert!(poll(pin!(poll_fn(|context| other.poll_ready(context)))).is_pending());
    drop(second);
    assert!(poll(pin!(poll_fn(|context| other.poll_ready(context)))).is_ready());
}

/// The worker of a buffer makes the calls, in their order.
#[test]
fn requests_through_a_buffer_have_their_turn() {
    let limiter = keyed("1/s burst 1");
    let (buffer, worker) = Buffer::pair(limited(&limiter), 8);
    let mut worker = Box::pin(worker);
    let mut calls: Vec<_> = (0..4).map(|_| Box::pin(buffer.clone().oneshot(request("a")))).collect();
    for served in 1..=4 {
        for _ in 0..2 {
            calls.retain_mut(|call| poll(call.as_mut()).is_pending());
            assert!(poll(worker.as_mut()).is_pending());
        }
        assert_eq!(calls.len(), 4 - served);
        limiter.clock().advance(Duration::from_secs(1));
    }
}

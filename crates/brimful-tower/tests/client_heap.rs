//! The memory that a call of a client takes from the allocator. A separate binary, because the counter replaces the
//! allocator of the whole binary.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use brimful::{KeyedRateLimiter, MockClock, Quota};
use brimful_tower::client::{ByHost, ThrottleLayer};
use http::{Request, Response};
use tower::{Layer, Service, service_fn};

fn answer(_: Request<()>) -> Ready<Result<Response<()>, Infallible>> {
    ready(Ok(Response::new(())))
}

#[test]
fn a_call_that_does_not_wait_allocates_nothing() {
    let limiter = Arc::new(KeyedRateLimiter::with_clock(Quota::per_hour(9), MockClock::new()));
    let mut service = ThrottleLayer::new(limiter, ByHost).layer(service_fn(answer));
    let request = || Request::get("https://example.com:8080/a").body(()).expect("a request");
    let mut call = |request| {
        let response = pin!(service.call(request)).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(response, Poll::Ready(Ok(_))));
    };
    // The first call of a host may make the table grow.
    call(request());
    let second = request();
    let heap = measure(|| call(second));
    assert_eq!((heap.count_total, heap.bytes_total), (0, 0));
}

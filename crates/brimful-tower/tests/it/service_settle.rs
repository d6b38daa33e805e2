//! Costs that are known by the response.

use std::convert::Infallible;
use std::future::{Pending, Ready, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use brimful::{Clock, KeyedCompositeLimiter, KeyedRateLimiter, MockClock, Tokens};
use brimful_tower::{BodyEnd, RateLimitLayer, RateLimitLayerBuilder, ResponseHead, Settlement};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::Empty;
use tower::{Layer, Service, service_fn};

use crate::support::{Frames, answers, body, by_api_key, call, keyed, poll, request, status, take};

type Keyed = KeyedRateLimiter<HeaderValue, MockClock>;

fn builder(limiter: &Arc<Keyed>) -> RateLimitLayerBuilder<brimful_tower::key::HeaderKey, Keyed> {
    RateLimitLayer::builder(limiter.clone(), by_api_key())
}

fn left(limiter: &Keyed) -> f64 {
    limiter.key(&HeaderValue::from_static("a")).balance()
}

/// Answers 401 to a request of the method `POST`, and 200 to others.
fn login(failed: bool) -> Request<()> {
    let mut login = request("a");
    *login.method_mut() = if failed { http::Method::POST } else { http::Method::GET };
    login
}

fn logins() -> impl Service<Request<()>, Response = Response<Empty<Bytes>>, Error = Infallible> + Clone {
    answers(|request| {
        let mut response = Response::new(Empty::new());
        if request.method() == http::Method::POST {
            *response.status_mut() = StatusCode::UNAUTHORIZED;
        }
        response
    })
}

fn only_failures(response: &ResponseHead<'_>) -> Settlement {
    Settlement::now(u32::from(response.status == StatusCode::UNAUTHORIZED))
}

#[test]
fn only_failed_logins_count() {
    let limiter = keyed("3/h");
    for later in [false, true] {
        limiter.key(&HeaderValue::from_static("a")).reset();
        let mut layer = builder(&limiter).settle(only_failures);
        if later {
            layer = layer.charge_later();
        }
        let service = layer.build().layer(logins());
        assert!((0..10).all(|_| status(&service, login(false)) == 200));
        assert_eq!(left(&limiter), 3.0);
        let failures: Vec<_> = (0..4).map(|_| status(&service, login(true))).collect();
        assert_eq!(failures, [401, 401, 401, 429]);
        assert_eq!((status(&service, login(false)), left(&limiter)), (429, 0.0), "the bucket is used up for all");
        limiter.clock().advance(Duration::from_secs(1_200));
        assert_eq!((status(&service, login(false)), left(&limiter)), (200, 1.0));
    }
}

/// The bounds of the two forms, with logins in flight at once.
#[test]
fn logins_at_the_same_time() {
    let pending_logins = service_fn(|_: Request<()>| pending::<Result<Response<Empty<Bytes>>, Infallible>>());
    for (later, admitted, left_after) in [(false, 3, 0.0), (true, 8, -3.0)] {
        let limiter = keyed("3/h");
        let mut layer = builder(&limiter).settle(only_failures);
        if later {
            layer = layer.charge_later();
        }
        let mut service = layer.build().layer(pending_logins);
        let mut calls: Vec<_> = (0..8).map(|_| Box::pin(service.call(login(true)))).collect();
        let waiting = calls.iter_mut().filter_map(|call| poll(call.as_mut()).is_pending().then_some(())).count();
        assert_eq!(waiting, admitted, "{later}");
        // The clients go away before they are answered. Each guess is charged, down to the limit of debt.
        drop(calls);
        assert_eq!(left(&limiter), left_after);
    }
}

#[test]
fn a_failure_of_the_server_is_given_back() {
    let limiter = keyed("10/h");
    let service = builder(&limiter)
        .cost(|_| Tokens::new(4))
        .settle(|response| if response.status.is_server_error() { Tokens::ZERO } else { response.cost }.into())
        .build();
    let answer = |status: u16| {
        let service = service.layer(answers(move |_| {
            let mut response = Response::new(Empty::<Bytes>::new());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response
        }));
        (call(&service, request("a")).status().as_u16(), left(&limiter))
    };
    assert_eq!([answer(500), answer(200), answer(503)], [(500, 10.0), (200, 6.0), (503, 6.0)]);
}

/// An error of the service has no response: it costs its cost. So does a panic.
#[test]
fn an_error_of_the_service_costs_its_cost() {
    let limiter = keyed("10/h");
    let free = builder(&limiter).settle(|_| Settlement::now(0)).build();
    let mut fails = free.layer(service_fn(|_: Request<()>| ready(Err::<Response<Empty<Bytes>>, _>("it failed"))));
    assert!(matches!(poll(Box::pin(fails.call(request("a"))).as_mut()), Poll::Ready(Err("it failed"))));
    assert_eq!(left(&limiter), 9.0);
    let mut panics =
        free.layer(service_fn(|_: Request<()>| -> Ready<Result<Response<Empty<Bytes>>, Infallible>> { panic!("it") }));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(panics.call(request("a"))))).is_err());
    assert_eq!(left(&limiter), 8.0);
}

fn bytes(end: &BodyEnd<'_>) -> Tokens {
    Tokens::new(u32::try_from(end.bytes).unwrap())
}

/// Servers ask this of bodies.
fn goes_to_any_thread<B: Send + Sync + 'static>(_: &Response<B>) {}

#[test]
fn a_body_is_charged_when_it_ends() {
    let limiter = keyed("10/s");
    let layer = builder(&limiter).settle(|_| Settlement::at_end(bytes)).build();
    let service = layer.layer(answers(|_| Response::new(Frames::new(["ab", "cde"]))));
    let response = call(&service, request("a"));
    goes_to_any_thread(&response);
    assert_eq!(left(&limiter), 9.0, "until its end it costs its cost");
    take(response.into_body(), 3);
    assert_eq!(left(&limiter), 5.0);
    // 15 bytes, of which 10 are above what is there.
    let service = layer.layer(answers(|_| Response::new(Frames::new(["0123456789abcde"]))));
    take(call(&service, request("a")).into_body(), 2);
    assert_eq!(left(&limiter), -10.0);
    let refused = call(&service, request("a"));
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].as_bytes()), (429, &b"2"[..]));
}

/// A client that goes away is charged for the part that it took.
#[test]
fn a_body_that_is_dropped_is_charged_as_far_as_it_was_taken() {
    let trailers = || {
        let mut trailers = HeaderMap::new();
        trailers.insert("tokens", HeaderValue::from_static("7"));
        Ok(Frame::trailers(trailers))
    };
    for (frames, body, expected) in [
        (0, Frames::new(["ab", "cde"]), 0),
        (1, Frames::new(["ab", "cde"]), 2),
        (2, Frames::new(["ab", "cde"]), 5),
        // A server does not ask for the end of a body whose size it knows.
        (2, Frames::new(["ab", "cde"]).sized(5), 10_005),
        (1, Frames::new(["ab", "cde"]).sized(5), 2),
        (3, Frames::new(["ab", "cde"]), 10_005),
        (2, Frames::new(["ab"]).then(Err("it failed")), 2),
        (2, Frames::new(["ab"]).then(trailers()), 10_702),
        (1, Frames::new(["ab"]).then(trailers()), 2),
    ] {
        let limiter = keyed("100000/h");
        let layer = builder(&limiter).settle(|_| {
            Settlement::at_end(|end| {
                let tokens = end.trailers.map_or(0, |trailers| trailers["tokens"].to_str().unwrap().parse().unwrap());
                Tokens::new(u32::try_from(end.bytes).unwrap() + 100 * tokens + u32::from(end.is_complete) * 10_000)
            })
        });
        let body = std::cell::RefCell::new(Some(body));
        let service = layer.build().layer(answers(|_| Response::new(body.borrow_mut().take().unwrap())));
        take(call(&service, request("a")).into_body(), frames);
        assert_eq!(100_000.0 - left(&limiter), f64::from(expected), "{frames} frames");
    }
}

/// A server of HTTP/1 does not ask for the end of a body whose size it knows by the header, either.
#[test]
fn a_body_is_complete_by_its_content_length() {
    for (lengths, frames, expected) in [
        (vec!["5"], 2, true),
        (vec!["5"], 1, false),
        (vec!["6"], 2, false),
        (vec!["+5"], 2, false),
        (vec!["5", "6"], 2, false),
        (vec![], 2, false),
    ] {
        let limiter = keyed("10/h");
        let layer = builder(&limiter).settle(|_| Settlement::at_end(|end| u32::from(end.is_complete).into()));
        let service = layer.build().layer(answers(|_| {
            let mut response = Response::new(Frames::new(["ab", "cde"]));
            for length in &lengths {
                response.headers_mut().append("content-length", HeaderValue::from_static(length));
            }
            response
        }));
        take(call(&service, request("a")).into_body(), frames);
        assert_eq!(10.0 - left(&limiter), f64::from(u8::from(expected)), "{lengths:?}, {frames} frames");
    }
}

/// No server asks an empty body for its end.
#[test]
fn a_body_that_is_empty_ends_at_once() {
    let limiter = keyed("10/h");
    let layer = builder(&limiter).settle(|_| Settlement::at_end(|end| Tokens::new(2 + u32::from(end.is_complete))));
    let service = layer.build().layer(answers(|_| Response::new(Empty::<Bytes>::new())));
    let response = call(&service, request("a"));
    assert_eq!(left(&limiter), 7.0);
    assert!(body(response).is_empty());
    assert_eq!(left(&limiter), 7.0, "once");
}

#[test]
fn a_settlement_that_panics_costs_the_cost() {
    let limiter = keyed("10/h");
    let at_end = builder(&limiter).settle(|_| Settlement::at_end(|_| panic!("of the settlement"))).build();
    let service = at_end.layer(answers(|_| Response::new(Frames::new(["ab"]))));
    drop(call(&service, request("a")));
    assert_eq!(left(&limiter), 9.0);
    assert!(catch_unwind(AssertUnwindSafe(|| take(call(&service, request("a")).into_body(), 2))).is_err());
    assert_eq!(left(&limiter), 8.0);
    let at_once = builder(&limiter).settle(|_| panic!("of the settlement")).build().layer(logins());
    assert!(catch_unwind(AssertUnwindSafe(|| call(&at_once, request("a")).status())).is_err());
    assert_eq!(left(&limiter), 7.0);
}

/// All quotas are settled.
#[test]
fn several_quotas_are_settled_together() {
    let quotas = "second: 10/s; hour: 20/h".parse().unwrap();
    let limiter = KeyedCompositeLimiter::builder().quotas(quotas).clock(MockClock::new()).build().unwrap();
    let limiter = Arc::new(limiter);
    let layer = RateLimitLayer::builder(limiter.clone(), by_api_key()).settle(|_| Settlement::now(6)).charge_later();
    let service = layer.build().layer(logins());
    let numbers = || {
        let decision = limiter.decide(&HeaderValue::from_static("a"), 0);
        decision.limits().map(|(_, decision)| decision.remaining()).collect::<Vec<_>>()
    };
    assert_eq!((status(&service, request("a")), numbers()), (200, vec![4, 14]));
    limiter.clock().advance(Duration::from_secs(1));
    assert_eq!((status(&service, request("a")), numbers()), (200, vec![4, 8]));
}

mod waits {
    use super::*;

    /// A service that is never ready.
    #[derive(Clone)]
    struct NotReady;

    impl Service<Request<()>> for NotReady {
        type Response = Response<Empty<Bytes>>;
        type Error = Infallible;
        type Future = Pending<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Pending
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            panic!("it is not ready")
        }
    }

    /// A client that goes away while it waits costs nothing, also if its tokens were granted.
    #[test]
    fn a_request_that_the_service_does_not_get_costs_nothing() {
        let limiter = keyed("1/s");
        let layer = builder(&limiter).wait_up_to(Duration::from_secs(5)).build();
        assert!(limiter.allow(&HeaderValue::from_static("a")));
        let mut service = layer.layer(NotReady);
        let mut waiting = Box::pin(service.call(request("a")));
        assert!(poll(waiting.as_mut()).is_pending());
        limiter.clock().advance(Duration::from_secs(1));
        assert!(poll(waiting.as_mut()).is_pending(), "its tokens are granted, and the service is not ready");
        assert_eq!(left(&limiter), 0.0);
        drop(waiting);
        assert_eq!(left(&limiter), 1.0);
        assert_eq!(limiter.clock().now(), 1_000_000_000);
    }

    #[test]
    fn a_request_that_has_waited_is_settled() {
        let limiter = keyed("1/s");
        let layer = builder(&limiter).wait_up_to(Duration::from_secs(5)).settle(only_failures).build();
        assert!(limiter.allow(&HeaderValue::from_static("a")));
        let mut service = layer.layer(logins());
        for (failed, after) in [(false, 1.0), (true, 0.0)] {
            let mut waiting = Box::pin(service.call(login(failed)));
            if !failed {
                assert!(poll(waiting.as_mut()).is_pending());
                limiter.clock().advance(Duration::from_secs(1));
            }
            assert!(poll(waiting.as_mut()).is_ready());
            assert_eq!(left(&limiter), after);
        }
    }
}

/// Of two layers, the outer one gives the token of a request back that the inner one refuses.
#[test]
fn a_refusal_inside_can_cost_nothing() {
    let outer: Arc<KeyedRateLimiter<HeaderValue, MockClock>> = keyed("10/h");
    let layer = RateLimitLayer::builder(outer.clone(), by_api_key())
        .settle(|response| Settlement::now(u32::from(response.status != StatusCode::TOO_MANY_REQUESTS)))
        .build();
    let inner = RateLimitLayer::new(keyed("1/h"), by_api_key());
    let service = layer.layer(inner.layer(answers(|_| Response::new(Empty::<Bytes>::new()))));
    assert_eq!([0; 5].map(|_| status(&service, request("a"))), [200, 429, 429, 429, 429]);
    assert_eq!(outer.key(&HeaderValue::from_static("a")).available_tokens(), 9.0);
}

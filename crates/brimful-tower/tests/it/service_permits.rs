//! Limits of the requests in flight: permits are held until the response ends.

use std::convert::Infallible;
use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use brimful::{ConcurrencyLimit, KeyedConcurrencyLimit, MockClock, RateLimiter};
use brimful_tower::key::Everyone;
use brimful_tower::{RateLimitLayer, Settlement};
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{Empty, Full};
use tower::{Layer, Service, service_fn};

use crate::support::{Frames, answers, body, by_api_key, call, poll, request, status, take};

fn limit(permits: usize) -> Arc<ConcurrencyLimit<MockClock>> {
    Arc::new(ConcurrencyLimit::with_clock(permits, MockClock::new()))
}

fn frames(_: &Request<()>) -> Response<Frames> {
    Response::new(Frames::new(["ab", "cd"]))
}

#[test]
fn a_permit_is_held_until_the_body_ends() {
    let limit = limit(2);
    let service = RateLimitLayer::new(limit.clone(), Everyone).layer(answers(frames));
    let (first, second) = (call(&service, request("a")), call(&service, request("b")));
    let refused = call(&service, request("c"));
    assert_eq!((refused.status().as_u16(), refused.headers().get("retry-after"), limit.in_flight()), (503, None, 2));
    take(first.into_body(), 3);
    assert_eq!(limit.in_flight(), 1, "it has ended");
    let mut third = Box::pin(call(&service, request("c")).into_body());
    assert_eq!((status(&service, request("d")), limit.in_flight()), (503, 2));
    drop(second);
    assert_eq!(limit.in_flight(), 1, "it was dropped");
    let mut frame = || {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(Body::poll_frame(third.as_mut(), &mut context).is_ready());
        limit.in_flight()
    };
    assert_eq!([frame(), frame(), frame(), frame()], [1, 1, 0, 0], "the body is kept, and has ended");
}

/// A response without a body, a body that fails, trailers, and a body that says that its frame is the last one.
#[test]
fn bodies_of_all_kinds_give_their_permit_back() {
    let limit = limit(1);
    let layer = RateLimitLayer::new(limit.clone(), Everyone);
    let empty = layer.layer(answers(|_| Response::new(Empty::<Bytes>::new())));
    let response = call(&empty, request("a"));
    assert_eq!(limit.in_flight(), 0);
    drop(response);
    let full = layer.layer(answers(|_| Response::new(Full::<Bytes>::from("text"))));
    let mut response = Box::pin(call(&full, request("a")).into_body());
    assert_eq!(limit.in_flight(), 1);
    assert_eq!(response.size_hint().exact(), Some(4));
    take(response.as_mut(), 1);
    assert_eq!((limit.in_flight(), response.is_end_stream()), (1, false), "the server has not written the frame yet");
    take(response.as_mut(), 1);
    assert_eq!((limit.in_flight(), response.is_end_stream()), (0, true));
    for last in [Err("it failed"), Ok(Frame::trailers(http::HeaderMap::new()))] {
        let fails = last.is_err();
        let body = std::cell::RefCell::new(Some(Frames::new(["ab"]).then(last)));
        let service = layer.layer(answers(|_| Response::new(body.borrow_mut().take().unwrap())));
        let mut response = Box::pin(call(&service, request("a")).into_body());
        take(response.as_mut(), 1);
        assert_eq!(limit.in_flight(), 1);
        take(response.as_mut(), 1);
        assert_eq!(limit.in_flight(), usize::from(!fails), "the server has not written the trailers yet");
        take(response.as_mut(), 1);
        assert_eq!(limit.in_flight(), 0);
    }
}

/// A server of HTTP/2 takes a frame as a whole. So a large frame comes in parts, the last of which is not the end.
#[test]
fn a_large_frame_comes_in_parts() {
    let limit = limit(1);
    let text: Bytes = (0..=255).cycle().take(200_000).collect();
    let service =
        RateLimitLayer::new(limit.clone(), Everyone).layer(answers(|_| Response::new(Full::new(text.clone()))));
    let mut body = Box::pin(call(&service, request("a")).into_body());
    let (mut read, mut parts) = (Vec::new(), Vec::new());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut context) {
        let part = frame.unwrap().into_data().unwrap();
        parts.push(part.len());
        read.extend_from_slice(&part);
        assert_eq!((limit.in_flight(), body.is_end_stream()), (1, false));
        assert_eq!(body.size_hint().exact(), Some(200_000 - read.len() as u64));
    }
    assert_eq!((limit.in_flight(), parts), (0, vec![65_536, 65_536, 65_536, 3_392]));
    assert!(read == text);
}

#[test]
fn a_request_that_ends_without_a_response_gives_its_permit_back() {
    let limit = limit(1);
    let layer = RateLimitLayer::new(limit.clone(), Everyone);
    let mut never = layer.layer(service_fn(|_: Request<()>| pending::<Result<Response<Empty<Bytes>>, Infallible>>()));
    let mut call = Box::pin(never.call(request("a")));
    assert!(poll(call.as_mut()).is_pending());
    assert_eq!(limit.in_flight(), 1);
    drop(call);
    assert_eq!(limit.in_flight(), 0);
    let mut fails = layer.layer(service_fn(|_: Request<()>| ready(Err::<Response<Empty<Bytes>>, _>("it failed"))));
    assert!(matches!(poll(Box::pin(fails.call(request("a"))).as_mut()), Poll::Ready(Err("it failed"))));
    assert_eq!(limit.in_flight(), 0);
    let panics = service_fn(|_: Request<()>| -> std::future::Ready<Result<Response<Empty<Bytes>>, Infallible>> {
        panic!("of the service")
    });
    assert!(catch_unwind(AssertUnwindSafe(|| drop(layer.layer(panics).call(request("a"))))).is_err());
    assert_eq!(limit.in_flight(), 0);
}

#[test]
fn each_key_has_its_permits() {
    let limit = Arc::new(KeyedConcurrencyLimit::<HeaderValue, _>::with_clock(1, MockClock::new()));
    let layer = RateLimitLayer::builder(limit.clone(), by_api_key()).policy("in flight").build();
    let service = layer.layer(answers(frames));
    let first = call(&service, request("a"));
    assert_eq!([status(&service, request("b")), status(&service, request("a"))], [200, 503]);
    let problem: serde_json::Value = serde_json::from_slice(&body_of(&service)).unwrap();
    assert_eq!(problem["violated-policies"], serde_json::json!(["in flight"]));
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity");
    drop(first);
    assert_eq!((status(&service, request("a")), limit.len()), (200, 0));
}

fn body_of<B>(service: &(impl Service<Request<()>, Response = Response<B>, Error = Infallible> + Clone)) -> Bytes
where
    B: Body<Data = Bytes, Error = &'static str>,
{
    use http_body_util::BodyExt;
    body(call(service, request("a")).map(|body| body.map_err(|error| panic!("{error}"))))
}

/// A cost of zero takes no permit, and a settlement changes nothing.
#[test]
fn a_permit_is_one_whatever_the_cost() {
    let limit = limit(1);
    let service = RateLimitLayer::builder(limit.clone(), Everyone)
        .cost(|head| brimful::Tokens::new(head.headers["x-api-key"].len() as u32))
        .settle(|_| Settlement::now(0))
        .charge_later()
        .build()
        .layer(answers(frames));
    let responses = [call(&service, request("")), call(&service, request("a")), call(&service, request("aaaaa"))];
    assert_eq!(responses.each_ref().map(|response| response.status().as_u16()), [200, 200, 503]);
    assert_eq!(limit.in_flight(), 1);
}

#[test]
fn requests_wait_for_a_permit() {
    let limit = limit(1);
    let layer = RateLimitLayer::builder(limit.clone(), Everyone).wait_up_to(Duration::from_secs(5)).build();
    let service = layer.layer(answers(frames));
    let first = call(&service, request("a"));
    let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(service.clone().call(request("a")))).collect();
    assert!(waiting.iter_mut().all(|call| poll(call.as_mut()).is_pending()));
    drop(first);
    assert!(poll(waiting[1].as_mut()).is_pending(), "in order of arrival");
    let Poll::Ready(Ok(response)) = poll(waiting[0].as_mut()) else { panic!("a permit is free") };
    assert_eq!((response.status().as_u16(), limit.in_flight(), limit.waiters()), (200, 1, 2));
    waiting.remove(1);
    assert_eq!(limit.waiters(), 1, "a client that goes away gives up its place");
    limit.clock().advance(Duration::from_secs(5));
    let Poll::Ready(Ok(late)) = poll(waiting[1].as_mut()) else { panic!("its time is over") };
    assert_eq!((late.status().as_u16(), limit.in_flight()), (503, 1));
    drop(response);
    assert_eq!(limit.in_flight(), 0);
}

/// A request that gets no permit costs no tokens.
#[test]
fn a_limit_in_flight_outside_of_a_rate() {
    let (limit, rate) = (limit(1), Arc::new(RateLimiter::with_clock("2/h".parse().unwrap(), MockClock::new())));
    let inner = RateLimitLayer::new(rate.clone(), Everyone).layer(answers(frames));
    let service = RateLimitLayer::new(limit.clone(), Everyone).layer(inner);
    let first = call(&service, request("a"));
    assert_eq!((status(&service, request("a")), rate.available_tokens().floor()), (503, 1.0));
    drop(first);
    assert_eq!([status(&service, request("a")), status(&service, request("a"))], [200, 429]);
    assert_eq!(limit.in_flight(), 0, "an answer holds no permit after its end");
}

//! Answers to requests of gRPC, and answers of headers only.

use std::sync::Arc;
use std::time::Duration;

use brimful::{ConcurrencyLimit, MockClock};
use brimful_tower::key::{ClientAddress, Everyone, KeyFn, MissingKey, RequestHead};
use brimful_tower::{AnswerForm, RateLimitLayer};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Empty;
use tower::Layer;

use crate::support::{Frames, answers, body, by_api_key, call, keyed, request, status};

fn empty(_: &Request<()>) -> Response<Empty<Bytes>> {
    Response::new(Empty::new())
}

fn of_type(content_type: &'static str) -> Request<()> {
    let mut request = request("a");
    *request.method_mut() = Method::POST;
    request.headers_mut().insert("content-type", HeaderValue::from_static(content_type));
    request
}

/// Returns the names and the values of the headers, sorted.
fn sorted<B>(response: &Response<B>) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
    let mut headers: Vec<_> =
        response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    headers.sort();
    headers
}

#[test]
fn a_request_of_grpc_is_answered_by_trailers_only() {
    let limiter = keyed("6/min burst 1");
    let service =
        RateLimitLayer::builder(limiter.clone(), by_api_key()).policy("100% ü\n").build().layer(answers(empty));
    assert_eq!(status(&service, of_type("application/grpc")), 200);
    limiter.clock().advance(Duration::from_nanos(8_499_999_999));
    let refused = call(&service, of_type("application/grpc"));
    assert_eq!(refused.status(), StatusCode::OK);
    assert!(refused.body().is_end_stream(), "the headers are the trailers");
    let expected = [
        ("cache-control", "no-store"),
        ("content-type", "application/grpc"),
        ("grpc-message", "quota exceeded: 100%25 %C3%BC%0A"),
        ("grpc-retry-pushback-ms", "1501"),
        ("grpc-status", "8"),
        ("ratelimit", "\"100% %C3%BC%0A\";r=0;t=2"),
        ("ratelimit-policy", "\"100% %C3%BC%0A\";q=1;w=10"),
        ("retry-after", "2"),
    ];
    assert_eq!(sorted(&refused), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert!(body(refused).is_empty());
    for (content_type, is_grpc) in [
        ("application/grpc+proto", true),
        ("Application/GRPC-Web+proto", true),
        ("application/grpc-web-text", true),
        ("application/grpc-web", true),
        ("application/grpc;charset=utf-8", true),
        ("application/grpcfoo", false),
        ("application/grpc-webfoo", false),
        ("application/grpc-foo", false),
        ("application/grp", false),
        ("application/json", false),
    ] {
        let refused = call(&service, of_type(content_type));
        let (status, answered) = if is_grpc { (200, content_type) } else { (429, "application/problem+json") };
        assert_eq!(
            (refused.status().as_u16(), refused.headers()["content-type"].as_bytes()),
            (status, answered.as_bytes())
        );
    }
}

/// A client that could choose the status 200 would look admitted to caches and monitors.
#[test]
fn only_a_request_that_can_be_of_grpc_is_answered_so() {
    let limiter = keyed("1/h");
    let service = RateLimitLayer::new(limiter.clone(), by_api_key()).layer(answers(empty));
    assert_eq!(status(&service, of_type("application/grpc")), 200);
    for method in [Method::GET, Method::PUT, Method::HEAD] {
        let mut request = of_type("application/grpc");
        *request.method_mut() = method;
        assert_eq!(status(&service, request), 429);
    }
    let headers_only = RateLimitLayer::builder(limiter, by_api_key()).answer(AnswerForm::HeadersOnly).build();
    assert_eq!(status(&headers_only.layer(answers(empty)), of_type("application/grpc")), 429, "the form was chosen");
}

#[test]
fn every_refusal_has_a_status_of_grpc() {
    fn numbers<B>(response: Response<B>) -> (String, Option<String>) {
        let get = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(get("content-type").unwrap(), "application/grpc");
        (get("grpc-status").unwrap(), get("grpc-retry-pushback-ms"))
    }
    let never = RateLimitLayer::builder(keyed("1/h"), by_api_key()).cost(|_| 2.into()).answer(AnswerForm::Grpc);
    let refused = call(&never.build().layer(answers(empty)), request("a"));
    assert_eq!(numbers(refused), ("8".to_owned(), Some("-1".to_owned())));
    // A month is more than clients read.
    let slow = RateLimitLayer::builder(keyed("1/365d"), by_api_key()).answer(AnswerForm::Grpc).build();
    let slow = slow.layer(answers(empty));
    assert_eq!(status(&slow, request("a")), 200);
    assert_eq!(numbers(call(&slow, request("a"))).1, Some("2147483647".to_owned()));
    let limit = Arc::new(ConcurrencyLimit::with_clock(1, MockClock::new()));
    let layer = RateLimitLayer::builder(limit, Everyone).answer(AnswerForm::Grpc).policy("streams").build();
    let service = layer.layer(answers(|_| Response::new(Frames::new(["ab"]))));
    let held = call(&service, request("a"));
    let refused = call(&service, request("a"));
    assert_eq!(refused.headers()["grpc-message"], "no capacity: streams");
    assert_eq!(numbers(refused), ("14".to_owned(), None));
    drop(held);
    let peer = RateLimitLayer::builder(keyed("1/h"), ClientAddress::new()).answer(AnswerForm::Grpc).build();
    let missing = call(&peer.layer(answers(empty)), request("a"));
    assert_eq!(missing.headers()["grpc-message"], "the server cannot tell whose request this is");
    assert_eq!(numbers(missing), ("13".to_owned(), None));
    for (status, expected) in [(400, "3"), (401, "16"), (403, "7"), (418, "13")] {
        let key = KeyFn(move |_: &RequestHead<'_>| {
            Err::<(), _>(MissingKey::new(StatusCode::from_u16(status).unwrap(), "no key"))
        });
        let layer = RateLimitLayer::builder(keyed("1/h"), key).answer(AnswerForm::Grpc).build();
        assert_eq!(numbers(call(&layer.layer(answers(empty)), request("a"))).0, expected, "{status}");
    }
}

#[test]
fn an_answer_of_headers_only_has_no_body() {
    let layer =
        RateLimitLayer::builder(keyed("1/h"), by_api_key()).answer(AnswerForm::HeadersOnly).x_rate_limit().build();
    let service = layer.layer(answers(empty));
    assert_eq!(status(&service, request("a")), 200);
    let refused = call(&service, request("a"));
    assert_eq!((refused.status().as_u16(), refused.body().is_end_stream()), (429, true));
    let expected = [
        ("ratelimit", "\"default\";r=0;t=3600"),
        ("ratelimit-policy", "\"default\";q=1;w=3600"),
        ("retry-after", "3600"),
        ("x-ratelimit-limit", "1"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "3600"),
    ];
    assert_eq!(sorted(&refused), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

//! The middleware, in process.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use brimful::{
    CompositeDecision, CompositeLimiter, Decision, KeyedCompositeLimiter, KeyedRateLimiter, MockClock, OnFull,
    OwnedReservation, Quota, RateLimiter, Tokens,
};
use brimful_tower::key::{ClientAddress, Everyone, ExtensionKey, HeaderKey, OnMissingKey};
use brimful_tower::{Event, RateLimit, RateLimitLayer, RateLimitLayerBuilder, ResponseBody};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Empty;
use tower::{Layer, Service, ServiceExt};

use crate::support::{body, by_api_key, call, keyed, poll, request, status};

/// A response, and what its request holds.
type Answer<H> = Response<ResponseBody<Empty<Bytes>, H>>;

/// A service that counts its calls, and shows the tokens that are left by the decision in the extensions.
#[derive(Clone, Debug, Default)]
struct Counter(Arc<AtomicU32>);

impl Counter {
    fn calls(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Service<Request<()>> for Counter {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        self.0.fetch_add(1, Ordering::Relaxed);
        let mut response = Response::new(Empty::new());
        let one = request.extensions().get::<Decision>().map(Decision::remaining);
        let several = request.extensions().get::<CompositeDecision>();
        let left = one.or(several.and_then(|several| Some(several.tightest()?.1.remaining())));
        if let Some(left) = left {
            response.headers_mut().insert("left", left.into());
        }
        response.headers_mut().insert("x-ratelimit-reset", HeaderValue::from_static("of the service"));
        ready(Ok(response))
    }
}

fn json<B: Body<Data = Bytes, Error = Infallible>>(response: Response<B>) -> serde_json::Value {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let (size, is_end) = (response.body().size_hint().exact(), response.body().is_end_stream());
    let body = body(response);
    assert_eq!((size, is_end), (Some(body.len() as u64), false));
    serde_json::from_slice(&body).expect("JSON")
}

#[test]
fn a_request_beyond_the_quota_is_refused() {
    let (limiter, counter) = (keyed("6/min burst 2"), Counter::default());
    let service = RateLimitLayer::new(limiter.clone(), by_api_key()).layer(counter.clone());
    for _ in 0..2 {
        let response = call(&service, request("a"));
        assert_eq!((response.status(), response.headers().len()), (StatusCode::OK, 1));
        assert!(response.body().is_end_stream());
    }
    limiter.clock().advance(Duration::from_millis(500));
    let refused = call(&service, request("a"));
    assert_eq!((refused.status(), counter.calls()), (StatusCode::TOO_MANY_REQUESTS, 2));
    assert_eq!(refused.headers()["retry-after"], "10");
    assert_eq!(refused.headers()["ratelimit"], "\"default\";r=0;t=10");
    assert_eq!(refused.headers()["ratelimit-policy"], "\"default\";q=2;w=20");
    assert_eq!(
        json(refused),
        serde_json::json!({
            "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "title": "Request cannot be satisfied as assigned quota has been exceeded",
            "status": 429,
            "violated-policies": ["default"],
        })
    );
    assert_eq!(status(&service, request("b")), 200, "another key has a bucket of its own");
    limiter.clock().advance(Duration::from_millis(9_499));
    assert_eq!(status(&service, request("a")), 429);
    limiter.clock().advance(Duration::from_millis(1));
    assert_eq!(status(&service, request("a")), 200);
}

#[test]
fn all_clones_share_the_buckets() {
    let layer = RateLimitLayer::new(keyed("1/h burst 3"), by_api_key());
    let services = [layer.layer(Counter::default()), layer.clone().layer(Counter::default())];
    let third = services[0].clone();
    assert!([&services[0], &services[1], &third].into_iter().all(|service| status(service, request("a")) == 200));
    assert!([&services[0], &services[1], &third].into_iter().all(|service| status(service, request("a")) == 429));
}

#[test]
fn several_quotas_are_charged_together() {
    let limiter = KeyedCompositeLimiter::builder().quotas("second: 2/s; daily: 3/day".parse().unwrap());
    let limiter = Arc::new(limiter.clock(MockClock::new()).build().unwrap());
    let service = RateLimitLayer::builder(limiter.clone(), by_api_key())
        .decision_in_extensions()
        .headers_on_admitted()
        .build()
        .layer(Counter::default());
    let response = call(&service, request("a"));
    assert_eq!(response.headers()["ratelimit"], "\"second\";r=1;t=1, \"daily\";r=2;t=28800");
    assert_eq!(response.headers()["left"], "1");
    assert_eq!(status(&service, request("a")), 200);
    let refused = call(&service, request("a"));
    assert_eq!(refused.headers()["ratelimit-policy"], "\"second\";q=2;w=1, \"daily\";q=3;w=86400");
    assert_eq!(json(refused)["violated-policies"], serde_json::json!(["second"]));
    limiter.clock().advance(Duration::from_secs(1));
    assert_eq!(status(&service, request("a")), 200, "the refused request was charged to none");
    let refused = call(&service, request("a"));
    assert_eq!(refused.headers()["retry-after"], "28799");
    assert_eq!(json(refused)["violated-policies"], serde_json::json!(["daily"]));
}

/// A limiter without keys is one for all requests.
#[test]
fn limiters_without_keys_are_for_everyone() {
    let single = Arc::new(RateLimiter::with_clock(Quota::per_hour(1), MockClock::new()));
    let service = RateLimitLayer::new(single, Everyone).layer(Counter::default());
    assert_eq!([status(&service, request("a")), status(&service, request("b"))], [200, 429]);
    let several = Arc::new(CompositeLimiter::with_clock("9/s; all: 1/h".parse().unwrap(), MockClock::new()));
    let service = RateLimitLayer::new(several, by_api_key()).layer(Counter::default());
    assert_eq!(status(&service, request("a")), 200);
    assert_eq!(json(call(&service, request("b")))["violated-policies"], serde_json::json!(["all"]));
}

#[test]
fn exempt_requests_take_nothing() {
    let service = RateLimitLayer::builder(keyed("1/h"), by_api_key())
        .exempt_methods([Method::OPTIONS])
        .exempt_paths(["/health", "/static/*"])
        .build()
        .layer(Counter::default());
    for (method, uri) in [(Method::OPTIONS, "/a"), (Method::GET, "/health"), (Method::GET, "/static/a.css")] {
        let request = || Request::builder().method(method.clone()).uri(uri).body(()).unwrap();
        assert!((0..5).all(|_| status(&service, request()) == 200), "{uri}");
    }
    assert_eq!([status(&service, request("a")), status(&service, request("a"))], [200, 429]);
}

#[test]
fn requests_cost_what_the_function_returns() {
    let cost = |size: &HeaderValue| Tokens::new(size.to_str().unwrap().parse().unwrap());
    let service = RateLimitLayer::builder(keyed("10/h"), by_api_key())
        .cost(move |head| head.headers.get("cost").map_or(Tokens::ONE, cost))
        .build()
        .layer(Counter::default());
    let call = |cost: &'static str| {
        let mut request = request("a");
        request.headers_mut().insert("cost", HeaderValue::from_static(cost));
        let response = call(&service, request);
        let retry = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), retry)
    };
    assert_eq!(call("11"), (429, None), "it never is admitted");
    assert_eq!(call("8"), (200, None));
    assert_eq!(call("4"), (429, Some("720".to_owned())));
    assert_eq!(call("0"), (200, None));
    assert_eq!(call("2"), (200, None));
}

#[test]
fn a_request_without_a_key_is_refused_or_admitted() {
    let layer = RateLimitLayer::builder(keyed("1/h"), ClientAddress::new()).on_event(|event| {
        let Event::Refused { refusal, .. } = event else { panic!("{event:?}") };
        let text = refusal.missing_key.unwrap().to_string();
        assert!(text.contains("into_make_service_with_connect_info"), "{text}");
    });
    let problem = json(call(&layer.build().layer(Counter::default()), Request::new(())));
    assert_eq!(problem["detail"], "the server cannot tell whose request this is", "how to set it up is for the server");
    assert_eq!((problem["type"].as_str(), problem["status"].as_u64()), (Some("about:blank"), Some(500)));
    let service = RateLimitLayer::new(keyed("1/h"), by_api_key()).layer(Counter::default());
    let refused = call(&service, Request::new(()));
    assert_eq!((refused.status(), refused.headers().len()), (StatusCode::BAD_REQUEST, 1));
    assert_eq!(json(refused)["title"], "Bad Request");
    let service = RateLimitLayer::builder(keyed("1/h"), by_api_key()).on_missing_key(OnMissingKey::Admit).build();
    let service = service.layer(Counter::default());
    assert!((0..5).all(|_| status(&service, Request::new(())) == 200));
}

/// A client must not be without a limit because it sends its key twice.
#[test]
fn a_key_that_is_repeated_is_never_admitted() {
    let layer = RateLimitLayer::builder(keyed("1/h"), by_api_key()).on_missing_key(OnMissingKey::Admit).build();
    let service = layer.layer(Counter::default());
    let repeated = || Request::builder().header("x-api-key", "a").header("x-api-key", "a").body(()).unwrap();
    let refused = call(&service, repeated());
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert_eq!(json(refused)["detail"], "the request has several headers `x-api-key`: send one");
    layer.handle().set_shadow(true);
    assert_eq!((status(&service, repeated()), layer.handle().would_refuse()), (200, 1));
    assert_eq!((status(&service, Request::new(())), layer.handle().would_refuse()), (200, 1));
}

/// `RateLimit` has no time after `Retry-After`, also if another layer wrote that.
#[test]
fn a_refusal_of_an_inner_layer_keeps_its_headers() {
    let layer = |quota: &str| RateLimitLayer::builder(keyed(quota), by_api_key()).headers_on_admitted().x_rate_limit();
    let inner = layer("1/min").policy("inner").build().layer(Counter::default());
    let service = layer("10/h").policy("outer").build().layer(inner);
    let limits = |response: &Response<_>| response.headers().get_all("ratelimit").iter().count();
    assert_eq!(limits(&call(&service, request("a"))), 2);
    let refused = call(&service, request("a"));
    assert_eq!((refused.status().as_u16(), limits(&refused)), (429, 1));
    let headers = refused.headers();
    assert_eq!([&headers["retry-after"], &headers["ratelimit"]], ["60", "\"inner\";r=0;t=60"]);
}

#[test]
fn responses_of_the_service_keep_their_headers() {
    let builder = |limiter| RateLimitLayer::builder(limiter, by_api_key()).policy("api").x_rate_limit();
    let service =
        builder(keyed("10/s")).headers_on_admitted().decision_in_extensions().build().layer(Counter::default());
    let response = call(&service, request("a"));
    assert_eq!(response.headers()["ratelimit"], "\"api\";r=9;t=1");
    assert_eq!((&response.headers()["left"], &response.headers()["x-ratelimit-remaining"]), (&9.into(), &9.into()));
    let resets: Vec<_> = response.headers().get_all("x-ratelimit-reset").iter().collect();
    assert_eq!(resets, ["of the service"]);
    let service = builder(keyed("1/h")).ietf(None).build().layer(Counter::default());
    assert_eq!(call(&service, request("a")).headers().len(), 1);
    let mut names: Vec<_> =
        call(&service, request("a")).headers().keys().map(|name| name.as_str().to_owned()).collect();
    names.sort();
    assert_eq!(
        names,
        ["content-type", "retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"]
    );
}

#[test]
fn a_function_answers_refused_requests() {
    let layer: RateLimitLayerBuilder<_, _> = RateLimitLayer::builder(keyed("1/h"), by_api_key());
    let service = layer
        .on_refused(|refusal| {
            let mut response = Response::new(Bytes::from(format!("{:?} {:?}", refusal.violated, refusal.retry_after)));
            *response.status_mut() = refusal.status;
            *response.headers_mut() = refusal.headers;
            response
        })
        .build()
        .layer(Counter::default());
    assert_eq!(status(&service, request("a")), 200);
    let refused = call(&service, request("a"));
    assert_eq!(refused.headers()["retry-after"], "3600");
    assert_eq!(body(refused), "[\"default\"] Some(3600s)");
}

/// A client is not to blame if there is no room for its key.
#[test]
fn a_full_table_is_a_lack_of_capacity() {
    let limiter = KeyedRateLimiter::builder().quota(Quota::per_hour(1)).max_keys(8).on_full(OnFull::Deny);
    let limiter = Arc::new(limiter.clock(MockClock::new()).build().unwrap());
    let service = RateLimitLayer::new(limiter, ExtensionKey::<u32>::new()).layer(Counter::default());
    let answers = (0..1_000u32).map(|key| call(&service, Request::builder().extension(key).body(()).unwrap()));
    let refused: Vec<_> = answers.filter(|response| response.status() != StatusCode::OK).collect();
    assert!(!refused.is_empty() && refused.iter().all(|response| response.status() == 503));
    let problem = json(refused.into_iter().next().unwrap());
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity");
}

/// Layers outside that answer by themselves make an empty body of our type.
#[test]
fn other_layers_answer_by_themselves() {
    let inner = RateLimitLayer::new(keyed("1/h"), by_api_key()).layer(Counter::default());
    let service = tower_http::cors::CorsLayer::permissive().layer(inner);
    let preflight = || Request::builder().method(Method::OPTIONS).header("x-api-key", "a").body(()).unwrap();
    for _ in 0..3 {
        let answer = call(&service, preflight());
        assert_eq!((answer.status(), answer.body().is_end_stream()), (StatusCode::OK, true));
        assert_eq!(body(answer), "");
    }
    assert_eq!([status(&service, request("a")), status(&service, request("a"))], [200, 429]);
}

mod waits {
    use super::*;

    type Keyed = KeyedRateLimiter<HeaderValue, MockClock>;

    fn waiting(limiter: &Arc<Keyed>, seconds: u64) -> (RateLimit<Counter, HeaderKey, Keyed>, Counter) {
        let counter = Counter::default();
        let layer = RateLimitLayer::builder(limiter.clone(), by_api_key())
            .wait_up_to(Duration::from_secs(seconds))
            .headers_on_admitted()
            .decision_in_extensions()
            .build();
        (layer.layer(counter.clone()), counter)
    }

    type Call = Pin<Box<dyn Future<Output = Result<Answer<OwnedReservation<MockClock>>, Infallible>>>>;

    fn start(service: &RateLimit<Counter, HeaderKey, Keyed>, key: &str) -> Call {
        Box::pin(service.clone().oneshot(request(key)))
    }

    fn ready_status(call: &mut Call) -> Option<u16> {
        match poll(call.as_mut()) {
            Poll::Ready(Ok(response)) => Some(response.status().as_u16()),
            Poll::Pending => None,
        }
    }

    #[test]
    fn requests_wait_in_order_of_arrival() {
        let limiter = keyed("1/s burst 1");
        let (service, counter) = waiting(&limiter, 5);
        let mut calls: Vec<_> = (0..3).map(|_| start(&service, "a")).collect();
        let answers: Vec<_> = calls.iter_mut().map(ready_status).collect();
        assert_eq!((answers, counter.calls()), (vec![Some(200), None, None], 1));
        assert_eq!(ready_status(&mut start(&service, "b")), Some(200), "another key does not wait");
        limiter.clock().advance(Duration::from_secs(1));
        assert_eq!(ready_status(&mut calls[2]), None, "it came last");
        let Poll::Ready(Ok(response)) = poll(calls[1].as_mut()) else { panic!("its token is there") };
        assert_eq!((&response.headers()["left"], counter.calls()), (&0.into(), 3));
        // The token of the request behind it counts too.
        assert_eq!(response.headers()["ratelimit"], "\"default\";r=0;t=2");
        limiter.clock().advance(Duration::from_secs(1));
        assert_eq!(ready_status(&mut calls[2]), Some(200));
    }

    #[test]
    fn a_request_that_would_wait_too_long_is_refused_at_once() {
        let limiter = keyed("1/s burst 1");
        let (service, counter) = waiting(&limiter, 2);
        let mut calls: Vec<_> = (0..4).map(|_| start(&service, "a")).collect();
        let answers: Vec<_> = calls.iter_mut().map(ready_status).collect();
        assert_eq!(answers, [Some(200), None, None, Some(429)]);
        let refused = match poll(start(&service, "a").as_mut()) {
            Poll::Ready(Ok(response)) => response,
            Poll::Pending => panic!("it waits"),
        };
        assert_eq!(refused.headers()["retry-after"], "3");
        assert_eq!(json(refused)["violated-policies"], serde_json::json!(["default"]));
        assert_eq!(counter.calls(), 1);
    }

    /// The time is that of the end of the wait, not that of its beginning.
    #[test]
    fn a_wait_that_becomes_too_long_is_refused() {
        let limiter = keyed("1/s burst 1");
        let (service, counter) = waiting(&limiter, 5);
        let mut calls: Vec<_> = (0..2).map(|_| start(&service, "a")).collect();
        assert_eq!(calls.iter_mut().map(ready_status).collect::<Vec<_>>(), [Some(200), None]);
        limiter.pause_for(Duration::from_secs(60));
        let Poll::Ready(Ok(refused)) = poll(calls[1].as_mut()) else { panic!("it still waits") };
        assert_eq!((refused.status(), &refused.headers()["retry-after"]), (StatusCode::TOO_MANY_REQUESTS, &60.into()));
        assert_eq!(counter.calls(), 1);
    }

    /// A look at the bucket after the wait charges nothing.
    #[test]
    fn a_request_that_waited_is_charged_once() {
        let limiter = keyed("1/s burst 2");
        let (service, _) = waiting(&limiter, 5);
        let mut calls: Vec<_> = (0..3).map(|_| start(&service, "a")).collect();
        assert_eq!(calls.iter_mut().map(ready_status).collect::<Vec<_>>(), [Some(200), Some(200), None]);
        limiter.clock().advance(Duration::from_secs(2));
        assert_eq!(ready_status(&mut calls[2]), Some(200));
        assert_eq!(limiter.key(&HeaderValue::from_static("a")).available_tokens(), 1.0);
    }

    #[test]
    fn a_client_that_goes_away_costs_nothing() {
        let limiter = keyed("1/s burst 1");
        let (service, counter) = waiting(&limiter, 60);
        assert_eq!(ready_status(&mut start(&service, "a")), Some(200));
        let mut calls: Vec<_> = (0..9).map(|_| start(&service, "a")).collect();
        assert!(calls.iter_mut().all(|call| ready_status(call).is_none()));
        let mut last = calls.pop().unwrap();
        drop(calls);
        limiter.clock().advance(Duration::from_secs(1));
        assert_eq!((ready_status(&mut last), counter.calls()), (Some(200), 2));
    }

    #[test]
    fn a_full_queue_is_a_lack_of_capacity() {
        let limiter = KeyedRateLimiter::builder().quota(Quota::per_hour(1)).max_waiters(2).clock(MockClock::new());
        let limiter = Arc::new(limiter.build().unwrap());
        let (service, _) = waiting(&limiter, 36_000);
        let mut calls: Vec<_> = (0..4).map(|_| start(&service, "a")).collect();
        let answers: Vec<_> = calls.iter_mut().map(ready_status).collect();
        assert_eq!(answers, [Some(200), None, None, Some(503)]);
    }

    #[test]
    fn a_cost_above_the_burst_does_not_wait() {
        let layer = RateLimitLayer::builder(keyed("1/s"), by_api_key()).wait_up_to(Duration::from_secs(9));
        let service = layer.cost(|_| Tokens::new(2)).build().layer(Counter::default());
        let refused = call(&service, request("a"));
        assert_eq!((refused.status().as_u16(), refused.headers().get("retry-after")), (429, None));
    }
}

/// On a runtime, with the process's clock.
#[tokio::test]
async fn a_runtime_drives_waits() {
    let limiter = Arc::new(KeyedRateLimiter::new(Quota::per_second(1_000).burst(1)));
    let service = RateLimitLayer::builder(limiter, by_api_key()).wait_up_to(Duration::from_secs(60)).build();
    let service = service.layer(Counter::default());
    let calls: Vec<_> = (0..50).map(|_| tokio::spawn(service.clone().oneshot(request("a")))).collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().status(), StatusCode::OK);
    }
}

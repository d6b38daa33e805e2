//! Classes of requests, each with a limiter of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use brimful::{ConcurrencyLimit, KeyedCompositeLimiter, MockClock, Quota};
use brimful_tower::key::{Everyone, ExtensionKey, KeyFn, RequestHead};
use brimful_tower::{Classes, RateLimitLayer, Settlement};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response};
use http_body_util::Empty;
use tower::{Layer, Service};

use crate::support::{answers, by_api_key, call, keyed, poll, request, status};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Tier {
    Free,
    Pro,
    Unknown,
}

fn of(tier: Tier, key: &str) -> Request<()> {
    let mut request = request(key);
    request.extensions_mut().insert(tier);
    request
}

fn empty(_: &Request<()>) -> Response<Empty<Bytes>> {
    Response::new(Empty::new())
}

#[test]
fn each_tier_has_its_limiter() {
    let tiers = Classes::new(Tier::Free, "free", keyed::<HeaderValue>("1/h")).and(Tier::Pro, "pro", keyed("2/min"));
    let layer = RateLimitLayer::builder(Arc::new(tiers), (ExtensionKey::<Tier>::new(), by_api_key()));
    let service = layer.headers_on_admitted().build().layer(answers(empty));
    assert_eq!([status(&service, of(Tier::Free, "a")), status(&service, of(Tier::Free, "a"))], [200, 429]);
    assert_eq!(status(&service, of(Tier::Free, "b")), 200);
    let refused = call(&service, of(Tier::Free, "a"));
    assert_eq!(refused.headers()["ratelimit-policy"], "\"free\";q=1;w=3600");
    let admitted = call(&service, of(Tier::Pro, "a"));
    assert_eq!(admitted.headers()["ratelimit-policy"], "\"pro\";q=2;w=60");
    assert_eq!(admitted.headers()["ratelimit"], "\"pro\";r=1;t=30");
    // A class without a limiter is the first one.
    assert_eq!([status(&service, of(Tier::Unknown, "a")), status(&service, of(Tier::Unknown, "c"))], [429, 200]);
    assert_eq!(status(&service, request("a")), 500, "the class is missing");
}

#[test]
fn tiers_and_their_quotas_change_at_run_time() {
    static IS_PRO: AtomicBool = AtomicBool::new(false);
    let clock = MockClock::new();
    let limiter = |quota: &str, highest: Quota| {
        let builder = brimful::KeyedRateLimiter::<HeaderValue>::builder().quota(quota.parse().unwrap()).up_to(highest);
        Arc::new(builder.clock(clock.clone()).build().unwrap())
    };
    let tiers = Classes::new(false, "free", limiter("1/h", Quota::per_hour(1)));
    let tiers = Arc::new(tiers.and(true, "pro", limiter("2/h", Quota::per_hour(9))));
    // As a function looks the tier up.
    let tier = KeyFn(|_: &RequestHead<'_>| Ok(IS_PRO.load(Ordering::Relaxed)));
    let service = RateLimitLayer::new(tiers.clone(), (tier, by_api_key())).layer(answers(empty));
    let statuses = |n: usize| (0..n).map(|_| status(&service, request("a"))).collect::<Vec<_>>();
    assert_eq!(statuses(2), [200, 429]);
    IS_PRO.store(true, Ordering::Relaxed);
    assert_eq!(statuses(3), [200, 200, 429]);
    tiers.limiter(&true).set_quota(Quota::per_hour(9)).expect("below the highest one");
    clock.advance(Duration::from_secs(1_200));
    assert_eq!(statuses(4), [200, 200, 200, 429], "9/h is earned now");
    IS_PRO.store(false, Ordering::Relaxed);
    assert_eq!(statuses(1), [429]);
}

/// Reads and writes, each by several quotas, that wait and are settled.
#[test]
fn classes_of_limiters_of_any_kind() {
    let clock = MockClock::new();
    let several = |quotas: &str| {
        let builder = KeyedCompositeLimiter::<HeaderValue>::builder().quotas(quotas.parse().unwrap());
        Arc::new(builder.clock(clock.clone()).build().unwrap())
    };
    let classes = Classes::new(true, "-", several("reads: 5/s; daily: 9/day")).and(false, "-", several("writes: 1/s"));
    let class = KeyFn(|head: &RequestHead<'_>| Ok(head.method == Method::GET));
    let layer = RateLimitLayer::builder(Arc::new(classes), (class, by_api_key()))
        .wait_up_to(Duration::from_secs(1))
        .settle(|response| Settlement::now(response.cost.saturating_add(1u32.into())));
    let service = layer.headers_on_admitted().build().layer(answers(empty));
    let write = || {
        let mut write = request("a");
        *write.method_mut() = Method::POST;
        write
    };
    let response = call(&service, request("a"));
    assert_eq!(response.headers()["ratelimit"], "\"reads\";r=4;t=1, \"daily\";r=8;t=9600");
    assert_eq!(call(&service, request("a")).headers()["ratelimit"], "\"reads\";r=2;t=1, \"daily\";r=6;t=28800");
    let response = call(&service, write());
    assert_eq!(response.headers()["ratelimit"], "\"writes\";r=0;t=1");
    // The settlement took a second token, so that the next one is there after two seconds.
    let refused = call(&service, write());
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].as_bytes()), (429, &b"2"[..]));
    clock.advance(Duration::from_secs(1));
    let mut waiting = Box::pin(service.clone().call(write()));
    assert!(poll(waiting.as_mut()).is_pending());
    clock.advance(Duration::from_secs(1));
    let Poll::Ready(Ok(response)) = poll(waiting.as_mut()) else { panic!("its token is there") };
    assert_eq!(response.status(), 200);
}

#[test]
fn classes_of_permits() {
    let limit = |permits| Arc::new(ConcurrencyLimit::with_clock(permits, MockClock::new()));
    let classes = Classes::new(Tier::Free, "free", limit(1)).and(Tier::Pro, "pro", limit(2));
    let layer = RateLimitLayer::new(Arc::new(classes), (ExtensionKey::<Tier>::new(), Everyone));
    let service = layer.layer(answers(|_| Response::new(crate::support::Frames::new(["ab"]))));
    let held: Vec<_> = [Tier::Free, Tier::Free, Tier::Pro, Tier::Pro, Tier::Pro]
        .map(|tier| call(&service, of(tier, "a")))
        .into_iter()
        .collect();
    let statuses: Vec<_> = held.iter().map(|response| response.status().as_u16()).collect();
    assert_eq!(statuses, [200, 503, 200, 200, 503]);
}

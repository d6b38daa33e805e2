//! The settings of a layer, with a limiter that many processes share.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use brimful::{Quota, Tokens};
use brimful_redis::{RedisRateLimiter, SharedDecision, Source};
use brimful_tower::key::{ClientAddress, PathKey};
use brimful_tower::{Classes, Event, RateLimitLayer, Settlement};
use http::{Request, StatusCode};
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::server::server;
use crate::support::{by_path, call, left, patient, request, serve, until_left};

#[tokio::test]
async fn headers_are_those_of_the_store() {
    let server = server!();
    // Two processes.
    let (one, other) = (patient(&server, "3/day").await, patient(&server, "3/day").await);
    let layer = |limiter| RateLimitLayer::builder(limiter, PathKey).headers_on_admitted().x_rate_limit().policy("p");
    let (one, other) = (layer(one).build().layer(serve()), layer(other).build().layer(serve()));
    let response = call(&one, request("/a")).await;
    assert_eq!(response.headers()["ratelimit"], "\"p\";r=2;t=28800");
    assert_eq!(response.headers()["ratelimit-policy"], "\"p\";q=3;w=86400");
    assert_eq!(call(&other, request("/a")).await.headers()["x-ratelimit-remaining"], "1");
    assert_eq!(call(&one, request("/a")).await.headers()["x-ratelimit-remaining"], "0");
    let refused = call(&other, request("/a")).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let time: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((28_700..=28_800).contains(&time), "{time}");
    assert_eq!(call(&one, request("/b")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn several_quotas_have_names() {
    let server = server!();
    let shared = patient(&server, "few: 1/day burst 2; many: 1/day burst 9").await;
    let service = RateLimitLayer::new(shared, PathKey).layer(serve());
    for _ in 0..2 {
        assert_eq!(call(&service, request("/a")).await.status(), StatusCode::OK);
    }
    let refused = call(&service, request("/a")).await;
    assert_eq!(refused.headers()["ratelimit-policy"], "\"few\";q=2;w=172800, \"many\";q=9;w=777600");
}

/// A limit of failed logins, over two processes.
#[tokio::test(flavor = "multi_thread")]
async fn a_cost_is_settled_by_the_response() {
    let server = server!();
    let (one, other) = (patient(&server, "5/day").await, patient(&server, "5/day").await);
    let layer = |limiter| {
        RateLimitLayer::builder(limiter, by_path())
            .settle(|response| Settlement::now(u32::from(response.status == StatusCode::UNAUTHORIZED)))
            .build()
            .layer(serve())
    };
    let services = [layer(one.clone()), layer(other)];
    let failing = || Request::builder().uri("/a").header("status", "401").body(()).unwrap();
    for nth in 0..4 {
        assert_eq!(call(&services[nth % 2], request("/a")).await.status(), StatusCode::OK);
        until_left(&one, "/a", 5).await;
    }
    for nth in 0..5 {
        assert_eq!(call(&services[nth % 2], failing()).await.status(), StatusCode::UNAUTHORIZED);
        until_left(&one, "/a", 4 - nth as u32).await;
    }
    assert_eq!(call(&services[0], request("/a")).await.status(), StatusCode::TOO_MANY_REQUESTS);
}

/// Beyond the limit of debt, nothing is charged, and the function for events knows it.
#[tokio::test(flavor = "multi_thread")]
async fn a_cost_that_is_charged_later() {
    let server = server!();
    let shared = patient(&server, "10/day").await;
    let uncharged = Arc::new(AtomicU64::new(0));
    let count = uncharged.clone();
    let service = RateLimitLayer::builder(shared.clone(), by_path())
        .settle(|_| Settlement::now(25))
        .charge_later()
        .on_event(move |event| {
            if let Event::Uncharged { uncharged, .. } = event {
                count.fetch_add(uncharged.whole().into(), SeqCst);
            }
        })
        .build()
        .layer(serve());
    assert_eq!(call(&service, request("/a")).await.status(), StatusCode::OK);
    // Ten, and ten of debt.
    crate::http_server::until("five are not charged", || (4..=5).contains(&uncharged.load(SeqCst))).await;
    let stats = shared.stats();
    assert_eq!((stats.admitted, stats.requests), (1, 2), "a look, and a charge");
    assert_eq!(call(&service, request("/a")).await.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(left(&shared, "/a").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_for_its_tokens() {
    let server = server!();
    let shared = patient(&server, "20/s burst 1").await;
    let layer = RateLimitLayer::builder(shared.clone(), by_path()).wait_up_to(Duration::from_secs(30));
    let layer = layer.decision_in_extensions().build();
    let service = layer.clone().layer(service_fn(async |request: Request<()>| {
        let decision = request.extensions().get::<SharedDecision>().expect("the decision");
        assert!(decision.allowed() && decision.source() == Source::Store);
        Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Empty::<bytes::Bytes>::new()))
    }));
    for _ in 0..5 {
        assert_eq!(call(&service, request("/a")).await.status(), StatusCode::OK);
    }
    // A wait that is too long is refused at once.
    layer.handle().set_longest_wait(Duration::from_micros(1));
    shared.try_acquire("/b").await.unwrap();
    let begun = shared.stats().requests;
    let refused = call(&service, request("/b")).await;
    if refused.status() != StatusCode::OK {
        assert_eq!(
            (refused.status(), &refused.headers()["retry-after"]),
            (StatusCode::TOO_MANY_REQUESTS, &"1".parse().unwrap())
        );
        assert_eq!(shared.stats().requests, begun + 1);
    }
}

/// While the decision of a request is on its way, the slot that is reserved for it is its own.
#[tokio::test]
async fn a_request_uses_the_slot_of_its_own() {
    let server = server!();
    let layer = RateLimitLayer::new(patient(&server, "3/day").await, by_path());
    let mut service = layer.layer(ConcurrencyLimit::new(serve(), 1));
    for status in [200, 200, 200, 429, 429] {
        let response = service.ready().await.unwrap().call(request("/a"));
        assert_eq!(crate::http_server::soon(response).await.unwrap().status(), status);
    }
}

#[tokio::test]
async fn the_shadow_mode_admits_and_counts() {
    let server = server!();
    let shared = patient(&server, "2/day").await;
    let layer = RateLimitLayer::builder(shared, by_path()).shadow().build();
    let service = layer.clone().layer(serve());
    // Requests that would wait are counted too: no queue keeps their places.
    for (path, longest, count) in [("/a", 0, 3), ("/b", 30, 6)] {
        layer.handle().set_longest_wait(Duration::from_secs(longest * 86_400));
        for _ in 0..5 {
            assert_eq!(call(&service, request(path)).await.status(), StatusCode::OK);
        }
        assert_eq!(layer.handle().would_refuse(), count);
    }
    layer.handle().set_longest_wait(Duration::ZERO);
    layer.handle().set_shadow(false);
    assert_eq!(call(&service, request("/a")).await.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn classes_of_shared_limiters_and_shares_that_are_used() {
    let server = server!();
    let limiter = async |prefix: &str, burst| {
        let builder = RedisRateLimiter::<IpAddr>::builder(Quota::per_day(1).burst(burst)).prefix(prefix);
        Arc::new(builder.deadline(Duration::from_secs(20)).build(server.store().await).unwrap())
    };
    let classes = Classes::new(false, "free", limiter("free", 2).await).and(true, "pro", limiter("pro", 10).await);
    let is_pro =
        brimful_tower::key::KeyFn(|head: &brimful_tower::key::RequestHead<'_>| Ok(head.headers.contains_key("pro")));
    let used = Arc::new(AtomicU64::new(0));
    let count = used.clone();
    let service = RateLimitLayer::builder(Arc::new(classes), (is_pro, ClientAddress::new()))
        .cost(|_| Tokens::new(2))
        .share_used(0.8)
        .on_event(move |event| {
            if let Event::ShareUsed { policy, decision, .. } = event {
                assert_eq!((*policy, decision.limit()), if decision.limit() == 2 { ("free", 2) } else { ("pro", 10) });
                count.fetch_add(1, SeqCst);
            }
        })
        .build()
        .layer(serve());
    let peer: std::net::SocketAddr = "192.0.2.7:4711".parse().unwrap();
    let send = |is_pro: bool| {
        let mut request = Request::builder().extension(peer);
        if is_pro {
            request = request.header("pro", "");
        }
        call(&service, request.body(()).unwrap())
    };
    assert_eq!(send(false).await.status(), StatusCode::OK);
    assert_eq!(used.load(SeqCst), 1);
    let refused = send(false).await;
    assert_eq!(refused.headers()["ratelimit-policy"], "\"free\";q=2;w=172800");
    for _ in 0..5 {
        assert_eq!(send(true).await.status(), StatusCode::OK);
    }
    assert_eq!(used.load(SeqCst), 2);
    assert_eq!(send(true).await.status(), StatusCode::TOO_MANY_REQUESTS);
}

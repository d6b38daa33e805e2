//! The store fails while requests come.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use brimful_redis::FailurePolicy;
use brimful_tower::{Degraded, Event, RateLimitLayer};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, service_fn};

use crate::http_client::{Client, Version};
use crate::http_server::{Server as HttpServer, soon};
use crate::server::server;
use crate::support::{by_path, call, limiter, request, serve};

const DEADLINE: Duration = Duration::from_millis(200);

/// A refusal that the caller did not cause is 503, with the time after which the store is asked again, if that is known.
#[tokio::test(flavor = "multi_thread")]
async fn a_denial_without_the_store_is_503_until_it_is_back() {
    let mut server = server!();
    let shared = limiter(&server, "1000/day", FailurePolicy::Deny, DEADLINE).await;
    let http = HttpServer::limited(RateLimitLayer::new(shared.clone(), by_path())).await;
    let mut client = Client::connect(Version::Http1, http.address).await;
    assert_eq!(client.status(HeaderMap::new()).await, 200);
    server.kill();
    let mut with_time = 0;
    for _ in 0..50 {
        let mut client = Client::connect(Version::Http1, http.address).await;
        let response = client.get(HeaderMap::new()).await.unwrap();
        let (head, body) = response.into_parts();
        assert_eq!(head.status, StatusCode::SERVICE_UNAVAILABLE);
        let problem: serde_json::Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
        assert!(problem["type"].as_str().unwrap().ends_with("#temporary-reduced-capacity"), "{problem}");
        assert!(problem.get("violated-policies").is_none(), "{problem}");
        assert!(!head.headers.contains_key("ratelimit"), "{:?}", head.headers);
        if let Some(time) = head.headers.get("retry-after") {
            assert!(time == "1" || time == "2", "{time:?}");
            with_time += 1;
        }
    }
    assert!(with_time > 0, "the breaker knows when it asks again");
    server.restart();
    soon(async {
        while client.status(HeaderMap::new()).await != 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    println!("{:?}", shared.stats());
}

/// The service sees that the decision was not the store's, and so does the function for events.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_the_policy_admits_is_marked() {
    let mut server = server!();
    let (marked, events) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let count = (marked.clone(), events.clone());
    let service = service_fn(move |request: Request<()>| {
        marked.fetch_add(u64::from(request.extensions().get::<Degraded>().is_some()), SeqCst);
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    });
    let shared = limiter(&server, "1000/day", FailurePolicy::Allow, DEADLINE).await;
    let layer = RateLimitLayer::builder(shared, by_path()).headers_on_admitted().on_event(move |event| {
        if let Event::Degraded { is_admitted: true, .. } = event {
            events.fetch_add(1, SeqCst);
        }
    });
    let service = layer.build().layer(service);
    let response = call(&service, request("/")).await;
    assert_eq!(response.headers()["ratelimit"], "\"default\";r=999;t=87");
    assert_eq!((count.0.load(SeqCst), count.1.load(SeqCst)), (0, 0));
    server.kill();
    for _ in 0..20 {
        let response = call(&service, request("/")).await;
        assert_eq!((response.status(), response.headers().contains_key("ratelimit")), (StatusCode::OK, false));
    }
    assert_eq!((count.0.load(SeqCst), count.1.load(SeqCst)), (20, 20));
}

/// A local share refuses for the rate.
#[tokio::test(flavor = "multi_thread")]
async fn a_denial_by_a_local_share_is_429() {
    let mut server = server!();
    let shared = limiter(&server, "3600/h burst 10; 7200/h burst 10", FailurePolicy::LocalShare(2), DEADLINE).await;
    let service = RateLimitLayer::new(shared, by_path()).layer(serve());
    server.kill();
    // It begins empty.
    let response = call(&service, request("/")).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["retry-after"], "2");
    let policies = response.headers()["ratelimit-policy"].to_str().unwrap();
    assert_eq!(policies, "\"1/s burst 10\";q=10;w=10");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_grpc_is_unavailable() {
    let mut server = server!();
    let shared = limiter(&server, "1/day", FailurePolicy::Deny, DEADLINE).await;
    let service = RateLimitLayer::new(shared, by_path()).layer(serve());
    let call_of_grpc = || {
        let request = Request::post("/").header("content-type", "application/grpc").body(()).unwrap();
        call(&service, request)
    };
    assert!(!call_of_grpc().await.headers().contains_key("grpc-status"));
    let refused = call_of_grpc().await;
    assert_eq!(refused.headers()["grpc-status"], "8");
    server.kill();
    for _ in 0..5 {
        let unavailable = call_of_grpc().await;
        assert_eq!(unavailable.headers()["grpc-status"], "14");
        assert_ne!(unavailable.headers().get("grpc-retry-pushback-ms").map(|time| time.as_bytes()), Some(&b"-1"[..]));
    }
}

//! Clients whose calls share one quota.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use brimful_redis::{FailurePolicy, RedisRateLimiter, SharedError};
use brimful_tower::client::{ByHost, Host, ThrottleError, ThrottleLayer};
use http::{Request, Response, StatusCode};
use tower::{Layer, ServiceExt, service_fn};

use crate::server::{Server, server};
use crate::support::{bound, time};

type Limiter = Arc<RedisRateLimiter<Host>>;

async fn limiter(server: &Server, quota: &str, deadline: Duration) -> Limiter {
    let builder = RedisRateLimiter::<Host>::builder(quota.parse::<brimful::Quota>().unwrap());
    let builder = builder.on_failure(FailurePolicy::Deny).deadline(deadline);
    Arc::new(builder.build(server.store().await).unwrap())
}

fn get() -> Request<()> {
    Request::get("https://example.com/").body(()).unwrap()
}

/// The calls of two processes leave at the rate of one quota, and all of them leave.
#[tokio::test(flavor = "multi_thread")]
async fn the_calls_of_two_processes_share_a_quota() {
    let server = server!();
    let arrived = Arc::new(AtomicU64::new(0));
    let begun = time(&server).await;
    let (mut tasks, mut limiters) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let limiter = limiter(&server, "100/s burst 10", Duration::from_secs(20)).await;
        limiters.push(limiter.clone());
        let arrived = arrived.clone();
        let api = service_fn(move |_: Request<()>| {
            arrived.fetch_add(1, SeqCst);
            async { Ok::<_, Infallible>(Response::new(())) }
        });
        let client = ThrottleLayer::new(limiter, ByHost).layer(api);
        for _ in 0..4 {
            let client = client.clone();
            tasks.push(tokio::spawn(async move {
                for _ in 0..8 {
                    client.clone().oneshot(get()).await.unwrap();
                }
            }));
        }
    }
    for task in tasks {
        crate::http_server::soon(task).await.unwrap();
    }
    let micros = time(&server).await - begun;
    let most = bound(&"100/s burst 10".parse().unwrap(), micros);
    let trips: u64 = limiters.iter().map(|limiter| limiter.stats().requests).sum();
    println!("{} calls in {micros} us, bound {most}, {trips} trips", arrived.load(SeqCst));
    assert_eq!(arrived.load(SeqCst), 64);
    assert!(64 <= most, "{micros} us");
}

/// A pause by the server stops this process, and its calls keep their tokens until then.
#[tokio::test(flavor = "multi_thread")]
async fn a_pause_and_a_deadline() {
    let mut server = server!();
    let shared = limiter(&server, "5/day", Duration::from_millis(200)).await;
    let status = Arc::new(AtomicU64::new(429));
    let answer = status.clone();
    let api = service_fn(move |_: Request<()>| {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(answer.load(SeqCst) as u16).unwrap();
        response.headers_mut().insert("retry-after", 3600.into());
        async { Ok::<_, Infallible>(response) }
    });
    let layer = ThrottleLayer::builder(shared.clone(), ByHost).wait_up_to(Duration::from_secs(1)).build();
    let client = layer.clone().layer(api);
    let host: Host = "example.com".parse().unwrap();
    let left = async || shared.peek(&host).await.unwrap().limits()[0].remaining;
    assert_eq!(client.clone().oneshot(get()).await.unwrap().status(), 429);
    assert!(layer.paused(&host) > Duration::from_secs(3_000));
    let error = client.clone().oneshot(get()).await.unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(ThrottleError::Paused(_))), "{error}");
    // The call did not leave, so its token is given back.
    crate::http_server::soon(async {
        while left().await != 4 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    layer.resume(&host);
    status.store(200, SeqCst);
    shared.try_acquire_n(&host, 4).await.unwrap();
    let error = client.clone().oneshot(get()).await.unwrap_err();
    let refused = error.downcast_ref::<ThrottleError>().unwrap();
    assert!(matches!(refused, ThrottleError::Shared(SharedError::RateLimited { .. })), "{refused}");
    assert!(refused.retry_after().is_some_and(|time| time > Duration::from_secs(1_000)), "{refused}");
    server.kill();
    let error = client.clone().oneshot(get()).await.unwrap_err();
    let refused = error.downcast_ref::<ThrottleError>().unwrap();
    assert!(matches!(refused, ThrottleError::Shared(SharedError::Unavailable(_))), "{refused}");
}

//! Failures of the server and of the network: each decision comes within the deadline, and is the policy's.
//!
//! The lateness beyond the deadline is printed, and not asserted: other work may keep the machine busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brimful::Quota;
use brimful_redis::engine::Store;
use brimful_redis::{FailurePolicy, RedisRateLimiter, RedisStore, SharedError, Source, Unavailable};
use tokio::time::Instant;

use crate::proxy::{Mode, Proxy};
use crate::server::{Server, execute, server};

const DEADLINE: Duration = Duration::from_millis(100);

fn slow(burst: u32) -> Quota {
    Quota::per_day(1).burst(burst)
}

/// The longest time by which one of many decisions was later than the deadline.
async fn lateness(
    limiter: &RedisRateLimiter<str>,
    calls: u32,
    mut each: impl FnMut(Result<(), SharedError>),
) -> Duration {
    let mut late = Duration::ZERO;
    for _ in 0..calls {
        let begun = Instant::now();
        each(limiter.try_acquire("k").await);
        late = late.max(begun.elapsed().saturating_sub(DEADLINE));
    }
    late
}

#[tokio::test]
async fn killed_and_started_again() {
    let mut server = server!();
    let limiter = RedisRateLimiter::<str>::builder(slow(1000)).deadline(DEADLINE).build(server.store().await).unwrap();
    limiter.try_acquire("k").await.unwrap();
    server.kill();
    let time = lateness(&limiter, 50, |decision| {
        assert!(matches!(decision, Err(SharedError::Unavailable(_))), "{decision:?}");
    })
    .await;
    println!("killed: late by {time:?} at most");
    assert_eq!(limiter.stats().denied_by_policy, 50);
    server.restart();
    let begun = Instant::now();
    while limiter.try_acquire("k").await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is asked again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("started again: decides after {:?}", begun.elapsed());
}

#[cfg(unix)]
#[tokio::test]
async fn stopped_for_a_while() {
    let server = server!();
    let limiter = RedisRateLimiter::<str>::builder(slow(1000))
        .deadline(DEADLINE)
        .on_failure(FailurePolicy::Allow)
        .build(server.store().await)
        .unwrap();
    limiter.try_acquire("k").await.unwrap();
    server.signal("-STOP");
    let (stopped, mut time) = (Instant::now(), Duration::ZERO);
    while stopped.elapsed() < Duration::from_secs(5) {
        time = time.max(lateness(&limiter, 20, |decision| decision.unwrap()).await);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!("stopped for five seconds: late by {time:?} at most, {:?}", limiter.stats());
    assert_eq!(limiter.stats().admitted, 1);
    server.signal("-CONT");
    let begun = Instant::now();
    while limiter.decide("k", 1).await.source() != Source::Store {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is asked again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("going on: decides after {:?}", begun.elapsed());
}

/// The processes' shares together are the limit.
#[tokio::test]
async fn local_shares_while_the_server_is_away() {
    let mut server = server!();
    let failures = Arc::new(AtomicU64::new(0));
    let mut limiters = Vec::new();
    for _ in 0..3 {
        let failures = failures.clone();
        let limiter = RedisRateLimiter::<str>::builder(Quota::per_second(300).burst(30))
            .deadline(DEADLINE)
            .on_failure(FailurePolicy::LocalShare(3))
            .on_failure_hook(move |_| _ = failures.fetch_add(1, Ordering::Relaxed));
        limiters.push(limiter.build(server.store().await).unwrap());
    }
    server.kill();
    let begun = Instant::now();
    let mut admitted = 0;
    while begun.elapsed() < Duration::from_millis(500) {
        for limiter in &limiters {
            admitted += u64::from(limiter.try_acquire("k").await.is_ok());
        }
    }
    let passed = begun.elapsed();
    println!("{admitted} admitted in {passed:?}; rate x T = {}", 300.0 * passed.as_secs_f64());
    assert!(admitted > 0);
    assert!(admitted as f64 <= 300.0 * passed.as_secs_f64() + 3.0, "{admitted} in {passed:?}");
    let stats = limiters[0].stats();
    assert_eq!(
        stats.admitted_by_policy + stats.denied_by_policy,
        limiters[1].stats().admitted_by_policy + limiters[1].stats().denied_by_policy
    );
    assert!(failures.load(Ordering::Relaxed) >= 9, "the hook saw the failures");
}

#[tokio::test(flavor = "multi_thread")]
async fn flushed_under_load() {
    const BURST: u32 = 100;
    let server = server!();
    let limiter = Arc::new(
        RedisRateLimiter::<str>::builder(slow(BURST))
            .deadline(Duration::from_secs(20))
            .build(server.store().await)
            .unwrap(),
    );
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let limiter = limiter.clone();
            tokio::spawn(async move {
                let mut admitted = 0;
                for _ in 0..500 {
                    admitted += u64::from(limiter.try_acquire("k").await.is_ok());
                }
                admitted
            })
        })
        .collect();
    let mut connection = server.connection().await;
    for _ in 0..10 {
        let _: () = redis::cmd("FLUSHALL").query_async(&mut connection).await.unwrap();
        // The scripts are gone too.
        let _: () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut connection).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut admitted = 0;
    for task in tasks {
        admitted += task.await.unwrap();
    }
    println!("{admitted} admitted with ten flushes: at most {}", 11 * BURST);
    assert!(admitted >= u64::from(BURST) && admitted <= 11 * u64::from(BURST), "{admitted}");
    assert_eq!(limiter.stats().failures, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_tasks_when_the_server_comes_back() {
    let mut server = server!();
    let limiter =
        Arc::new(RedisRateLimiter::<str>::builder(slow(500)).deadline(DEADLINE).build(server.store().await).unwrap());
    server.kill();
    let tasks: Vec<_> = (0..1000)
        .map(|_| {
            let limiter = limiter.clone();
            tokio::spawn(async move { limiter.acquire_n_within("k", 1, Duration::from_secs(10)).await.is_ok() })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.restart();
    let mut admitted = 0;
    for task in tasks {
        // None waits for ever.
        admitted += u32::from(task.await.unwrap());
    }
    let builder = RedisRateLimiter::<str>::builder(slow(500)).deadline(Duration::from_secs(20));
    let direct = builder.build(server.store().await).unwrap();
    let charged = 500 - direct.peek("k").await.unwrap().limits()[0].remaining;
    println!("{admitted} of 1000 admitted, at most 500; {charged} charged: {:?}", limiter.stats());
    // A call may be charged whose reply came after its deadline.
    assert!(admitted <= charged && charged <= 500 && charged > 0, "{admitted}, {charged}");
}

/// A limiter of 1000 tokens behind a proxy to a server.
async fn behind_proxy(server: &Server, repeats: bool) -> (Proxy, RedisRateLimiter<str>) {
    let proxy = Proxy::to(server.port()).await;
    let mut builder = RedisRateLimiter::<str>::builder(slow(1000)).deadline(DEADLINE);
    if repeats {
        builder = builder.repeat_lost(Duration::from_secs(60));
    }
    let limiter = builder.build(RedisStore::connect(&proxy.url()).await.unwrap()).unwrap();
    limiter.try_acquire("k").await.unwrap();
    (proxy, limiter)
}

async fn charged(server: &Server) -> u32 {
    let direct = RedisRateLimiter::<str>::builder(slow(1000)).build(server.store().await).unwrap();
    1000 - direct.peek("k").await.unwrap().limits()[0].remaining
}

/// Asks until the store decides again.
async fn recovers(limiter: &RedisRateLimiter<str>) -> Duration {
    let begun = Instant::now();
    while limiter.try_acquire("k").await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is asked again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_second_of_latency() {
    let server = server!();
    let (proxy, limiter) = behind_proxy(&server, false).await;
    proxy.set(Mode::Slow);
    let time = lateness(&limiter, 20, |decision| {
        assert!(matches!(decision, Err(SharedError::Unavailable(_))), "{decision:?}");
    })
    .await;
    println!("half a second of latency: late by {time:?} at most");
    assert_eq!((limiter.stats().admitted, limiter.stats().denied_by_policy), (1, 20));
    proxy.set(Mode::Pass);
    println!("fast again: decides after {:?}", recovers(&limiter).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_half_open() {
    let server = server!();
    let (proxy, limiter) = behind_proxy(&server, false).await;
    proxy.set(Mode::HalfOpen);
    // The first requests have no answer. Then the connection is made anew.
    let time = lateness(&limiter, 3, |decision| {
        assert!(matches!(decision, Err(SharedError::Unavailable(_))), "{decision:?}");
    })
    .await;
    println!("half open: late by {time:?} at most");
    assert_eq!((limiter.stats().admitted, limiter.stats().denied_by_policy), (1, 3));
    println!("connected anew: decides after {:?}", recovers(&limiter).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_is_lost_after_the_execution() {
    let server = server!();
    lost_replies(async |repeats| behind_proxy(&server, repeats).await, async || charged(&server).await).await;
}

/// Loses replies of a store, by functions that return a limiter behind a proxy, which has taken a token and may repeat
/// requests, and the tokens that were taken.
pub(crate) async fn lost_replies<S: Store>(
    behind_proxy: impl AsyncFn(bool) -> (Proxy, RedisRateLimiter<str, S>),
    charged: impl AsyncFn() -> u32,
) {
    // Without ids: the call fails, and may have been charged.
    let (proxy, limiter) = behind_proxy(false).await;
    proxy.set(Mode::LoseReply);
    let lost = limiter.try_acquire("k").await.unwrap_err();
    let is_open = |error: &SharedError| matches!(error, SharedError::Unavailable(Unavailable::Failed(error)) if error.may_be_done);
    assert!(is_open(&lost), "{lost}");
    assert_eq!(charged().await, 2);
    // With ids: the call is repeated, and is charged once.
    let (proxy, limiter) = behind_proxy(true).await;
    assert_eq!(charged().await, 3);
    proxy.set(Mode::LoseReply);
    limiter.try_acquire("k").await.unwrap();
    assert_eq!(charged().await, 4);
    assert_eq!(limiter.stats().failures, 0);
}

/// A connection that takes longer than a deadline is made all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_is_slower_than_the_deadline() {
    let server = server!();
    let (proxy, limiter) = behind_proxy(&server, false).await;
    proxy.set(Mode::SlowHandshake);
    println!("after a slow handshake: decides after {:?}", recovers(&limiter).await);
}

/// A server that has become a replica refuses to write, and keeps its connections: another one is made, which may lead to
/// the new primary.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_has_become_a_replica() {
    let (server, other) = (server!(), server!());
    let (proxy, limiter) = behind_proxy(&server, false).await;
    let _: () = execute(&server, &format!("REPLICAOF 127.0.0.1 {}", other.port())).await;
    let demoted = limiter.try_acquire("k").await.unwrap_err();
    assert!(matches!(demoted, SharedError::Unavailable(Unavailable::Failed(_))), "{demoted}");
    proxy.lead_to(other.port());
    println!("the other server decides after {:?}", recovers(&limiter).await);
    assert_eq!(charged(&other).await, 1);
}

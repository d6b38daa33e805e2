//! Leases, on a real server.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use brimful::Quota;
use brimful_redis::{FailurePolicy, LeasedRateLimiter, RedisRateLimiter, SharedError};
use redis::aio::MultiplexedConnection;
use tokio::time::Instant;

use crate::server::{Server, server};

fn slow(burst: u32) -> Quota {
    Quota::per_hour(1).burst(burst)
}

async fn leased(server: &Server, quota: Quota, max_batch: u32) -> LeasedRateLimiter<str> {
    let builder = RedisRateLimiter::<str>::builder(quota).deadline(Duration::from_secs(20)).leased();
    builder.max_batch(max_batch).give_back_after(Duration::from_millis(200)).build(server.store().await).unwrap()
}

/// The tokens that the store has left.
async fn left(server: &Server, quota: Quota, key: &str) -> u32 {
    let direct = RedisRateLimiter::<str>::builder(quota).build(server.store().await).unwrap();
    direct.peek(key).await.unwrap().limits()[0].remaining
}

async fn time(connection: &mut MultiplexedConnection) -> u64 {
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(connection).await.unwrap();
    seconds * 1_000_000 + micros
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_key_costs_few_round_trips_and_is_granted_its_quota() {
    let server = server!();
    let quota = slow(100_000);
    let limiter = leased(&server, quota, 5_000).await;
    let mut admitted = 0;
    for _ in 0..150_000 {
        admitted += u64::from(limiter.try_acquire("hot").await.is_ok());
    }
    let stats = limiter.stats();
    println!("{admitted} admitted by {} requests", stats.requests);
    assert_eq!(admitted, 100_000);
    assert!(stats.requests < 150, "{stats:?}");
    let refused = limiter.try_acquire("hot").await.unwrap_err();
    assert!(matches!(&refused, SharedError::RateLimited { limit, .. } if limit == "1/h burst 100000"), "{refused}");
    assert!(refused.retry_after().is_some_and(|time| time > Duration::from_secs(1_800)), "{refused}");
    // A refusal is known here until then.
    let before = limiter.stats().requests;
    for _ in 0..100 {
        assert!(limiter.try_acquire("hot").await.is_err());
    }
    assert_eq!(limiter.stats().requests, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_nodes_never_grant_more_than_the_quota() {
    let server = server!();
    let quota = slow(20_000);
    let admitted = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for _ in 0..3 {
        let limiter = leased(&server, quota, 1_000).await;
        for _ in 0..2 {
            let (limiter, admitted) = (limiter.clone(), admitted.clone());
            tasks.push(tokio::spawn(async move {
                for _ in 0..10_000 {
                    if limiter.try_acquire("k").await.is_ok() {
                        admitted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    let admitted = admitted.load(Ordering::Relaxed);
    println!("{admitted} of 20000");
    assert!(admitted <= 20_000, "{admitted}");
    // The rest is credit that no node found a call for: a node whose calls are over holds a batch at most.
    assert!(admitted >= 20_000 - 3 * 1_000, "{admitted}");
}

/// `burst + rate × T + nodes × max_batch`, and a node that has less to do is served too.
#[tokio::test(flavor = "multi_thread")]
async fn the_bound_of_a_window_and_a_fair_share() {
    const NODES: u64 = 3;
    const BATCH: u32 = 200;
    let server = server!();
    let quota = Quota::per_second(10_000).burst(1_000);
    let mut connection = server.connection().await;
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        nodes.push(leased(&server, quota, BATCH).await);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let begun = time(&mut connection).await;
    let busy: Vec<_> = nodes[..2]
        .iter()
        .cloned()
        .map(|node| {
            let stop = stop.clone();
            tokio::spawn(async move {
                let mut admitted = 0;
                while !stop.load(Ordering::Relaxed) {
                    for _ in 0..50 {
                        admitted += u64::from(node.try_acquire("k").await.is_ok());
                    }
                    tokio::task::yield_now().await;
                }
                admitted
            })
        })
        .collect();
    // A node that asks for a hundredth of the rate.
    let (mut calls, mut served) = (0_u64, 0);
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        calls += 1;
        served += u64::from(nodes[2].try_acquire("k").await.is_ok());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut admitted = served;
    for task in busy {
        admitted += task.await.unwrap();
    }
    let passed = time(&mut connection).await - begun;
    let bound = 1_000 + 10_000 * passed / 1_000_000 + NODES * u64::from(BATCH);
    println!("{admitted} admitted in {passed} us, bound {bound}; the idle node: {served} of {calls}");
    assert!(admitted <= bound, "{admitted} in {passed} us");
    assert!(served * 4 >= calls, "{served} of {calls}");
}

#[tokio::test]
async fn what_is_not_used_is_given_back() {
    let server = server!();
    let quota = slow(10_000);
    let limiter = leased(&server, quota, 1_000).await;
    for _ in 0..100 {
        limiter.try_acquire("k").await.unwrap();
    }
    let begun = Instant::now();
    while limiter.leases() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(left(&server, quota, "k").await, 9_900);
    // At once, when the process ends.
    for _ in 0..100 {
        limiter.try_acquire("k").await.unwrap();
    }
    limiter.give_back().await;
    assert_eq!(left(&server, quota, "k").await, 9_800);
}

#[tokio::test]
async fn costs_that_no_lease_holds_ask_the_store() {
    let server = server!();
    let quota = slow(100);
    let limiter = leased(&server, quota, 10).await;
    limiter.try_acquire_n("k", 50).await.unwrap();
    assert_eq!(limiter.leases(), 0);
    limiter.try_acquire_n("k", 10).await.unwrap();
    assert_eq!(left(&server, quota, "k").await, 40);
    let never = limiter.try_acquire_n("k", 101).await.unwrap_err();
    assert!(matches!(never, SharedError::ExceedsBurst { .. }), "{never}");
    let requests = limiter.stats().requests;
    assert!(limiter.try_acquire_n("k", 101).await.is_err());
    assert_eq!(limiter.stats().requests, requests, "the burst is known here");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_find_no_credit_share_one_round_trip() {
    let server = server!();
    let limiter = leased(&server, slow(100_000), 1_000).await;
    for _ in 0..2_000 {
        limiter.try_acquire("k").await.unwrap();
    }
    limiter.give_back().await;
    let before = limiter.stats().requests;
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let limiter = limiter.clone();
            tokio::spawn(async move { limiter.try_acquire("k").await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let requests = limiter.stats().requests - before;
    println!("{requests} requests for 100 calls");
    assert!(requests <= 20, "{requests}");
}

#[tokio::test]
async fn the_policy_decides_when_the_credit_is_used_up() {
    let mut server = server!();
    let builder = RedisRateLimiter::<str>::builder(slow(1_000)).deadline(Duration::from_millis(100));
    let builder = builder.on_failure(FailurePolicy::Allow).leased().max_batch(100);
    let limiter = builder.give_back_after(Duration::from_secs(3_600)).build(server.store().await).unwrap();
    for _ in 0..100 {
        limiter.try_acquire("k").await.unwrap();
    }
    server.kill();
    for _ in 0..500 {
        limiter.try_acquire("k").await.unwrap();
    }
    let stats = limiter.stats();
    assert!(stats.admitted_by_policy >= 400 && stats.admitted_by_policy < 500, "{stats:?}");
    server.restart();
    let begun = Instant::now();
    let by_policy = async || {
        let before = limiter.stats().admitted_by_policy;
        limiter.try_acquire("k").await.unwrap();
        limiter.stats().admitted_by_policy > before
    };
    while by_policy().await {
        assert!(begun.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Calls that no lease serves leave nothing behind.
#[tokio::test]
async fn many_keys_with_large_costs_leave_room_for_others() {
    let server = server!();
    let builder = RedisRateLimiter::<str>::builder(slow(1_000)).deadline(Duration::from_secs(20)).leased();
    let limiter = builder.max_batch(10).max_keys(20).build(server.store().await).unwrap();
    for nth in 0..100 {
        limiter.try_acquire_n(&format!("large-{nth}"), 11).await.unwrap();
    }
    for nth in 0..100 {
        limiter.try_acquire(&format!("small-{nth}")).await.unwrap();
    }
    assert_eq!(limiter.leases(), 20);
    assert_eq!(left(&server, slow(1_000), "small-99").await, 999);
}

/// A batch that a dropped call has asked for comes to the credit.
#[tokio::test(flavor = "multi_thread")]
async fn calls_that_give_up_lose_no_batch() {
    let server = server!();
    let quota = slow(5_000);
    let limiter = leased(&server, quota, 500).await;
    let (mut granted, mut dropped) = (0, 0);
    for nth in 0..40_000 {
        // Polled for some time, and then dropped.
        let mut call = pin!(limiter.try_acquire("k"));
        let mut polls = 0;
        let outcome = poll_fn(|context| match call.as_mut().poll(context) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending if polls > nth % 1_000 => Poll::Ready(None),
            Poll::Pending => {
                polls += 1;
                context.waker().wake_by_ref();
                Poll::Pending
            }
        });
        match outcome.await {
            Some(Ok(())) => granted += 1,
            Some(Err(_)) => {}
            None => dropped += 1,
        }
    }
    limiter.give_back().await;
    let left = left(&server, quota, "k").await;
    println!("{granted} granted, {dropped} gave up, {left} left");
    // A call that gave up while its own request was on its way may have been charged its token, and no more.
    let requests = limiter.stats().requests;
    assert!(granted + left + requests as u32 >= 5_000, "{granted}, {left}, {requests}");
    assert!(granted + left <= 5_000, "{granted}, {left}");
}

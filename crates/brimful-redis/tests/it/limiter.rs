//! The verbs of a limiter, on a real server.

use std::sync::Arc;
use std::time::Duration;

use brimful::{Quota, Quotas, Tokens};
use brimful_redis::engine::{Limit, Operation, Request, RequestId, Store};
use brimful_redis::{RedisRateLimiter, SharedError, Source};

use crate::server::{Server, server};

/// A limiter whose decisions are not hurried, also on a busy machine.
async fn limiter(server: &Server, quotas: impl Into<Quotas>) -> RedisRateLimiter<str> {
    let builder = RedisRateLimiter::<str>::builder(quotas).deadline(Duration::from_secs(20));
    builder.build(server.store().await).unwrap()
}

/// Slower than any test.
fn slow(burst: u32) -> Quota {
    Quota::per_day(1).burst(burst)
}

#[tokio::test]
async fn takes_until_the_bucket_is_empty_and_keeps_keys_apart() {
    let server = server!();
    let limiter = limiter(&server, slow(3)).await;
    for _ in 0..3 {
        limiter.try_acquire("alice").await.unwrap();
    }
    let refused = limiter.try_acquire("alice").await.unwrap_err();
    let day = Duration::from_secs(86_400);
    assert!(refused.retry_after().is_some_and(|after| after <= day && after > day / 2), "{refused}");
    assert!(refused.to_string().starts_with("limit \"1/day burst 3\": rate limited"), "{refused}");
    limiter.try_acquire("bob").await.unwrap();
    let never = limiter.try_acquire_n("bob", 4).await.unwrap_err();
    assert!(matches!(&never, SharedError::ExceedsBurst { burst, .. } if *burst == Tokens::new(3)), "{never}");
    // A cost of zero is admitted by an empty bucket.
    limiter.try_acquire_n("alice", 0).await.unwrap();
    let stats = limiter.stats();
    assert_eq!((stats.admitted, stats.denied, stats.failures), (5, 2, 0));
}

#[tokio::test]
async fn limiters_of_many_processes_share_a_bucket() {
    let server = server!();
    let mut tasks = Vec::new();
    for _ in 0..4 {
        // A connection of its own, as another process has.
        let limiter = limiter(&server, slow(500)).await;
        tasks.push(tokio::spawn(async move {
            let mut admitted = 0;
            for _ in 0..250 {
                admitted += u32::from(limiter.try_acquire("shared").await.is_ok());
            }
            admitted
        }));
    }
    let mut admitted = 0;
    for task in tasks {
        admitted += task.await.unwrap();
    }
    assert_eq!(admitted, 500);
}

#[tokio::test]
async fn several_quotas_are_charged_together_or_not_at_all() {
    let server = server!();
    let quotas: Quotas = "burst: 1/day burst 2; daily: 1/day burst 10".parse().unwrap();
    let limiter = limiter(&server, quotas).await;
    let decision = limiter.decide("alice", 2).await;
    assert!(decision.allowed() && decision.source() == Source::Store);
    let mut connection = server.connection().await;
    let (seconds, _): (u64, u64) = redis::cmd("TIME").query_async(&mut connection).await.unwrap();
    let at = decision.decided_at().unwrap();
    assert!(at.as_secs() <= seconds && at.as_secs() + 60 > seconds, "{at:?}, {seconds}");
    let remaining: Vec<(&str, u32)> =
        decision.limits().iter().map(|limit| (limit.name.as_str(), limit.remaining)).collect();
    assert_eq!(remaining, [("burst", 0), ("daily", 8)]);
    for _ in 0..5 {
        let refused = limiter.decide("alice", 1).await;
        assert!(!refused.allowed());
        assert_eq!(refused.limits()[1].remaining, 8, "nothing was charged");
        assert_eq!(refused.limits()[1].retry_after, Some(Duration::ZERO));
    }
    let refused = limiter.try_acquire("alice").await.unwrap_err();
    assert!(matches!(&refused, SharedError::RateLimited { limit, .. } if limit == "burst"), "{refused}");
    let never = limiter.try_acquire_n("alice", 11).await.unwrap_err();
    assert!(matches!(&never, SharedError::ExceedsBurst { .. }), "{never}");
}

#[tokio::test]
async fn the_wait_that_an_error_reports_is_sufficient() {
    let server = server!();
    let limiter = limiter(&server, Quota::per_second(50).burst(1)).await;
    limiter.try_acquire("alice").await.unwrap();
    for _ in 0..5 {
        if let Err(refused) = limiter.try_acquire("alice").await {
            tokio::time::sleep(refused.retry_after().unwrap()).await;
            limiter.try_acquire("alice").await.unwrap();
        }
    }
    // A call that waits, and one that cannot be served in time.
    limiter.acquire("alice").await.unwrap();
    let begun = tokio::time::Instant::now();
    let late = limiter.acquire_n_within("alice", 1, Duration::from_micros(1)).await;
    assert!(late.is_err() || begun.elapsed() > Duration::from_millis(15));
    let never = limiter.acquire_n("alice", 2).await.unwrap_err();
    assert!(matches!(never, SharedError::ExceedsBurst { .. }));
}

#[tokio::test]
async fn peek_add_reset_and_settle() {
    let server = server!();
    let quota = slow(10).max_debt(5);
    let limiter = limiter(&server, quota).await;
    let remaining = async || limiter.peek("alice").await.unwrap().limits()[0].remaining;
    assert_eq!(remaining().await, 10);
    limiter.try_reserve_n("alice", 6).await.unwrap().commit(2).await.unwrap();
    assert_eq!(remaining().await, 8);
    limiter.try_reserve_n("alice", 2).await.unwrap().cancel().await.unwrap();
    assert_eq!(remaining().await, 8);
    assert_eq!(limiter.add_tokens("alice", 5).await.unwrap().whole(), 2 - 1, "two are missing, less a moment's");
    assert_eq!(remaining().await, 10);
    // Down to the debt limit: 10 - 1 - 20 is below -5.
    let uncharged = limiter.try_reserve_n("alice", 1).await.unwrap().commit(21).await.unwrap();
    assert!(uncharged.whole() >= 5 && uncharged.whole() <= 6, "{uncharged}");
    assert!(limiter.try_acquire("alice").await.is_err());
    limiter.reset("alice").await.unwrap();
    assert_eq!(remaining().await, 10);
    // A reservation that is dropped stays charged.
    drop(limiter.try_reserve_n("alice", 4).await.unwrap());
    assert_eq!(remaining().await, 6);
}

#[tokio::test]
async fn a_bucket_is_forgotten_when_it_is_full_again_and_not_before() {
    let server = server!();
    let mut connection = server.connection().await;
    let limiter = limiter(&server, Quota::per_second(10).burst(10)).await;
    limiter.try_acquire_n("alice", 3).await.unwrap();
    let expires: i64 = redis::cmd("PTTL").arg("{brimful:alice}").query_async(&mut connection).await.unwrap();
    assert!(expires > 0 && expires <= 300, "{expires}");
    limiter.reset("alice").await.unwrap();
    let keys: u64 = redis::cmd("DBSIZE").query_async(&mut connection).await.unwrap();
    assert_eq!(keys, 0);
    // A call that is refused, and a look, store nothing.
    assert!(limiter.try_acquire_n("bob", 11).await.is_err());
    limiter.peek("bob").await.unwrap();
    let keys: u64 = redis::cmd("DBSIZE").query_async(&mut connection).await.unwrap();
    assert_eq!(keys, 0);
}

#[tokio::test]
async fn a_bucket_takes_120_bytes_at_most() {
    let server = server!();
    let mut connection = server.connection().await;
    let quota = Quota::per_second(100).burst(200);
    let limiter = limiter(&server, quota).await;
    for key in ["a", "203.0.113.77", "user-1234567"] {
        limiter.try_acquire_n(key, 100).await.unwrap();
        let name = format!("{{brimful:{key}}}");
        let bytes: u64 = redis::cmd("MEMORY").arg("USAGE").arg(&name).query_async(&mut connection).await.unwrap();
        println!("{name}: {bytes} bytes");
        assert!(bytes <= 120, "{name}: {bytes} bytes");
    }
}

#[tokio::test]
async fn a_request_with_an_id_is_charged_once() {
    let server = server!();
    let store = server.store().await;
    let limits = [(Limit::new(&slow(10)).unwrap(), 1)].map(|(limit, n)| (limit, limit.cost(Tokens::new(n))));
    let lifetime = Duration::from_secs(60);
    let take = |id| Request {
        key: "k",
        operation: Operation::Take,
        limits: &limits,
        id: Some((RequestId(id), lifetime)),
        patience: lifetime,
    };
    let first = store.decide(take(1)).await.unwrap();
    assert_eq!(store.decide(take(1)).await.unwrap(), first);
    let second = store.decide(take(2)).await.unwrap();
    assert_ne!(second.buckets, first.buckets);
    let mut connection = server.connection().await;
    let name = format!("{{k}}#{:032x}", 1);
    let expires: i64 = redis::cmd("PTTL").arg(&name).query_async(&mut connection).await.unwrap();
    assert!(expires > 50_000 && expires <= 60_000, "{expires}");
}

#[tokio::test]
async fn a_changed_quota_keeps_what_was_taken() {
    let server = server!();
    let before = limiter(&server, slow(100)).await;
    before.try_acquire_n("alice", 60).await.unwrap();
    let after = limiter(&server, Quota::per_hour(1).burst(80)).await;
    let remaining = after.peek("alice").await.unwrap().limits()[0].remaining;
    assert!(remaining == 20 || remaining == 19, "{remaining}");
    // Another limit beside it starts full.
    let more: Quotas = "1/h burst 80; 1/day burst 7".parse().unwrap();
    let more = limiter(&server, more).await;
    assert_eq!(more.peek("alice").await.unwrap().limits()[1].remaining, 7);
}

#[tokio::test]
async fn the_clock_of_the_server_does_not_run_backwards_for_a_key() {
    let server = server!();
    let mut connection = server.connection().await;
    let limiter = limiter(&server, Quota::per_second(1000).burst(10)).await;
    limiter.try_acquire_n("alice", 10).await.unwrap();
    // As if the server's clock had been an hour ahead when the bucket was changed.
    let state: Vec<u8> = redis::cmd("GET").arg("{brimful:alice}").query_async(&mut connection).await.unwrap();
    let mut mark = [0; 8];
    mark[1..].copy_from_slice(&state[..7]);
    let ahead = (u64::from_be_bytes(mark) + 3_600_000_000).to_be_bytes();
    let state = [&ahead[1..], &state[7..]].concat();
    let _: () = redis::cmd("SET")
        .arg("{brimful:alice}")
        .arg(state)
        .arg("PX")
        .arg(7_200_000)
        .query_async(&mut connection)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(limiter.try_acquire("alice").await.is_err(), "the clock stands still");
    // The bucket is not forgotten before its own clock says that it is full.
    limiter.add_tokens("alice", 1).await.unwrap();
    let expires: i64 = redis::cmd("PTTL").arg("{brimful:alice}").query_async(&mut connection).await.unwrap();
    assert!(expires > 3_500_000, "{expires}");
    limiter.try_acquire("alice").await.unwrap();
    assert!(limiter.try_acquire("alice").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bound_holds_for_many_tasks() {
    let server = server!();
    let limiter = Arc::new(limiter(&server, Quota::per_second(2_000).burst(100)).await);
    let mut connection = server.connection().await;
    let time = async |connection: &mut redis::aio::MultiplexedConnection| {
        let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(connection).await.unwrap();
        seconds * 1_000_000 + micros
    };
    let begun = time(&mut connection).await;
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let limiter = limiter.clone();
            tokio::spawn(async move {
                let mut admitted = 0;
                for _ in 0..100 {
                    admitted += u64::from(limiter.try_acquire("k").await.is_ok());
                }
                admitted
            })
        })
        .collect();
    let mut admitted = 0;
    for task in tasks {
        admitted += task.await.unwrap();
    }
    let passed = time(&mut connection).await - begun;
    assert!(admitted >= 100 && admitted <= 100 + 2_000 * passed / 1_000_000, "{admitted} in {passed} us");
}

/// The bucket earns from its first call on, also if that was refused; and it does not start anew when it is full.
#[tokio::test]
async fn a_bucket_that_starts_below_its_burst() {
    let server = server!();
    let quota = Quota::per_second(50).burst(2).initial(0);
    let limiter = limiter(&server, quota).await;
    let refused = limiter.try_acquire("alice").await.unwrap_err();
    tokio::time::sleep(refused.retry_after().unwrap()).await;
    limiter.try_acquire("alice").await.unwrap();
    limiter.reset("alice").await.unwrap();
    limiter.try_acquire_n("alice", 2).await.unwrap();
    // Full again, and kept for some time.
    tokio::time::sleep(Duration::from_millis(60)).await;
    limiter.try_acquire_n("alice", 2).await.unwrap();
}

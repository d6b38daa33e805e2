//! The slots of models for requests in flight, shared by many processes, on a real server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use brimful::model::{Dimension, ModelConfig, ModelQuota};
use brimful_redis::{
    BuildError, FailurePolicy, SharedModelCause, SharedModelLimiter, SharedModelLimiterBuilder, Source,
};

use crate::server::{Server, server, until};

const PATIENCE: Duration = Duration::from_secs(20);

fn builder(quota: ModelQuota) -> SharedModelLimiterBuilder {
    let mut config = ModelConfig::new();
    config.models.insert("large".to_owned(), quota);
    config.default = Some(ModelQuota::new().max_parallel_requests(1));
    SharedModelLimiter::builder(config).deadline(PATIENCE).lease(PATIENCE * 2)
}

/// A limiter with a connection of its own, as another process has.
async fn limiter(server: &Server, quota: ModelQuota) -> SharedModelLimiter {
    builder(quota).build(server.store().await).unwrap()
}

async fn in_flight(limiter: &SharedModelLimiter, model: &str) -> u64 {
    let used = limiter.usage(model).await.unwrap();
    used.iter().find(|of| of.dimension == Dimension::MaxParallelRequests).unwrap().used
}

#[tokio::test]
async fn all_processes_together_have_so_many_requests_in_flight() {
    let server = server!();
    let quota = ModelQuota::new().max_parallel_requests(2).rpd(100);
    let (one, other) = (limiter(&server, quota).await, limiter(&server, quota).await);
    let first = one.try_acquire("large", 1).await.unwrap();
    let second = other.try_acquire("large", 1).await.unwrap();
    assert!(first.slot().is_some_and(|slot| slot.is_valid()) && second.slot().is_some());
    for limiter in [&one, &other] {
        let refused = limiter.try_acquire("large", 1).await.unwrap_err();
        assert_eq!(refused.cause(), &SharedModelCause::NoSlot { in_flight: 2, limit: 2 }, "{refused}");
        assert_eq!(limiter.usage("large").await.unwrap()[0].used, 2, "nothing was charged");
        // Models that are not listed have slots of their own.
        drop(limiter.acquire("small", 1).await.unwrap());
        let small = limiter.acquire("tiny", 1).await.unwrap();
        small.cancel().await.unwrap();
    }
    let late = one.acquire_within("large", 1, Duration::from_millis(20)).await.unwrap_err();
    assert_eq!(late.cause(), &SharedModelCause::TimedOut, "{late}");
    // A wait takes the slot that comes free in another process.
    let waits = tokio::spawn({
        let one = one.clone();
        async move { one.acquire("large", 1).await.unwrap() }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    drop(second);
    let third = waits.await.unwrap();
    assert_eq!(in_flight(&one, "large").await, 2);
    drop((first, third));
    until("the slots are free", async || in_flight(&one, "large").await == 0).await;
    let stats = one.stats();
    assert_eq!((stats.admitted, stats.denied, stats.admitted_by_policy), (4, 2, 0), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_wait_never_exceed_the_slots_and_all_come() {
    let server = server!();
    let quota = ModelQuota::new().max_parallel_requests(3).rpd(10_000);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut tasks = Vec::new();
    for _ in 0..3 {
        let limiter = limiter(&server, quota).await;
        for _ in 0..4 {
            let (limiter, now, most) = (limiter.clone(), now.clone(), most.clone());
            tasks.push(tokio::spawn(async move {
                for _ in 0..20 {
                    let mut permit = limiter.acquire("large", 5).await.unwrap();
                    most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    permit.commit(3).await.unwrap();
                    now.fetch_sub(1, Ordering::Relaxed);
                }
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(most.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_call_that_its_tokens_refuse_frees_its_slot() {
    let server = server!();
    let quota = ModelQuota::new().max_parallel_requests(1).tpd(100);
    let limiter = limiter(&server, quota).await;
    drop(limiter.try_acquire("large", 100).await.unwrap());
    until("the slot is free", async || in_flight(&limiter, "large").await == 0).await;
    let refused = limiter.try_acquire("large", 50).await.unwrap_err();
    assert!(matches!(refused.cause(), SharedModelCause::RateLimited { .. }), "{refused}");
    until("the slot is free", async || in_flight(&limiter, "large").await == 0).await;
    // So does one that is dropped while it waits for tokens.
    let waits = tokio::time::timeout(Duration::from_millis(100), limiter.acquire("large", 50)).await;
    assert!(waits.is_err());
    until("the slot is free", async || in_flight(&limiter, "large").await == 0).await;
    let never = limiter.acquire("large", 101).await.unwrap_err();
    assert!(matches!(never.cause(), SharedModelCause::ExceedsLimit { .. }), "{never}");
}

#[test]
fn the_slot_of_a_dead_process_returns_when_its_lease_ends() {
    fn lives<T>(future: impl Future<Output = T>) -> (tokio::runtime::Runtime, T) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let output = runtime.block_on(future);
        (runtime, output)
    }
    let server = server!();
    let quota = ModelQuota::new().max_parallel_requests(1);
    let short = || builder(quota).deadline(Duration::from_millis(500)).lease(Duration::from_millis(1_500));
    let (runtime, permit) = lives(async {
        let limiter = short().build(server.store().await).unwrap();
        limiter.try_acquire("large", 1).await.unwrap()
    });
    runtime.shutdown_background();
    let (_runtime, ()) = lives(async {
        let limiter = short().build(server.store().await).unwrap();
        let refused = limiter.try_acquire("large", 1).await.unwrap_err();
        assert!(matches!(refused.cause(), SharedModelCause::NoSlot { in_flight: 1, .. }), "{refused}");
        drop(limiter.acquire_within("large", 1, PATIENCE).await.unwrap());
    });
    assert!(!permit.slot().unwrap().is_valid());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_grants_slots_without_the_store() {
    for policy in [FailurePolicy::Deny, FailurePolicy::Allow, FailurePolicy::LocalShare(2)] {
        let mut server = server!();
        let quota = ModelQuota::new().max_parallel_requests(4);
        let builder = builder(quota).deadline(Duration::from_millis(400)).lease(PATIENCE).on_failure(policy);
        let limiter = builder.build(server.store().await).unwrap();
        drop(limiter.try_acquire("large", 10).await.unwrap());
        server.kill();
        let mut permits = Vec::new();
        let mut refused = None;
        while permits.len() < 10 && refused.is_none() {
            match limiter.try_acquire("large", 10).await {
                Ok(permit) => permits.push(permit),
                Err(error) => refused = Some(error),
            }
        }
        assert!(permits.iter().all(|permit| permit.source() == Source::Policy));
        let cause = refused.as_ref().map(|refused| refused.cause());
        match policy {
            FailurePolicy::Allow => assert!(cause.is_none() && permits.len() == 10, "{cause:?}"),
            FailurePolicy::Deny => {
                assert!(matches!(cause, Some(SharedModelCause::Unavailable(_))) && permits.is_empty(), "{cause:?}");
            }
            _ => {
                assert_eq!(cause, Some(&SharedModelCause::NoSlot { in_flight: 2, limit: 2 }));
                assert_eq!(permits.len(), 2);
            }
        }
        let stats = limiter.stats();
        assert_eq!(stats.admitted_by_policy, permits.len() as u64, "{stats:?}");
        assert_eq!(stats.denied_by_policy, u64::from(policy != FailurePolicy::Allow), "{stats:?}");
    }
}

/// Each of them has half of it.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn both_requests_of_a_call_are_within_the_deadline() {
    let server = server!();
    let quota = ModelQuota::new().max_parallel_requests(4);
    let deadline = Duration::from_secs(1);
    let builder = builder(quota).deadline(deadline).on_failure(FailurePolicy::Allow);
    let limiter = builder.build(server.store().await).unwrap();
    drop(limiter.try_acquire("large", 10).await.unwrap());
    server.signal("-STOP");
    let begun = Instant::now();
    let permit = limiter.try_acquire("large", 10).await.unwrap();
    let passed = begun.elapsed();
    server.signal("-CONT");
    println!("{passed:?} of {deadline:?}");
    assert_eq!((permit.source(), limiter.stats().failures), (Source::Policy, 2));
    // With a whole deadline each, it would be twice as long.
    assert!(passed < deadline * 2, "{passed:?}");
}

#[tokio::test]
async fn slots_need_a_lease_and_at_least_one() {
    let server = server!();
    let store = server.store().await;
    let none = builder(ModelQuota::new().max_parallel_requests(0)).build(store.clone()).unwrap_err();
    assert!(matches!(&none, BuildError::Model(limit, _) if limit == "large.max_parallel_requests"), "{none}");
    let slots = builder(ModelQuota::new()).build_on(store.clone()).unwrap_err();
    assert_eq!(slots, BuildError::Slots);
    let lease = builder(ModelQuota::new()).lease(PATIENCE).build(store).unwrap_err();
    assert_eq!(lease, BuildError::Lease(PATIENCE, PATIENCE / 2));
}

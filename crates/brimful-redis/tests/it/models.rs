//! The limits of LLM APIs, shared by many processes, on a real server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brimful::model::{Dimension, ModelConfig, ModelQuota, Usage};
use brimful_redis::{FailurePolicy, SharedModelCause, SharedModelLimiter, SharedModelLimiterBuilder, Source};

use crate::server::{Server, server};

const PATIENCE: Duration = Duration::from_secs(20);

fn builder(quota: ModelQuota) -> SharedModelLimiterBuilder {
    let mut config = ModelConfig::new();
    config.models.insert("large".to_owned(), quota);
    SharedModelLimiter::builder(config).deadline(PATIENCE)
}

/// A limiter with a connection of its own, as another process has.
async fn limiter(server: &Server, quota: ModelQuota) -> SharedModelLimiter {
    builder(quota).build(server.store().await).unwrap()
}

/// The use of each dimension. A quota per day is slower than any test.
async fn used(limiter: &SharedModelLimiter) -> Vec<(Dimension, u64)> {
    limiter.usage("large").await.unwrap().iter().map(|of| (of.dimension, of.used)).collect()
}

async fn micros(server: &Server) -> u64 {
    let mut connection = server.connection().await;
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(&mut connection).await.unwrap();
    seconds * 1_000_000 + micros
}

#[tokio::test]
async fn all_dimensions_are_charged_together_or_none() {
    let server = server!();
    let (one, other) = (ModelQuota::new().rpd(3).tpd(1_000), ModelQuota::new().rpd(3).tpd(1_000));
    let (one, other) = (limiter(&server, one).await, limiter(&server, other).await);
    drop(one.try_acquire("large", (300, 100)).await.unwrap());
    assert_eq!(used(&other).await, [(Dimension::Rpd, 1), (Dimension::Tpd, 400)]);
    let refused = other.try_acquire("large", (300, 400)).await.unwrap_err();
    let SharedModelCause::RateLimited { dimension: Dimension::Tpd, retry_after } = refused.cause() else {
        panic!("{refused}");
    };
    // A hundred of a thousand a day.
    assert!(*retry_after <= Duration::from_secs(8_640) && *retry_after > Duration::from_secs(8_000), "{refused}");
    assert_eq!(used(&one).await, [(Dimension::Rpd, 1), (Dimension::Tpd, 400)], "nothing was charged");
    for limiter in [&one, &other] {
        drop(limiter.try_acquire("large", 1).await.unwrap());
    }
    let refused = one.try_acquire("large", 1).await.unwrap_err();
    assert!(matches!(refused.cause(), SharedModelCause::RateLimited { dimension: Dimension::Rpd, .. }), "{refused}");
    let never = one.try_acquire("large", 1_001).await.unwrap_err();
    assert!(matches!(never.cause(), SharedModelCause::ExceedsLimit { estimate: 1_001, most: 1_000, .. }), "{never}");
    assert_eq!(one.acquire("large", 1_001).await.unwrap_err(), never);
    let unknown = one.acquire("small", 1).await.unwrap_err();
    assert_eq!(unknown.cause(), &SharedModelCause::UnknownModel);
    let stats = one.stats();
    assert_eq!((stats.admitted, stats.denied), (2, 1));
}

/// Each call costs one trip, and one or two more if its usage is not the estimate.
#[tokio::test]
async fn a_commit_charges_the_usage_in_each_dimension_apart() {
    let server = server!();
    let quota = ModelQuota::new().rpd(100).tpd(10_000).input_tpm(1_000_000);
    let limiter = limiter(&server, quota).await;
    let (rpd, tpd) = (Dimension::Rpd, Dimension::Tpd);
    let of_days =
        async || used(&limiter).await.into_iter().filter(|(of, _)| *of != Dimension::InputTpm).collect::<Vec<_>>();
    let mut permit = limiter.try_acquire("large", (1_000, 500)).await.unwrap();
    assert_eq!((permit.estimate(), permit.source()), (Usage { input: 1_000, output: 500 }, Source::Store));
    let trips = limiter.stats().requests;
    permit.commit((1_000, 500)).await.unwrap();
    assert_eq!(limiter.stats().requests, trips, "the usage is the estimate");
    permit.progress((1_000, 200)).await.unwrap();
    assert_eq!(of_days().await, [(rpd, 1), (tpd, 1_500)]);
    permit.progress((1_000, 700)).await.unwrap();
    assert_eq!(of_days().await, [(rpd, 1), (tpd, 1_700)]);
    // More input, and less in all.
    let trips = limiter.stats().requests;
    permit.commit((1_200, 100)).await.unwrap();
    assert_eq!(limiter.stats().requests, trips + 2);
    assert_eq!(of_days().await, [(rpd, 1), (tpd, 1_300)]);
    let input = limiter.usage("large").await.unwrap()[0];
    assert!(input.used <= 1_200 && input.limit == 1_000_000, "{input:?}");
    // Dropped, it keeps its charge.
    drop(permit);
    drop(limiter.try_acquire("large", 500).await.unwrap());
    assert_eq!(of_days().await, [(rpd, 2), (tpd, 1_800)]);
    limiter.try_acquire("large", 500).await.unwrap().cancel().await.unwrap();
    assert_eq!(of_days().await, [(rpd, 2), (tpd, 1_800)]);
    // Into debt, down to a burst: no call is admitted, also one without tokens.
    limiter.try_acquire("large", 0).await.unwrap().commit(100_000).await.unwrap();
    assert_eq!(of_days().await, [(rpd, 3), (tpd, 20_000)]);
    assert!(limiter.try_acquire("large", 0).await.is_err());
}

/// `limit + limit × T / minute`, over two processes.
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_hold_the_bounds_of_every_dimension() {
    let server = server!();
    // 50 requests and 5000 tokens a second.
    let (rpm, tpm) = (3_000, 300_000);
    let quota = ModelQuota::new().rpm(rpm).tpm(tpm).output_tpm(tpm).rpd(1_000_000);
    let begun = micros(&server).await;
    let (requests, tokens) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (mut tasks, mut limiters) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let limiter = limiter(&server, quota).await;
        limiters.push(limiter.clone());
        for nth in 0..8 {
            let (limiter, requests, tokens) = (limiter.clone(), requests.clone(), tokens.clone());
            tasks.push(tokio::spawn(async move {
                for call in 0..300 {
                    let estimate = 50 + (nth * 7_919 + call * 104_729) % 200;
                    if let Ok(mut permit) = limiter.try_acquire("large", estimate).await {
                        // Half of the calls use less.
                        let used = if call % 2 == 0 { estimate } else { estimate / 2 };
                        permit.commit(used).await.unwrap();
                        requests.fetch_add(1, Ordering::Relaxed);
                        tokens.fetch_add(used, Ordering::Relaxed);
                    }
                }
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    let passed = micros(&server).await - begun;
    let (requests, tokens) = (requests.load(Ordering::Relaxed), tokens.load(Ordering::Relaxed));
    let trips: u64 = limiters.iter().map(|limiter| limiter.stats().requests).sum();
    let most = |limit: u64| limit + limit * passed / 60_000_000;
    println!(
        "{requests} requests of {}, {tokens} tokens of {}, in {passed} us; {trips} trips for 4800 calls",
        most(rpm),
        most(tpm)
    );
    assert!(requests <= most(rpm) && tokens <= most(tpm), "{requests}, {tokens} in {passed} us");
    // The tokens bind, and are used up but for less than the largest estimate.
    assert!(tokens >= tpm - 250, "{tokens}");
}

/// All processes see it, the longest one counts, and no burst comes after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_pause_stops_all_processes() {
    let server = server!();
    let quota = ModelQuota::new().rpm(600).tpd(1_000);
    let (one, other) = (limiter(&server, quota).await, limiter(&server, quota).await);
    drop(one.try_acquire("large", 10).await.unwrap());
    let seconds = Duration::from_secs;
    let paused = async |limiter: &SharedModelLimiter| {
        let refused = limiter.try_acquire("large", 10).await.unwrap_err();
        let SharedModelCause::Paused { retry_after } = refused.cause() else { panic!("{refused}") };
        *retry_after
    };
    // Both at once do not add up.
    let (first, second) = tokio::join!(one.pause_for("large", seconds(600)), other.pause_for("large", seconds(600)));
    first.and(second).unwrap();
    let time = paused(&other).await;
    assert!(time > seconds(580) && time < seconds(601), "{time:?}");
    other.pause_for("large", seconds(5)).await.unwrap();
    assert!(paused(&one).await > seconds(580), "a shorter one does not end it");
    other.pause_for("large", seconds(3_000)).await.unwrap();
    let time = paused(&one).await;
    assert!(time > seconds(2_980) && time < seconds(3_001), "{time:?}");
    let of_the_day = used(&one).await[1];
    assert_eq!(of_the_day, (Dimension::Tpd, 10), "a pause takes nothing of a day");
    // A minute's requests, and a minute of debt, however many have paused.
    assert_eq!(used(&one).await[0], (Dimension::Rpm, 1_200));
    let late = one.acquire_within("large", 10, seconds(1)).await.unwrap_err();
    assert!(matches!(late.cause(), SharedModelCause::Paused { .. }), "{late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_buckets_of_minutes_are_empty_after_a_pause() {
    let server = server!();
    // One request every 100 ms.
    let quota = ModelQuota::new().rpm(600);
    let (one, other) = (limiter(&server, quota).await, limiter(&server, quota).await);
    let begun = micros(&server).await;
    one.pause_for("large", Duration::from_millis(300)).await.unwrap();
    for limiter in [&one, &other, &one] {
        drop(limiter.acquire("large", 10).await.unwrap());
    }
    let passed = micros(&server).await - begun;
    assert!(passed >= 300_000 + 3 * 100_000, "{passed} us");
    let used = used(&one).await[0].1;
    assert!(used >= 595, "{used} of 600");
}

/// Each of the processes sees full buckets, and they are emptied once.
#[tokio::test(flavor = "multi_thread")]
async fn processes_that_pause_together_empty_the_buckets_once() {
    let server = server!();
    let quota = ModelQuota::new().rpm(600).tpm(60_000);
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let limiter = limiter(&server, quota).await;
        tasks.push(tokio::spawn(async move { limiter.pause_for("large", Duration::from_millis(1)).await }));
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let used = used(&limiter(&server, quota).await).await;
    assert!(used[0].1 <= 601 && used[1].1 <= 60_002, "{used:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_wait_are_admitted_at_the_rate() {
    let server = server!();
    let quota = ModelQuota::new().tpm(60_000).strict();
    let limiters = [limiter(&server, quota).await, limiter(&server, quota).await];
    // Half of the limit is the burst.
    drop(limiters[0].try_acquire("large", 30_000).await.unwrap());
    let begun = micros(&server).await;
    let tasks: Vec<_> = (0..10)
        .map(|nth| {
            let limiter = limiters[nth % 2].clone();
            tokio::spawn(async move { drop(limiter.acquire_within("large", 50, PATIENCE).await.unwrap()) })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    // 500 tokens a second, of which 500 were needed.
    let passed = micros(&server).await - begun;
    assert!(passed >= 950_000, "{passed} us");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_decides_without_the_store() {
    let quota = ModelQuota::new().rpm(120).tpd(1_000);
    for policy in [FailurePolicy::Deny, FailurePolicy::Allow, FailurePolicy::LocalShare(2)] {
        let mut server = server!();
        let builder = builder(quota).deadline(Duration::from_millis(200)).on_failure(policy);
        let limiter = builder.build(server.store().await).unwrap();
        drop(limiter.try_acquire("large", 10).await.unwrap());
        server.kill();
        let decided = limiter.try_acquire("large", 10).await;
        match policy {
            FailurePolicy::Allow => {
                let mut permit = decided.unwrap();
                assert_eq!(permit.source(), Source::Policy);
                permit.commit(5).await.unwrap();
            }
            FailurePolicy::Deny => {
                let refused = decided.unwrap_err();
                assert!(matches!(refused.cause(), SharedModelCause::Unavailable(_)), "{refused}");
            }
            // It begins empty, with half of the rate.
            _ => {
                let refused = decided.unwrap_err();
                assert!(matches!(refused.cause(), SharedModelCause::Local(_)), "{refused}");
                let time = refused.retry_after().unwrap();
                assert!(time <= Duration::from_secs(1) && time > Duration::from_millis(500), "{time:?}");
            }
        }
        assert!(limiter.pause_for("large", Duration::from_secs(1)).await.is_err());
        server.restart();
        let begun = tokio::time::Instant::now();
        while limiter.usage("large").await.is_err() {
            assert!(begun.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(limiter.try_acquire("large", 10).await.unwrap().source(), Source::Store);
    }
}

#[tokio::test]
async fn a_limit_that_cannot_be_shared_is_named() {
    let server = server!();
    let zero = builder(ModelQuota::new().tpm(0)).build(server.store().await).unwrap_err();
    assert!(zero.to_string().starts_with("large.tpm: "), "{zero}");
}

//! Models that are added, changed and removed while calls are in flight and wait.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use brimful::MockClock;
use brimful::model::{Dimension, ModelCause, ModelLimiter, ModelQuota};
use proptest::prelude::*;

use crate::model::{Limiter, advance, in_flight, limiter, used};
use crate::support::Random;
use crate::waiting::poll;

fn set(limiter: &Limiter, quota: ModelQuota) {
    limiter.set_model("m", quota).expect("a quota");
}

#[test]
fn dimensions_that_stay_keep_their_tokens_and_their_debt() {
    let limiter = limiter(ModelQuota::new().rpm(60).tpm(600));
    let mut permit = limiter.try_acquire("m", 500).expect("it is there");
    // Above all that it has been, below, and above again.
    for (tpm, missing) in [(6_000, 5_900), (100, 0), (800, 700), (600, 500), (60_000, 59_900)] {
        set(&limiter, ModelQuota::new().rpm(60).tpm(tpm));
        assert_eq!((used(&limiter, Dimension::Tpm), used(&limiter, Dimension::Rpm)), (missing, 1), "{tpm}");
        assert_eq!(limiter.quota("m").and_then(|quota| quota.tpm), Some(tpm));
    }
    // A debt is kept as well.
    permit.commit(700);
    drop(permit);
    assert_eq!(used(&limiter, Dimension::Tpm), 60_100);
    set(&limiter, ModelQuota::new().rpm(60).tpm(120_000));
    assert_eq!(used(&limiter, Dimension::Tpm), 120_100);
    advance(&limiter, 60_000);
    assert_eq!(used(&limiter, Dimension::Tpm), 100);
    assert_eq!(used(&limiter, Dimension::Rpm), 0);
}

#[test]
fn permits_are_settled_where_they_were_charged() {
    let limiter = limiter(ModelQuota::new().tpm(1_000));
    let mut before = limiter.try_acquire("m", (300, 100)).expect("it is there");
    set(&limiter, ModelQuota::new().tpm(1_000).input_tpm(500).max_parallel_requests(1));
    assert_eq!((used(&limiter, Dimension::Tpm), used(&limiter, Dimension::InputTpm)), (400, 0));
    assert!(limiter.try_acquire("m", 1).is_err(), "one is in flight");
    before.commit((100, 100));
    assert_eq!((used(&limiter, Dimension::Tpm), used(&limiter, Dimension::InputTpm)), (200, 0));
    before.cancel();
    assert_eq!((used(&limiter, Dimension::Tpm), in_flight(&limiter)), (0, 0));
    let after = limiter.try_acquire("m", (200, 0)).expect("it is there");
    // The dimension goes, and another one comes by the same name.
    set(&limiter, ModelQuota::new().tpm(1_000));
    set(&limiter, ModelQuota::new().tpm(1_000).input_tpm(500));
    after.cancel();
    assert_eq!((used(&limiter, Dimension::Tpm), used(&limiter, Dimension::InputTpm)), (0, 0));
}

#[test]
fn waiters_keep_their_places_and_are_timed_anew() {
    let limiter = limiter(ModelQuota::new().rpm(60).tpm(600));
    drop(limiter.try_acquire("m", 600));
    let (mut first, mut second) = (limiter.acquire("m", 100), limiter.acquire("m", 300));
    let mut hopeful = limiter.acquire("m", 1).within(Duration::from_secs(45));
    assert!(poll(&mut first).is_none() && poll(&mut second).is_none() && poll(&mut hopeful).is_none());
    // Ten times as fast: ten tokens a second become a hundred.
    set(&limiter, ModelQuota::new().rpm(60).tpm(6_000));
    advance(&limiter, 999);
    assert!(poll(&mut first).is_none());
    advance(&limiter, 1);
    assert!(matches!(poll(&mut first), Some(Ok(_))) && poll(&mut second).is_none());
    // A twentieth: the last cannot be served in time any longer.
    set(&limiter, ModelQuota::new().rpm(60).tpm(300));
    let late = poll(&mut hopeful).expect("it is refused").map(drop).unwrap_err();
    assert!(matches!(late.cause(), ModelCause::TooLate(Dimension::Tpm, _)), "{late}");
    assert!(poll(&mut second).is_none());
    set(&limiter, ModelQuota::new().rpm(60).tpm(240));
    let exceeds = poll(&mut second).expect("it is refused").map(drop).unwrap_err();
    assert!(matches!(exceeds.cause(), ModelCause::ExceedsLimit(Dimension::Tpm, _)), "{exceeds}");
    // No dimension is left, and none has to be waited for.
    let mut third = limiter.acquire("m", 240);
    assert!(poll(&mut third).is_none());
    set(&limiter, ModelQuota::new());
    assert!(matches!(poll(&mut third), Some(Ok(_))));
    assert!(limiter.try_acquire("m", (u64::MAX, 1)).is_ok());
}

#[test]
fn a_wait_that_was_granted_before_a_change_is_settled_where_it_was_charged() {
    let limiter = limiter(ModelQuota::new().tpm(600));
    drop(limiter.try_acquire("m", 600));
    let (mut first, mut second) = (limiter.acquire("m", 10), limiter.acquire("m", 10));
    assert!(poll(&mut first).is_none() && poll(&mut second).is_none());
    advance(&limiter, 1_000);
    set(&limiter, ModelQuota::new().tpm(600).input_tpm(100));
    advance(&limiter, 1_000);
    // The first was granted before the dimension came, and the second after it.
    let (first, second) = (poll(&mut first).expect("it is over"), poll(&mut second).expect("it is over"));
    assert_eq!((used(&limiter, Dimension::Tpm), used(&limiter, Dimension::InputTpm)), (600, 10));
    first.expect("it is granted").commit(50);
    assert_eq!((used(&limiter, Dimension::Tpm), used(&limiter, Dimension::InputTpm)), (640, 10));
    second.expect("it is granted").commit(50);
    assert_eq!((used(&limiter, Dimension::Tpm), used(&limiter, Dimension::InputTpm)), (680, 50));
}

#[test]
fn slots_come_and_go_under_the_permits_that_are_out() {
    let limiter = limiter(ModelQuota::new());
    let permits: Vec<_> = (0..4).map(|_| limiter.try_acquire("m", 1).expect("no limit")).collect();
    set(&limiter, ModelQuota::new().max_parallel_requests(3));
    let mut wait = limiter.acquire("m", 1);
    assert!(poll(&mut wait).is_none());
    let mut permits = permits.into_iter();
    drop(permits.next());
    assert!(poll(&mut wait).is_none(), "three are in flight");
    set(&limiter, ModelQuota::new().max_parallel_requests(4));
    assert!(matches!(poll(&mut wait), Some(Ok(_))));
    drop(permits);
    assert_eq!(in_flight(&limiter), 0);
}

#[test]
fn a_removed_model_refuses_its_waiters_and_settles_its_permits() {
    let builder = ModelLimiter::builder().default(ModelQuota::new().rpm(1)).model("m", ModelQuota::new().rpm(2));
    let limiter = builder.clock(MockClock::new()).build().expect("a limiter");
    let handle = limiter.model("m").expect("it is listed");
    let (first, second) = (handle.try_acquire(1).expect("a request"), handle.try_acquire(1).expect("a request"));
    let mut wait = handle.acquire(1);
    assert!(poll(&mut wait).is_none());
    assert!(limiter.remove_model("m"));
    let removed = |answer: Option<Result<_, brimful::model::ModelError>>| {
        answer.map(|answer| answer.map(drop).unwrap_err().cause())
    };
    assert_eq!(removed(poll(&mut wait)), Some(ModelCause::ModelRemoved));
    assert_eq!(removed(poll(&mut handle.acquire(1))), Some(ModelCause::ModelRemoved));
    assert_eq!(removed(Some(handle.try_acquire(1))), Some(ModelCause::ModelRemoved));
    first.cancel();
    drop(second);
    // By the default, and anew.
    assert!(limiter.try_acquire("m", 1).is_ok() && limiter.try_acquire("m", 1).is_err());
    limiter.set_default(ModelQuota::new().rpm(3)).expect("a quota");
    assert_eq!(limiter.quota("m"), Some(ModelQuota::new().rpm(3)));
    limiter.set_default(None).expect("none");
    assert!(limiter.try_acquire("n", 1).is_err());
    // The model is there, and has one of its requests: the tokens are kept.
    limiter.clock().advance(Duration::from_secs(20));
    assert!(limiter.try_acquire("m", 1).is_ok());
}

/// The quota changes all the time while threads call, wait, give up, cancel and commit. In the end, every waiter was
/// served, and every slot is free.
#[test]
fn no_waiter_is_lost_while_the_quota_changes() {
    let builder = ModelLimiter::builder().model("m", ModelQuota::new().rpm(60_000).max_parallel_requests(2));
    let limiter = builder.build().expect("a limiter");
    let (running, granted, ended) = (AtomicUsize::new(4), AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for seed in 0..4 {
            let (limiter, running, granted) = (&limiter, &running, &granted);
            scope.spawn(move || {
                let mut random = Random::new(seed);
                for _ in 0..300 {
                    let estimate = (random.below(50), random.below(50));
                    let permit = match random.below(4) {
                        0 => limiter.try_acquire("m", estimate),
                        1 => limiter.acquire("m", estimate).within(Duration::from_millis(1)).wait(),
                        _ => limiter.acquire_blocking("m", estimate),
                    };
                    let Ok(mut permit) = permit else { continue };
                    granted.fetch_add(1, Ordering::Relaxed);
                    match random.below(3) {
                        0 => permit.cancel(),
                        1 => permit.commit((random.below(60), random.below(60))),
                        _ => {}
                    }
                }
                running.fetch_sub(1, Ordering::SeqCst);
            });
        }
        let (limiter, running, ended) = (&limiter, &running, &ended);
        scope.spawn(move || {
            let mut random = Random::new(99);
            while running.load(Ordering::SeqCst) > 0 {
                let mut quota = ModelQuota::new().max_parallel_requests(1 + random.below(3));
                let mut limit = |least: u64| (random.below(3) > 0).then(|| least + random.below(1_000_000));
                (quota.rpm, quota.tpm, quota.input_tpm, quota.rpd) =
                    (limit(60_000), limit(6_000_000), limit(6_000_000), limit(1_000_000_000));
                limiter.set_model("m", quota).expect("a quota");
                thread::yield_now();
            }
            ended.store(true, Ordering::SeqCst);
        });
    });
    assert!(granted.into_inner() > 500 && ended.into_inner());
    let stats = limiter.stats_of("m").expect("it is listed");
    assert_eq!((stats.in_flight, stats.waiting), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// A level that is carried through any changes of the limit is that of one bucket whose burst and rate change.
    #[test]
    fn levels_are_carried_through_any_changes(steps in proptest::collection::vec((1..100_000u64, 0..300_000u64, 0..120_000u64), 1..20)) {
        let limiter = limiter(ModelQuota::new().tpm(1_000));
        // In millionths of a token.
        let (mut limit, mut held) = (1_000i128, 1_000_000_000i128);
        for (nth, (next, take, milliseconds)) in steps.into_iter().enumerate() {
            let taken = take.min(limit as u64);
            let admitted = limiter.try_acquire("m", taken);
            let is_there = held >= i128::from(taken) * 1_000_000;
            // At the edge, a unit that is lost in a change may decide.
            let close = (held - i128::from(taken) * 1_000_000).abs() < 1_000 * (nth as i128 + 1);
            prop_assert!(admitted.is_ok() == is_there || close, "{held} held, {taken} taken");
            if admitted.is_ok() {
                held -= i128::from(taken) * 1_000_000;
            }
            drop(admitted);
            advance(&limiter, milliseconds);
            held = (held + limit * 1_000_000 * i128::from(milliseconds) / 60_000).min(limit * 1_000_000);
            set(&limiter, ModelQuota::new().tpm(next));
            limit = i128::from(next);
            held = held.min(limit * 1_000_000);
            let missing = (limit * 1_000_000 - held) as f64 / 1e6;
            let is = used(&limiter, Dimension::Tpm) as f64;
            prop_assert!((is - missing).abs() < 1.01, "{is} used, {missing} missing");
        }
    }
}

//! Hints of servers: all calls pause, they come back slowly, and counts are corrected.

use std::time::Duration;

use brimful::MockClock;
use brimful::model::{Dimension, DimensionHint, ModelCause, ModelLimiter, ModelQuota, ServerHints};

use crate::model::{Limiter, advance, in_flight, limiter, used};
use crate::waiting::poll;

const QUOTA: ModelQuota = ModelQuota::new().rpm(60).tpm(600);

pub(crate) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Returns the time until a call is admitted.
pub(crate) fn wait(limiter: &Limiter) -> Duration {
    match limiter.try_acquire("m", 1) {
        Ok(permit) => {
            permit.cancel();
            Duration::ZERO
        }
        Err(error) => error.retry_after().expect("it is known"),
    }
}

fn remaining(dimension: Dimension, left: u64) -> ServerHints {
    ServerHints::new().dimension(dimension, DimensionHint::new().remaining(left))
}

#[test]
fn after_a_refusal_everybody_pauses_and_comes_back_one_by_one() {
    let limiter = limiter(QUOTA);
    let mut before = limiter.acquire("m", 1);
    assert!(matches!(poll(&mut before), Some(Ok(_))));
    drop(before);
    limiter.observe("m", &ServerHints::new().refused().retry_after(seconds(20)));
    assert_eq!(limiter.stats_of("m").expect("it is listed").rate_limited, 1);
    // The first request is there a second after the end of the pause.
    assert_eq!(wait(&limiter), seconds(21));
    let mut waits: Vec<_> = (0..30).map(|_| limiter.acquire("m", 1)).collect();
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()));
    let mut hopeless = limiter.acquire("m", 1).within(seconds(19));
    let error = poll(&mut hopeless).expect("at once").map(drop).unwrap_err();
    assert!(matches!(error.cause(), ModelCause::TooLate(Dimension::Rpm, _)), "{error}");
    for second in 1..=40u64 {
        advance(&limiter, 1_000);
        waits.retain_mut(|wait| poll(wait).is_none());
        assert_eq!(waits.len() as u64, 30 - second.saturating_sub(20), "after {second} seconds");
    }
}

/// A refusal for a minute does not take the rest of the day, and a time of zero is none.
#[test]
fn a_pause_keeps_what_is_left_of_the_day() {
    let limiter = limiter(ModelQuota::new().rpm(60).rpd(250));
    limiter.observe("m", &ServerHints::new().refused().retry_after(seconds(2)));
    assert_eq!(wait(&limiter), seconds(3));
    advance(&limiter, 30_000);
    assert_eq!((wait(&limiter), used(&limiter, Dimension::Rpd)), (Duration::ZERO, 0));
    limiter.pause_for("m", Duration::ZERO);
    assert_eq!(wait(&limiter), Duration::ZERO);
    limiter.observe("m", &ServerHints::new().refused().retry_after(Duration::ZERO));
    assert!(wait(&limiter) >= seconds(1), "as without a time");
}

#[test]
fn a_pause_is_bounded_and_is_not_ended_by_a_shorter_one() {
    let limiter = limiter(QUOTA);
    limiter.pause_for("m", seconds(50));
    limiter.pause_for("m", seconds(5));
    limiter.observe("m", &ServerHints::new().retry_after(seconds(7)));
    assert_eq!(wait(&limiter), seconds(51));
    limiter.pause_for("m", Duration::MAX);
    assert_eq!(wait(&limiter), seconds(86_401));
    advance(&limiter, 86_400_000);
    assert_eq!((wait(&limiter), used(&limiter, Dimension::Tpm)), (seconds(1), 600));
    // Not known: it is not made for this.
    limiter.pause_for("n", seconds(1));
    assert_eq!(limiter.models(), ["m"]);
}

#[test]
fn a_refusal_without_a_time_pauses_for_longer_each_time() {
    let limiter = limiter(QUOTA);
    for pause in [1, 2, 4, 8, 16, 32, 64, 64] {
        // Of calls that were in flight together.
        for _ in 0..3 {
            limiter.observe("m", &ServerHints::new().refused());
        }
        assert_eq!(wait(&limiter), seconds(pause + 1));
        advance(&limiter, (pause + 1) * 1_000);
        assert_eq!(wait(&limiter), Duration::ZERO);
    }
    limiter.observe("m", &ServerHints::new());
    limiter.observe("m", &ServerHints::new().refused());
    assert_eq!(wait(&limiter), seconds(2));
    let exhausted = DimensionHint::new().remaining(0).reset_in(seconds(30));
    let rest = DimensionHint::new().remaining(5).reset_in(seconds(40));
    limiter.observe(
        "m",
        &ServerHints::new().refused().dimension(Dimension::Tpm, exhausted).dimension(Dimension::Rpm, rest),
    );
    assert_eq!(wait(&limiter), seconds(31));
}

#[test]
fn counts_are_corrected_downwards_at_once_and_upwards_slowly() {
    let limiter = limiter(QUOTA.rpd(100_000));
    limiter.observe("m", &remaining(Dimension::Rpm, 10));
    assert_eq!((used(&limiter, Dimension::Rpm), used(&limiter, Dimension::Tpm)), (50, 0));
    // A dimension that has no limit here.
    limiter.observe("m", &remaining(Dimension::InputTpm, 0));
    let mut left = 10.0;
    for _ in 0..5 {
        limiter.observe("m", &remaining(Dimension::Rpm, 1_000));
        left += (60.0 - left) / 8.0;
        assert_eq!(used(&limiter, Dimension::Rpm), (60.0f64 - left).ceil() as u64);
    }
    // Requests in flight may not be counted yet.
    limiter.observe("m", &remaining(Dimension::Tpm, 590));
    let permits: Vec<_> = (0..19).map(|_| limiter.try_acquire("m", 10).expect("it is there")).collect();
    let before = used(&limiter, Dimension::Rpm);
    limiter.observe("m", &remaining(Dimension::Rpm, 30));
    limiter.observe("m", &remaining(Dimension::Tpm, 500));
    assert_eq!((used(&limiter, Dimension::Rpm), used(&limiter, Dimension::Tpm)), (before, 200));
    drop(permits);
    limiter.observe("m", &remaining(Dimension::Tpm, 480));
    assert_eq!(used(&limiter, Dimension::Tpm), 190);
    limiter.observe("m", &remaining(Dimension::Tpm, 0));
    assert_eq!(used(&limiter, Dimension::Tpm), 600);
    // Less than nothing is left: a debt is not paid by a server that has nothing either.
    limiter.try_acquire("m", 0).expect("a request").commit(300);
    limiter.observe("m", &remaining(Dimension::Tpm, 0));
    assert_eq!(used(&limiter, Dimension::Tpm), 900);
}

#[test]
fn waiters_are_served_when_a_server_has_more() {
    let limiter = limiter(ModelQuota::new().tpm(600));
    limiter.observe("m", &remaining(Dimension::Tpm, 0));
    let mut wait = limiter.acquire("m", 30);
    assert!(poll(&mut wait).is_none());
    limiter.observe("m", &remaining(Dimension::Tpm, 600));
    let granted = poll(&mut wait).expect("an eighth of 600 is there").expect("it is granted");
    assert_eq!((granted.waited(), used(&limiter, Dimension::Tpm)), (Duration::ZERO, 555));
}

#[test]
fn a_pause_goes_on_when_the_quota_changes() {
    let limiter = limiter(QUOTA);
    limiter.try_acquire("m", 0).expect("a request").commit(1_000);
    limiter.pause_for("m", seconds(30));
    // The debt of 400 tokens goes on as well.
    assert_eq!(wait(&limiter), Duration::from_millis(70_100));
    limiter.set_model("m", QUOTA.input_tpm(1_000)).expect("a quota");
    assert_eq!(wait(&limiter), Duration::from_millis(70_100));
    let slots = ModelQuota::new().max_parallel_requests(5);
    for quota in [ModelQuota::new().rpm(6_000), ModelQuota::new(), slots, QUOTA] {
        limiter.set_model("m", quota).expect("a quota");
        let wait = wait(&limiter);
        assert!((seconds(30)..=seconds(31)).contains(&wait), "{wait:?} by {quota:?}");
    }
    limiter.set_model("m", ModelQuota::new().max_parallel_requests(5)).expect("a quota");
    advance(&limiter, 29_999);
    assert!(limiter.try_acquire("m", 1).is_err());
    advance(&limiter, 1);
    let permits: Vec<_> = (0..5).map(|_| limiter.try_acquire("m", 1)).collect();
    assert!(permits.iter().all(Result::is_ok) && limiter.try_acquire("m", 1).is_err());
}

#[test]
fn calls_that_end_in_a_pause_are_settled() {
    let limiter = limiter(QUOTA.max_parallel_requests(3));
    let mut permits: Vec<_> = (0..3).map(|_| limiter.try_acquire("m", 100).expect("it is there")).collect();
    // For longer than a bucket takes to refill.
    limiter.pause_for("m", seconds(500));
    assert_eq!((used(&limiter, Dimension::Rpm), used(&limiter, Dimension::Tpm)), (60, 600));
    permits[0].commit(50);
    assert_eq!(used(&limiter, Dimension::Tpm), 600);
    permits[1].commit(250);
    assert_eq!(used(&limiter, Dimension::Tpm), 750);
    let last = permits.pop().expect("three");
    last.cancel();
    assert_eq!((used(&limiter, Dimension::Rpm), used(&limiter, Dimension::Tpm), in_flight(&limiter)), (60, 650, 2));
    // Tokens that were given back are not used before the end of the pause.
    assert_eq!(wait(&limiter), Duration::from_millis(505_100));
    drop(permits);
    advance(&limiter, 570_000);
    assert_eq!((used(&limiter, Dimension::Rpm), used(&limiter, Dimension::Tpm), in_flight(&limiter)), (0, 0, 0));
}

#[test]
fn a_pause_is_ended_by_hand() {
    let limiter = limiter(QUOTA.rpd(100).max_parallel_requests(5));
    (0..10).for_each(|_| drop(limiter.try_acquire("m", 1).expect("it is there")));
    limiter.try_acquire("m", 0).expect("a request").commit(1_100);
    let before = used(&limiter, Dimension::Rpd);
    limiter.resume("m");
    assert_eq!(wait(&limiter), Duration::from_millis(51_100), "no pause is on");
    limiter.pause_for("m", seconds(500));
    let mut waiter = limiter.acquire("m", 0);
    assert!(poll(&mut waiter).is_none());
    advance(&limiter, 1_000);
    limiter.resume("m");
    limiter.resume("n");
    assert_eq!((used(&limiter, Dimension::Rpm), used(&limiter, Dimension::Rpd)), (60, before));
    assert_eq!(used(&limiter, Dimension::Tpm), 1_110, "the debt is as before");
    advance(&limiter, 50_999);
    assert!(poll(&mut waiter).is_none());
    advance(&limiter, 1);
    assert!(matches!(poll(&mut waiter), Some(Ok(_))));
    for quota in [ModelQuota::new(), ModelQuota::new().max_parallel_requests(5)] {
        limiter.set_model("m", quota).expect("a quota");
        limiter.pause_for("m", seconds(500));
        let mut waiter = limiter.acquire("m", 0);
        assert!(poll(&mut waiter).is_none());
        limiter.model("m").expect("it is listed").resume();
        assert!(matches!(poll(&mut waiter), Some(Ok(_))));
    }
}

#[test]
fn a_model_without_buckets_pauses_too() {
    let limiter = limiter(ModelQuota::new().max_parallel_requests(2));
    let permit = limiter.try_acquire("m", 1).expect("a slot");
    permit.observe(&ServerHints::new().refused().retry_after(seconds(3)));
    permit.cancel();
    let mut wait = limiter.acquire("m", 1);
    assert!(poll(&mut wait).is_none());
    advance(&limiter, 2_999);
    assert!(poll(&mut wait).is_none());
    advance(&limiter, 1);
    assert!(matches!(poll(&mut wait), Some(Ok(_))));
}

#[test]
fn a_learned_estimate_is_not_above_a_burst() {
    let builder = ModelLimiter::builder().model("m", QUOTA).learning(brimful::model::Learning::new());
    let limiter = builder.clock(MockClock::new()).build().expect("a limiter");
    for _ in 0..50 {
        limiter.try_acquire("m", (10, 10)).expect("it is there").commit((20, 5));
        advance(&limiter, 60_000);
    }
    let scales = limiter.stats_of("m").expect("it is listed").scales.expect("it learns");
    assert!((1.9..=2.0).contains(&scales.0) && (0.5..0.6).contains(&scales.1), "{scales:?}");
    // Twice this estimate is above the burst.
    let permit = limiter.try_acquire("m", 400).expect("the estimate is not above the burst");
    assert_eq!(used(&limiter, Dimension::Tpm), 600);
    permit.cancel();
    assert_eq!(used(&limiter, Dimension::Tpm), 0);
    let error = limiter.try_acquire("m", 601).map(drop).unwrap_err();
    assert!(error.to_string().contains("an estimate of 601"), "{error}");
    // An estimate above the burst that is scaled below it is admitted.
    assert!(limiter.try_acquire("m", (0, 700)).is_ok());
}

/// The calls in flight are those of the model, without the one that was answered.
#[test]
fn only_other_calls_of_the_model_keep_a_count_down() {
    let builder = ModelLimiter::builder().model("m", QUOTA).model("n", QUOTA);
    let limiter = builder.clock(MockClock::new()).build().expect("a limiter");
    let _of_another_model = limiter.try_acquire("n", 1).expect("it is there");
    limiter.observe("m", &remaining(Dimension::Tpm, 0));
    limiter.observe("m", &remaining(Dimension::Tpm, 80));
    assert_eq!(used(&limiter, Dimension::Tpm), 590);
    limiter.observe("m", &remaining(Dimension::Rpm, 10));
    let call = limiter.try_acquire("m", 0).expect("a request");
    assert_eq!((used(&limiter, Dimension::Rpm), used(&limiter, Dimension::Tpm)), (51, 590));
    // By name, the call in flight may be another one than that which was answered.
    limiter.observe("m", &remaining(Dimension::Tpm, 90));
    limiter.observe("m", &remaining(Dimension::Rpm, 10));
    assert_eq!((used(&limiter, Dimension::Rpm), used(&limiter, Dimension::Tpm)), (51, 590));
    call.observe(&remaining(Dimension::Tpm, 90));
    call.observe(&remaining(Dimension::Rpm, 17));
    assert_eq!((used(&limiter, Dimension::Rpm), used(&limiter, Dimension::Tpm)), (50, 580));
}

/// The tokens that a waiter needs are known when it begins to wait. Later commits and quotas do not change them.
#[test]
fn a_learned_estimate_of_a_waiter_stays() {
    let builder = ModelLimiter::builder().model("m", QUOTA).learning(brimful::model::Learning::new().weight(1.0));
    let limiter = builder.clock(MockClock::new()).build().expect("a limiter");
    let set = |tpm| limiter.set_model("m", QUOTA.tpm(tpm)).expect("a quota");
    let learn = |actual: u64| {
        advance(&limiter, 600_000);
        (0..9).for_each(|_| limiter.try_acquire("m", 10).expect("it is there").commit(actual));
        advance(&limiter, 600_000);
    };
    learn(20);
    drop(limiter.try_acquire("m", 300).expect("it is there"));
    let mut waits: Vec<_> = [200, 250, 400].map(|estimate| limiter.acquire("m", estimate)).into();
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()));
    // 400, 500 and, because 400 fits in the burst and 800 do not, 600 are waited for: the last not any longer.
    set(550);
    let error = poll(&mut waits[2]).expect("it is refused").map(drop).unwrap_err();
    assert!(matches!(error.cause(), ModelCause::ExceedsLimit(Dimension::Tpm, _)), "{error}");
    set(600);
    let before = used(&limiter, Dimension::Tpm);
    assert_eq!(before, 600);
    advance(&limiter, 39_999);
    assert!(poll(&mut waits[0]).is_none());
    advance(&limiter, 1);
    assert!(matches!(poll(&mut waits[0]), Some(Ok(_))));
    advance(&limiter, 49_999);
    assert!(poll(&mut waits[1]).is_none());
    advance(&limiter, 1);
    assert!(matches!(poll(&mut waits[1]), Some(Ok(_))));
}

/// A refusal after a pause was ended by hand begins the next pause.
#[test]
fn a_refusal_after_a_resume_pauses_again() {
    let limiter = limiter(QUOTA);
    limiter.observe("m", &ServerHints::new().refused().retry_after(seconds(60)));
    advance(&limiter, 5_000);
    limiter.resume("m");
    advance(&limiter, 1_000);
    assert!(wait(&limiter) < seconds(1));
    limiter.observe("m", &ServerHints::new().refused());
    assert!(wait(&limiter) > seconds(1));
}

//! Models that are not listed are forgotten for new ones, if no call would notice it.

use std::time::Duration;

use brimful::MockClock;
use brimful::model::{Learning, ModelCause, ModelLimiter, ModelQuota, ServerHints};

use crate::model::{Limiter, advance};
use crate::waiting::poll;

fn limiter(quota: ModelQuota, most: usize) -> Limiter {
    let builder = ModelLimiter::builder().default(quota).max_models(most);
    builder.model("listed", ModelQuota::new().rpm(1)).clock(MockClock::new()).build().expect("a limiter")
}

fn is_refused(limiter: &Limiter, name: &str) -> bool {
    let answer = limiter.try_acquire(name, 1).map(drop);
    answer.is_err_and(|error| matches!(error.cause(), ModelCause::TooManyModels(_)))
}

#[test]
fn an_unlisted_model_is_forgotten_when_it_is_full_and_unused() {
    let limiter = limiter(ModelQuota::new().rpm(1), 2);
    let handle = limiter.model("a").expect("by the default");
    let held = limiter.try_acquire("b", 1).expect("a request");
    advance(&limiter, 59_999);
    assert!(is_refused(&limiter, "c"));
    advance(&limiter, 1);
    // The limits of both are full, but one has a handle, and the other a call in flight.
    assert!(is_refused(&limiter, "c"));
    drop(held);
    assert!(limiter.try_acquire("c", 1).is_ok());
    assert_eq!(limiter.models(), ["a", "c", "listed"]);
    // It was used a moment ago.
    assert!(is_refused(&limiter, "b"));
    drop(handle);
    assert!(limiter.try_acquire("b", 1).is_ok());
    assert_eq!(limiter.models(), ["b", "c", "listed"]);
}

/// Each of these would be missed.
#[test]
fn a_model_that_would_be_missed_is_kept() {
    let tpd = ModelQuota::new().rpm(60).tpd(86_400).max_parallel_requests(1);
    let full = limiter(tpd, 1);
    drop(full.try_acquire("a", 100));
    // A token of the day is missing.
    advance(&full, 99_999);
    assert!(is_refused(&full, "b"));
    advance(&full, 1);
    // A wait that was polled, and the same that was dropped.
    let held = full.try_acquire("a", 0).expect("a slot");
    let mut wait = full.acquire("a", 0);
    assert!(poll(&mut wait).is_none());
    drop(held);
    advance(&full, 1_000);
    assert!(is_refused(&full, "b"), "it was granted");
    drop(wait);
    advance(&full, 1_000);
    assert!(full.try_acquire("b", 1).is_ok());
    // A pause, and the requests after it.
    let paused = limiter(ModelQuota::new().rpm(60), 1);
    drop(paused.model("a"));
    paused.pause_for("a", Duration::from_secs(3));
    advance(&paused, 3_000);
    assert!(is_refused(&paused, "b"));
    advance(&paused, 59_999);
    assert!(is_refused(&paused, "b"));
    advance(&paused, 1);
    assert!(!is_refused(&paused, "b"));
    // The scales and the row of refusals are lost with the model.
    let builder = ModelLimiter::builder().default(ModelQuota::new().tpm(600)).max_models(1).learning(Learning::new());
    let learning = builder.clock(MockClock::new()).build().expect("a limiter");
    learning.try_acquire("a", 10).expect("it is there").commit(20);
    learning.observe("a", &ServerHints::new().refused());
    advance(&learning, 60_999);
    assert!(is_refused(&learning, "b"));
    advance(&learning, 1);
    assert!(!is_refused(&learning, "b"));
    advance(&learning, 60_000);
    learning.try_acquire("a", 100).expect("it is there").observe(&ServerHints::new().refused());
    assert_eq!(learning.models(), ["a"]);
    let stats = learning.stats_of("a").expect("it was made again");
    assert_eq!((stats.scales, stats.rate_limited), (Some((1.0, 1.0)), 1));
    let error = learning.try_acquire("a", 0).map(drop).unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    // One that became listed does not count.
    learning.set_model("a", ModelQuota::new().tpm(600)).expect("a quota");
    assert!(learning.try_acquire("c", 1).is_ok());
}

/// Callers that choose new names for ever fill neither the memory nor the table: each name is admitted, if calls come
/// slowly enough.
#[test]
fn new_names_are_admitted_for_ever() {
    const MOST: usize = 100;
    let limiter = limiter(ModelQuota::new().rpm(60), MOST);
    for nth in 0..10_000u64 {
        let name = format!("model-{}", nth.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        limiter.try_acquire(&name, 1).expect("one is forgotten").commit(5);
        advance(&limiter, 100);
        assert!(limiter.models().len() <= MOST + 1);
    }
    assert_eq!(limiter.models().len(), MOST + 1);
    assert!(limiter.quota("listed").is_some());
    // One model in ten is full. A search may look at others only, and the next one goes on.
    for nth in 0..1_000 {
        advance(&limiter, 11);
        let name = format!("crowd-{nth}");
        assert!((0..4).any(|_| limiter.try_acquire(&name, 1).is_ok()), "{name}");
    }
    // A hundred at once: none of them is full again, and the next name is refused.
    advance(&limiter, 1_000);
    for nth in 0..MOST {
        assert!((0..4).any(|_| limiter.try_acquire(&format!("last-{nth}"), 1).is_ok()), "{nth}");
    }
    assert!((0..4).all(|_| is_refused(&limiter, "one-more")));
}

/// A model that is used and forgotten has admitted no more than one that was kept.
#[test]
fn a_forgotten_model_comes_back_as_it_was() {
    let forgets = limiter(ModelQuota::new().rpm(3), 1);
    let keeps = limiter(ModelQuota::new().rpm(3), 9);
    for step in 0..2_000u64 {
        let names = ["a", "b"];
        let name = names[(step.wrapping_mul(0x9E37_79B9) >> 8) as usize % 2];
        let (one, other) = (forgets.try_acquire(name, 1), keeps.try_acquire(name, 1));
        match one {
            Ok(_) => assert!(other.is_ok()),
            Err(error) if matches!(error.cause(), ModelCause::TooManyModels(_)) => {
                // As if it had not called.
                if let Ok(permit) = other {
                    permit.cancel();
                }
            }
            Err(error) => assert_eq!(other.map(drop).unwrap_err().retry_after(), error.retry_after()),
        }
        advance(&forgets, 9_000);
        advance(&keeps, 9_000);
    }
}

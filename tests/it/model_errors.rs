//! Each error of a model names the dimension that refused the call.

use std::time::Duration;

use brimful::MockClock;
use brimful::model::{Dimension, ModelAcquire, ModelCause, ModelError, ModelQuota};

use crate::model::{Limiter, advance, limiter};
use crate::waiting::poll;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn refused(limiter: &Limiter, estimate: u64) -> ModelError {
    limiter.try_acquire("m", estimate).map(drop).expect_err("it is refused")
}

fn ended(mut wait: ModelAcquire<MockClock>) -> ModelError {
    poll(&mut wait).expect("it is over").map(drop).expect_err("it is refused")
}

#[test]
fn a_pause_is_no_dimension() {
    for quota in [ModelQuota::new(), ModelQuota::new().max_parallel_requests(2), ModelQuota::new().tpm(600)] {
        let limiter = limiter(quota);
        limiter.pause_for("m", seconds(3));
        // Without tokens, nothing but the pause refuses the call.
        for error in [refused(&limiter, 0), ended(limiter.acquire("m", 0).within(seconds(2)))] {
            assert_eq!((error.dimension(), error.retry_after()), (None, Some(seconds(3))), "{error}");
            assert_eq!(error.to_string(), "m: paused: retry after 3s");
        }
        advance(&limiter, 3_000);
        assert!(limiter.try_acquire("m", 0).is_ok());
    }
}

#[test]
fn a_deadline_that_has_passed_names_what_is_missing() {
    let limiter = limiter(ModelQuota::new().tpm(600).max_parallel_requests(1));
    advance(&limiter, 1_000);
    let late = |estimate: u64| ended(limiter.acquire("m", estimate).until(1));
    let error = late(10);
    assert_eq!((error.dimension(), error.retry_after()), (None, Some(Duration::ZERO)), "{error}");
    assert_eq!(error.to_string(), "m: the deadline had passed before the wait began: allow a longer wait");
    assert_eq!(late(601).dimension(), Some(Dimension::Tpm));
    let held = limiter.try_acquire("m", 600).expect("it is there");
    assert_eq!(late(10).retry_after(), Some(seconds(1)), "{}", late(10));
    assert_eq!(late(0).dimension(), Some(Dimension::MaxParallelRequests));
    drop(held);
    assert_eq!((late(10).dimension(), late(0).dimension()), (Some(Dimension::Tpm), None));
}

#[test]
fn an_estimate_above_a_limit_is_refused_at_once_whatever_else_is_full() {
    let limiter = limiter(ModelQuota::new().rpm(60).tpm(600).max_parallel_requests(1));
    let held = limiter.try_acquire("m", 1).expect("it is there");
    let exceeds = |error: ModelError| {
        assert!(matches!(error.cause(), ModelCause::ExceedsLimit(Dimension::Tpm, _)), "{error}");
    };
    exceeds(refused(&limiter, 601));
    exceeds(ended(limiter.acquire("m", 601)));
    let mut first = limiter.acquire("m", 1);
    assert!(poll(&mut first).is_none());
    exceeds(refused(&limiter, 601));
    exceeds(ended(limiter.acquire("m", 601)));
    limiter.pause_for("m", seconds(10));
    exceeds(refused(&limiter, 601));
    exceeds(ended(limiter.acquire("m", 601)));
    drop(held);
}

#[test]
fn an_estimate_of_any_size_is_shown_as_it_was_given() {
    let limiter = limiter(ModelQuota::new().tpm(600).output_tpm(u64::from(u32::MAX)));
    for (estimate, shown) in [(1 << 32, "4294967296"), (u64::MAX, "18446744073709551615")] {
        let expected = format!("m.tpm: an estimate of {shown} is above the 600 that are ever admitted at once");
        assert_eq!(refused(&limiter, estimate).to_string(), expected);
        assert_eq!(ended(limiter.acquire("m", estimate)).to_string(), expected);
    }
    limiter.set_model("m", ModelQuota::new().output_tpm(u64::from(u32::MAX))).expect("a quota");
    let error = limiter.try_acquire("m", (0, 1 << 32)).map(drop).expect_err("it is above the limit");
    assert_eq!(
        error.to_string(),
        "m.output_tpm: an estimate of 4294967296 is above the 4294967295 that are ever admitted at once"
    );
    assert!(limiter.try_acquire("m", (0, u64::from(u32::MAX))).is_ok());
}

#[test]
fn a_call_behind_a_waiter_names_what_the_waiter_lacks() {
    let limiter = limiter(ModelQuota::new().rpm(60).tpm(600).max_parallel_requests(2));
    drop(limiter.try_acquire("m", 600));
    let mut first = limiter.acquire("m", 100);
    assert!(poll(&mut first).is_none());
    assert_eq!(refused(&limiter, 0).dimension(), Some(Dimension::Tpm));
    let error = ended(limiter.acquire("m", 0).within(seconds(5)));
    assert!(matches!(error.cause(), ModelCause::TooLate(Dimension::Tpm, _)), "{error}");
    assert_eq!(error.retry_after(), Some(seconds(10)), "it comes after the first one");
    advance(&limiter, 10_000);
    assert!(matches!(poll(&mut first), Some(Ok(_))));
}

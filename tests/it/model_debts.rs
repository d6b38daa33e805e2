//! A call waits while any dimension of its model is in debt, also one in which it is charged nothing.

use std::time::Duration;

use brimful::model::{Dimension, ModelCause, ModelQuota};

use crate::model::{Limiter, advance, limiter, used};
use crate::waiting::poll;

/// Input and output apart, as a server may count them.
const QUOTA: ModelQuota = ModelQuota::new().rpm(600).input_tpm(30_000).output_tpm(6_000);

/// A hundred tokens of output are earned in a second.
fn in_debt(quota: ModelQuota, debt: u64) -> Limiter {
    let limiter = limiter(quota);
    limiter.try_acquire("m", 1_000).expect("it is there").commit((1_000, 6_000 + debt));
    limiter
}

#[test]
fn a_call_without_an_estimate_of_the_output_waits_for_its_debt() {
    for quota in [QUOTA, QUOTA.tpm(90_000), QUOTA.tpm(90_000).rpd(9_000), QUOTA.tpm(90_000).rpd(9_000).tpd(900_000)] {
        let limiter = in_debt(quota, 3_000);
        let error = limiter.try_acquire("m", 1_000).map(drop).unwrap_err();
        assert!(matches!(error.cause(), ModelCause::RateLimited(Dimension::OutputTpm, _)), "{error}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(30)));
        advance(&limiter, 29_999);
        assert!(limiter.try_acquire("m", 1_000).is_err());
        advance(&limiter, 1);
        assert!(limiter.try_acquire("m", 1_000).is_ok());
        assert!(limiter.try_acquire("m", (1_000, 1)).is_err(), "nothing is there, and no debt");
        assert_eq!(used(&limiter, Dimension::OutputTpm), 6_000, "it takes nothing");
    }
}

/// The output goes from debt to debt, as calls go on without an estimate of it: on average, the limit holds.
#[test]
fn calls_without_an_estimate_of_the_output_keep_to_its_rate() {
    let limiter = limiter(QUOTA);
    let mut output = 0;
    for _ in 0..36_000 {
        if let Ok(mut permit) = limiter.try_acquire("m", 10) {
            permit.commit((10, 4_000));
            output += 4_000;
        }
        advance(&limiter, 100);
    }
    // An hour's worth, the burst, and one call's more.
    assert!((360_000..=370_000).contains(&output), "{output}");
}

#[test]
fn waiters_wait_for_a_debt_in_order() {
    let limiter = in_debt(QUOTA, 1_000);
    let mut waits: Vec<_> = (0..3).map(|_| limiter.acquire("m", 500)).collect();
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()));
    let mut hopeless = limiter.acquire("m", 1).within(Duration::from_secs(9));
    let error = poll(&mut hopeless).expect("at once").map(drop).unwrap_err();
    assert!(matches!(error.cause(), ModelCause::TooLate(Dimension::OutputTpm, _)), "{error}");
    // One that needs output is ahead of two that do not.
    let mut ahead = limiter.acquire("m", (0, 200));
    assert!(poll(&mut ahead).is_none());
    let mut behind = limiter.acquire("m", 1).within(Duration::from_secs(11));
    let error = poll(&mut behind).expect("at once").map(drop).unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(12)));
    advance(&limiter, 9_999);
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()));
    advance(&limiter, 1);
    for wait in &mut waits {
        let waited = poll(wait).expect("the debt is paid").expect("it is granted").waited();
        assert_eq!(waited, Duration::from_secs(10));
    }
    advance(&limiter, 2_000);
    assert!(matches!(poll(&mut ahead), Some(Ok(_))));
}

#[test]
fn a_debt_that_is_given_back_wakes_a_waiter() {
    let limiter = limiter(QUOTA);
    let mut stream = limiter.try_acquire("m", 1_000).expect("it is there");
    stream.commit((1_000, 7_000));
    let mut wait = limiter.acquire("m", 500);
    assert!(poll(&mut wait).is_none());
    stream.commit((1_000, 6_001));
    assert!(poll(&mut wait).is_none());
    stream.commit((1_000, 6_000));
    assert!(matches!(poll(&mut wait), Some(Ok(_))));
}

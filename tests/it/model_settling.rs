//! The charge of a call is settled exactly: what could not be charged is not given back, what a full bucket could not take
//! back is not charged again, and calls from before a pause bring no burst after it.

use std::time::Duration;

use brimful::MockClock;
use brimful::model::{Dimension, ModelQuota, Permit};
use proptest::prelude::*;

use crate::model::{Limiter, advance, limiter, used};
use crate::waiting::poll;

/// Sixty tokens a day earn as much in a minute as the tokens of a minute.
const QUOTA: ModelQuota = ModelQuota::new().tpm(600).tpd(86_400);

fn begun(limiter: &Limiter, estimate: u64) -> Permit<MockClock> {
    limiter.try_acquire("m", estimate).expect("it is there")
}

fn both(limiter: &Limiter) -> (u64, u64) {
    (used(limiter, Dimension::Tpm), used(limiter, Dimension::Tpd))
}

#[test]
fn what_is_beyond_the_debt_limit_is_not_given_back() {
    let limiter = limiter(QUOTA);
    let mut permit = begun(&limiter, 100);
    permit.commit(5_000);
    assert_eq!(both(&limiter), (1_200, 5_000));
    permit.commit(1_300);
    assert_eq!(both(&limiter), (1_200, 1_300));
    permit.commit(1_000);
    assert_eq!(both(&limiter), (1_000, 1_000));
    permit.commit(9_000);
    assert_eq!(both(&limiter), (1_200, 9_000));
    permit.cancel();
    assert_eq!(both(&limiter), (0, 0));
}

#[test]
fn what_was_not_charged_is_charged_by_a_later_commit() {
    let limiter = limiter(QUOTA);
    let mut permit = begun(&limiter, 600);
    permit.commit(2_000);
    assert_eq!(both(&limiter), (1_200, 2_000));
    advance(&limiter, 60_000);
    assert_eq!(both(&limiter), (600, 1_940));
    // The same usage changes nothing; one token more charges the 801 that are missing, as far as the limit goes.
    permit.commit(2_000);
    assert_eq!(both(&limiter), (600, 1_940));
    permit.commit(2_001);
    assert_eq!(both(&limiter), (1_200, 1_941));
    // 1800 were charged in the minute: 201 less than the usage.
    permit.commit(1_900);
    assert_eq!(both(&limiter), (1_200, 1_840));
    permit.commit(1_700);
    assert_eq!(both(&limiter), (1_100, 1_640));
}

#[test]
fn what_a_full_bucket_could_not_take_back_is_not_charged_again() {
    let limiter = limiter(QUOTA);
    let mut stream = begun(&limiter, 500);
    advance(&limiter, 60_000);
    assert_eq!(both(&limiter), (0, 440));
    stream.commit(100);
    assert_eq!(both(&limiter), (0, 40));
    for (usage, of_day) in [(300, 240), (400, 340), (500, 440)] {
        stream.commit(usage);
        assert_eq!(both(&limiter), (0, of_day), "{usage}");
    }
    stream.commit(650);
    assert_eq!(both(&limiter), (150, 590));
    stream.commit(600);
    assert_eq!(both(&limiter), (100, 540));
}

#[test]
fn what_a_full_bucket_could_not_take_back_is_lost() {
    let limiter = limiter(QUOTA);
    let mut stream = begun(&limiter, 500);
    advance(&limiter, 60_000);
    stream.commit(100);
    drop(begun(&limiter, 300));
    assert_eq!(used(&limiter, Dimension::Tpm), 300);
    stream.commit(50);
    assert_eq!(used(&limiter, Dimension::Tpm), 250);
    stream.commit(450);
    assert_eq!(used(&limiter, Dimension::Tpm), 250, "450 of the 500 are still charged");
    stream.cancel();
    assert_eq!(used(&limiter, Dimension::Tpm), 0);
}

#[test]
fn calls_from_before_a_pause_bring_no_burst_after_it() {
    let limiter = limiter(ModelQuota::new().rpm(60).tpm(600).tpd(86_400));
    let mut permits: Vec<_> = (0..10).map(|_| begun(&limiter, 60)).collect();
    limiter.pause_for("m", Duration::from_secs(30));
    let mut waits: Vec<_> = (0..40).map(|_| limiter.acquire("m", 10)).collect();
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()));
    for permit in permits.drain(..5) {
        permit.cancel();
    }
    assert_eq!((used(&limiter, Dimension::Rpm), both(&limiter)), (60, (600, 300)), "the day is given back");
    for second in 1..=60u64 {
        advance(&limiter, 1_000);
        if second > 40
            && let Some(mut permit) = permits.pop()
        {
            permit.commit(0);
        }
        waits.retain_mut(|wait| poll(wait).is_none());
        assert_eq!(waits.len() as u64, 40 - second.saturating_sub(30).min(40), "after {second} seconds");
    }
}

#[test]
fn a_debt_is_paid_by_calls_from_before_a_pause() {
    let limiter = limiter(QUOTA);
    let (mut more, less) = (begun(&limiter, 100), begun(&limiter, 200));
    limiter.pause_for("m", Duration::from_secs(30));
    more.commit(350);
    assert_eq!(both(&limiter), (850, 550));
    more.commit(300);
    assert_eq!(both(&limiter), (800, 500));
    less.cancel();
    assert_eq!(both(&limiter), (600, 300), "the debt is paid, and nothing is there");
    more.cancel();
    assert_eq!(both(&limiter), (600, 0));
    // A call after the pause is settled as before.
    advance(&limiter, 90_000);
    let after = begun(&limiter, 600);
    after.cancel();
    assert_eq!(both(&limiter), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// While the clock stands still, the charge is the last usage, as far as the debt limit goes.
    #[test]
    fn the_last_commit_counts(estimate in 0..600u64, commits in proptest::collection::vec(0..3_000u64, 1..20)) {
        let limiter = limiter(QUOTA);
        let mut permit = begun(&limiter, estimate);
        for usage in commits {
            permit.commit(usage);
            prop_assert_eq!(both(&limiter), (usage.min(1_200), usage));
        }
        permit.cancel();
        prop_assert_eq!(both(&limiter), (0, 0));
    }

    /// Beside other calls and while time passes, the commits of a call charge no more than the highest of its estimate and
    /// its usages, and give back no more than they have charged.
    #[test]
    fn commits_charge_no_more_than_the_highest(
        estimate in 0..600u64,
        steps in proptest::collection::vec((0..3u8, 0..700u64), 1..30),
    ) {
        let limiter = limiter(ModelQuota::new().tpm(600));
        let mut permit = begun(&limiter, estimate);
        let (mut highest, mut charged) = (estimate, estimate as i64);
        for (step, n) in steps {
            match step {
                0 => drop(limiter.try_acquire("m", n)),
                1 => advance(&limiter, n * 100),
                _ => {
                    let before = used(&limiter, Dimension::Tpm) as i64;
                    permit.commit(n);
                    charged += used(&limiter, Dimension::Tpm) as i64 - before;
                    highest = highest.max(n);
                    prop_assert!((0..=highest as i64).contains(&charged), "{charged} of {highest}");
                }
            }
        }
    }
}

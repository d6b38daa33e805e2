//! A call whose usage grows: what goes beyond its charge is charged, and nothing is given back before the commit.

use brimful::MockClock;
use brimful::model::{Dimension, Learning, ModelLimiter, ModelQuota};
use proptest::prelude::*;

use crate::model::{Limiter, advance, in_flight, limiter, used};
use crate::waiting::poll;

const QUOTA: ModelQuota = ModelQuota::new().rpm(60).tpm(6_000).input_tpm(6_000).output_tpm(600);

fn all(limiter: &Limiter) -> [u64; 4] {
    [Dimension::Rpm, Dimension::Tpm, Dimension::InputTpm, Dimension::OutputTpm].map(|of| used(limiter, of))
}

#[test]
fn progress_keeps_the_reservation_and_charges_what_is_beyond_it() {
    let limiter = limiter(QUOTA);
    let mut stream = limiter.try_acquire("m", (100, 200)).expect("it is there");
    // The input alone is beyond the estimate first, and then the output too.
    for (so_far, charged) in [
        ((10, 1), [1, 300, 100, 200]),
        ((120, 50), [1, 300, 120, 200]),
        ((120, 200), [1, 320, 120, 200]),
        ((120, 250), [1, 370, 120, 250]),
        ((120, 240), [1, 370, 120, 250]),
    ] {
        stream.progress(so_far);
        assert_eq!(all(&limiter), charged, "{so_far:?}");
    }
    drop(stream);
    assert_eq!((all(&limiter), in_flight(&limiter)), ([1, 370, 120, 250], 0), "what was charged stays");
}

#[test]
fn a_commit_ends_the_progress() {
    let limiter = limiter(QUOTA);
    let mut stream = limiter.try_acquire("m", (100, 200)).expect("it is there");
    stream.progress((100, 250));
    stream.commit((100, 30));
    assert_eq!(all(&limiter), [1, 130, 100, 30]);
    let mut cancelled = limiter.try_acquire("m", (0, 10)).expect("it is there");
    cancelled.progress((0, 400));
    cancelled.cancel();
    assert_eq!(all(&limiter), [1, 130, 100, 30]);
}

/// A dropped stream has shown a part of its usage.
#[test]
fn progress_teaches_nothing() {
    let builder = ModelLimiter::builder().model("m", QUOTA).learning(Learning::new());
    let limiter = builder.clock(MockClock::new()).build().expect("a limiter");
    for _ in 0..50 {
        let mut stream = limiter.try_acquire("m", (10, 10)).expect("it is there");
        stream.progress((10, 1));
        stream.progress((10, 5));
        drop(stream);
        advance(&limiter, 60_000);
    }
    assert_eq!(limiter.stats_of("m").expect("it is listed").scales, Some((1.0, 1.0)));
}

#[test]
fn progress_into_debt_is_waited_for() {
    let limiter = limiter(ModelQuota::new().output_tpm(600));
    let mut stream = limiter.try_acquire("m", (0, 500)).expect("it is there");
    let mut wait = limiter.acquire("m", (0, 100));
    assert!(matches!(poll(&mut wait), Some(Ok(_))));
    stream.progress((0, 700));
    assert_eq!(used(&limiter, Dimension::OutputTpm), 800);
    let mut wait = limiter.acquire("m", 5);
    assert!(poll(&mut wait).is_none());
    // Tokens that the debt limit kept from being charged are not given back.
    stream.progress((0, 5_000));
    assert_eq!(used(&limiter, Dimension::OutputTpm), 1_200);
    stream.commit((0, 400));
    assert_eq!(used(&limiter, Dimension::OutputTpm), 500);
    assert!(matches!(poll(&mut wait), Some(Ok(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// While the clock stands still, a call is charged the highest of its estimate and its usages, then its commit.
    #[test]
    fn the_highest_usage_is_charged(
        estimate in (0..300u64, 0..300u64),
        usages in proptest::collection::vec((0..300u64, 0..300u64), 1..20),
        commit in (0..300u64, 0..300u64),
    ) {
        let limiter = limiter(QUOTA);
        let mut stream = limiter.try_acquire("m", estimate).expect("it is there");
        let (mut total, mut input, mut output) = (estimate.0 + estimate.1, estimate.0, estimate.1);
        for usage in usages {
            stream.progress(usage);
            total = total.max(usage.0 + usage.1);
            (input, output) = (input.max(usage.0), output.max(usage.1));
            prop_assert_eq!(all(&limiter), [1, total, input, output]);
        }
        stream.commit(commit);
        prop_assert_eq!(all(&limiter), [1, commit.0 + commit.1, commit.0, commit.1]);
    }
}

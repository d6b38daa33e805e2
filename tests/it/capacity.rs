//! The burst that a quota reports is the burst that its bucket holds: a full bucket admits one call
//! for the whole burst, and no call for more.

use std::time::Duration;

use brimful::{ExceedsBurst, Quota, Tokens, TryAcquireError};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use crate::support::{LAST, PICO, any_quota, any_size, from_pico, limiter, pico, tokens};

fn exceeds(refused: Result<(), TryAcquireError>) -> Option<ExceedsBurst> {
    match refused {
        Err(TryAcquireError::ExceedsBurst(exceeds)) => Some(exceeds),
        _ => None,
    }
}

/// Any quota that starts full.
fn full_quota([kind, rate, terms, burst, debt]: [u64; 5]) -> Quota {
    any_quota([kind, rate, terms, burst, 0, debt])
}

/// Every report of the burst of `quota` agrees with the amount that a full bucket admits.
fn is_true(quota: Quota, now: u64) -> TestCaseResult {
    let burst = quota.capacity();
    let full = || limiter(quota);
    prop_assert!(!burst.is_zero());
    prop_assert!(full().at(now).try_acquire_n(burst).is_ok(), "{} of {} refused", burst, quota);
    let decision = full().at(now).decide(burst);
    prop_assert!(decision.allowed());
    prop_assert_eq!((decision.limit(), decision.remaining()), (burst.whole(), 0));
    prop_assert_eq!(full().at(now).decide(0).remaining(), burst.whole());
    let more = burst.saturating_add(from_pico(1));
    if more > burst {
        let refused = exceeds(full().at(now).try_acquire_n(more));
        prop_assert!(refused.is_some(), "{} of {} admitted", more, quota);
        prop_assert_eq!(refused.map(|exceeds| exceeds.burst()), Some(burst));
    }
    // The text has the same burst, and parses as the same quota.
    let text = quota.to_string();
    let read: Quota = text.parse().unwrap();
    prop_assert_eq!((read, read.capacity()), (quota, burst), "{}", text);
    prop_assert_eq!((read.resolution(), read.to_string()), (quota.resolution(), text));
    prop_assert!(full().at(now).try_acquire_n(read.capacity()).is_ok());
    Ok(())
}

/// A burst with decimals, of any size.
fn burst(gene: u64) -> Tokens {
    let fraction = u128::from(any_size(gene >> 8, 40)) % PICO;
    let whole = u128::from(any_size(gene >> 4, 32)) * u128::from(!gene.is_multiple_of(3));
    from_pico(whole * PICO + fraction)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn can_be_taken(genes in any::<[u64; 5]>(), size in any::<u64>(), time in any::<u64>()) {
        let quota = full_quota(genes);
        is_true(quota, any_size(time, 60))?;
        let asked = burst(size);
        // If the rate cannot count a fraction that small, there is an error.
        let Ok(quota) = quota.try_burst(asked) else { return Ok(()) };
        prop_assert!(quota.capacity() <= asked, "{} for {}", quota.capacity(), asked);
        is_true(quota, any_size(time, 60))?;
        let again = quota.try_burst(quota.capacity()).unwrap();
        prop_assert_eq!((again, again.resolution()), (quota, quota.resolution()));
    }

    #[test]
    fn of_a_rate_in_floats_can_be_taken(rate in 1e-12f64..1e9, burst in 1e-3f64..1e9) {
        let Ok(quota) = Quota::try_from_rate(rate, burst) else { return Ok(()) };
        is_true(quota, LAST / 3)?;
        let lost = burst - quota.capacity().as_f64();
        prop_assert!(lost <= burst * 1e-15 + quota.resolution().as_f64(), "{} lost of {}", lost, burst);
    }

    /// The reported initial tokens are those that the bucket starts with.
    #[test]
    fn what_is_reported_as_initial_can_be_taken(genes in any::<[u64; 5]>(), part in any::<u64>()) {
        let quota = full_quota(genes);
        let part = from_pico(u128::from(any_size(part, 63)) % pico(quota.capacity()) + 1);
        let Ok(quota) = format!("{quota} initial {part}").parse::<Quota>() else { return Ok(()) };
        let initial = quota.initial_tokens();
        prop_assert!(initial <= part);
        prop_assert!(limiter(quota).at(0).try_acquire_n(initial).is_ok(), "{} of {}", initial, quota);
        prop_assert_eq!(quota.to_string().parse::<Quota>().unwrap(), quota);
    }
}

#[test]
fn is_rounded_down_to_what_can_be_counted() {
    // Rate, requested burst, held burst.
    let table = [
        ("10/s", "0.333333333333", "0.33333333"),
        ("1/s", "2.5", "2.5"),
        ("1/s", "4294967295.999999999999", "4294967295.999999995"),
        ("1000000000/s", "1.999999999999", "1"),
        ("1 per 1000 weeks", "0.000000000001", "0.000000000001"),
    ];
    for (rate, asked, held) in table {
        let rate: Quota = rate.parse().unwrap();
        let quota = rate.try_burst(tokens(asked)).unwrap();
        assert_eq!(quota.capacity(), tokens(held), "{rate}, {asked}");
        is_true(quota, 0).unwrap();
        is_true(quota, 12_345_678_901).unwrap();
    }
    let third = Quota::try_from_rate(10.0, 1.0 / 3.0).unwrap();
    assert_eq!(third.to_string(), "10/s burst 0.33333333");
    assert!(limiter(third).at(0).try_acquire_n(third.capacity()).is_ok());
    // No power of ten divides the period, so the unit is chosen to keep the burst.
    let odd = Quota::new(1, Duration::from_nanos(86_413)).try_burst(tokens("2.5")).unwrap();
    assert_eq!(odd.capacity(), tokens("2.5"));
    is_true(odd, 1).unwrap();
    let odd = Quota::new(1, Duration::from_nanos(86_413)).try_burst(tokens("2.123456789")).unwrap();
    assert!(odd.capacity() > tokens("2.1234"), "{odd}");
    is_true(odd, 1).unwrap();
    // A debt that makes the unit coarser also makes the burst coarser.
    let deep = "1/s burst 1.000000001 debt 4294967295".parse::<Quota>().unwrap();
    is_true(deep, 1).unwrap();
}

//! `Quota::at_most`: no window of its length is granted more.

use std::time::Duration;

use brimful::{Quota, QuotaError, Tokens};
use brimful_oracle::strict::most_within;
use proptest::prelude::*;

use crate::support::{LAST, PICO, Random, SECOND, any_size, from_pico, limiter, pico};

const DAY: u64 = 86_400 * SECOND;

fn at_most(n: u64, window: u64, burst: Option<u32>) -> Result<Quota, QuotaError> {
    let window = Duration::from_nanos(window);
    burst.map_or_else(|| Quota::at_most(n, window), |burst| Quota::at_most_with_burst(n, window, burst))
}

/// Takes all that the limiter admits from `start` on for two windows and a bit, a token at a time and
/// each as early as possible. Returns the readings.
fn greedy(quota: Quota, start: u64, window: u64) -> Vec<(u64, i64)> {
    let limiter = limiter(quota);
    let (mut now, mut grants) = (start, Vec::new());
    let end = start + 2 * window + window / 3;
    while now < end {
        if limiter.at(now).allow() {
            grants.push((now, 1));
        } else {
            now += u64::try_from(limiter.at(now).time_until(1).unwrap().as_nanos()).unwrap();
        }
    }
    grants
}

/// Reached in the worst window, and never exceeded: the rate is the highest that keeps to it.
#[test]
fn the_number_is_reached_and_never_exceeded() {
    for n in [1u32, 2, 3, 4, 5, 10, 60, 100, 1_000] {
        for window in [SECOND, 60 * SECOND, 3_600 * SECOND, DAY, 1_000_000_007, 7 * DAY + 1, 2_000] {
            for burst in [None, Some(1), Some(n.div_ceil(3)), Some(n)] {
                let quota = at_most(n.into(), window, burst).unwrap();
                // The last burst begins far from the origin, between two units.
                for start in [0, 1, 12_345_678_901_234_567] {
                    let mut grants = greedy(quota, start, window);
                    let most = most_within(window, &mut grants);
                    // A bucket of one token is full when it admits, and loses up to a nanosecond each time.
                    let loses = quota.capacity() == Tokens::ONE && window < u64::from(n) * u64::from(n);
                    let least = if loses { 1 } else { n };
                    assert!(
                        (i128::from(least)..=i128::from(n)).contains(&most),
                        "{most}, {n} in {window} ns, burst {burst:?}, from {start}: {quota}"
                    );
                }
            }
        }
    }
}

/// The rate and the burst together are exactly one token above the number.
#[test]
fn the_burst_and_the_rate_are_as_the_table_says() {
    const MINUTE: Duration = Duration::from_secs(60);
    for (burst, per_minute) in [(1, 100), (10, 91), (50, 51), (90, 11), (100, 1)] {
        let quota = Quota::at_most_with_burst(100, MINUTE, burst).unwrap();
        assert_eq!(quota, Quota::per_minute(per_minute).burst(burst));
    }
    assert_eq!(Quota::at_most(100, MINUTE), Ok(Quota::per_minute(51).burst(50)));
    assert_eq!(Quota::at_most(1, MINUTE), Ok(Quota::per_minute(1)));
    assert_eq!(Quota::at_most(2, MINUTE), Ok(Quota::per_minute(2).burst(1)));
    assert_eq!(Quota::at_most(3, MINUTE), Ok(Quota::per_minute(2)));
    let largest = Quota::at_most(u64::MAX, Duration::MAX).unwrap();
    assert_eq!(largest.capacity(), Tokens::new(u32::MAX));
    assert_eq!(Quota::at_most_with_burst(u64::MAX, Duration::MAX, 1), Ok(Quota::new(u64::MAX, Duration::MAX).burst(1)));
    const IN_A_CONSTANT: Quota = match Quota::at_most(10, Duration::from_secs(1)) {
        Ok(quota) => quota,
        Err(_) => panic!("ten a second is a quota"),
    };
    assert_eq!(IN_A_CONSTANT, Quota::per_second(6).burst(5));
}

/// A quota of n per period admits nearly 2n in its first period.
#[test]
fn a_quota_per_period_admits_nearly_twice_as_many() {
    let quota = Quota::per_minute(100);
    assert_eq!(most_within(60 * SECOND, &mut greedy(quota, 0, 60 * SECOND)), 199);
}

#[test]
fn numbers_that_are_no_window_are_refused_by_name() {
    let second = Duration::from_secs(1);
    let days = |days: u64| Duration::from_secs(days * 86_400);
    for (refused, reason) in [
        (Quota::at_most(0, second), "a quota needs at least one token per period"),
        (Quota::at_most(1, Duration::ZERO), "a quota needs a period longer than zero"),
        (
            Quota::at_most(10, Duration::from_nanos(2)),
            "10 tokens per 2ns is a rate above 1000000000 tokens per second: count in larger tokens",
        ),
        (
            Quota::at_most_with_burst(5, days(4_000_000), 5),
            "1 token per 345600000000s is a rate below one token per 10000 years: count in smaller tokens",
        ),
        (
            Quota::at_most_with_burst(5, second, 0),
            "a quota needs a burst above zero, or nothing could ever be admitted",
        ),
        (
            Quota::at_most_with_burst(5, second, 6),
            "a burst of 6 tokens is a burst above the number of the whole window: lower it",
        ),
    ] {
        assert_eq!(refused.unwrap_err().to_string(), reason);
    }
}

/// A quota, calls as pairs of a reading and a cost in 10⁻¹² token, and the length of the window.
fn granted(quota: Quota, calls: impl IntoIterator<Item = (u64, u128)>) -> Vec<(u64, i128)> {
    let limiter = limiter(quota);
    let admitted = |&(now, cost): &(u64, u128)| limiter.at(now).try_acquire_n(from_pico(cost)).is_ok();
    calls.into_iter().filter(admitted).map(|(now, cost)| (now, cost as i128)).collect()
}

/// The times of calls, as adversaries choose them: at once, a window later, a nanosecond before or
/// after that, just when a token is due, anywhere, and back.
fn next(random: &mut Random, now: u64, window: u64, token: u64) -> u64 {
    let near = [0, 0, 1, token.saturating_sub(1), token, token + 1, window - 1, window, window + 1, window / 2];
    let step = near[random.below(near.len() as u64) as usize];
    let step = if random.below(4) == 0 { random.below(window.saturating_mul(2).max(2)) } else { step };
    let now = if random.below(8) == 0 { now.saturating_sub(step) } else { now.saturating_add(step) };
    now.min(LAST + window)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_window_is_granted_more(
        n_gene in any::<u64>(),
        window_gene in any::<u64>(),
        burst_gene in prop::option::of(any::<u64>()),
        start in prop_oneof![Just(0u64), 0..SECOND, 0..LAST],
        whole in any::<bool>(),
        seed in any::<u64>(),
        calls in 1..200usize,
    ) {
        let n = any_size(n_gene, 33).min(u64::from(u32::MAX));
        let window = any_size(window_gene, 62);
        let burst = burst_gene.map(|gene| 1 + (gene % n) as u32);
        let Ok(quota) = at_most(n, window, burst) else { return Ok(()) };
        prop_assert_eq!(&quota.to_string().parse(), &Ok(quota));
        let token = (window / n).max(1);
        let mut random = Random::new(seed);
        let capacity = pico(quota.capacity());
        let mut now = start;
        let calls: Vec<(u64, u128)> = (0..calls).map(|_| {
            now = next(&mut random, now, window, token);
            let cost = match random.below(4) {
                0 => capacity,
                1 => PICO,
                2 => u128::from(1 + random.below(capacity as u64 / PICO as u64)) * PICO,
                _ if whole => PICO,
                _ => 1 + u128::from(random.next()) % (2 * PICO),
            };
            (now, cost)
        }).collect();
        let most = most_within(window, &mut granted(quota, calls));
        // In 10⁻¹² token: whole costs reach n at most, others stay below n + 1.
        let bound = if whole { u128::from(n) * PICO } else { u128::from(n + 1) * PICO - 1 };
        prop_assert!(most as u128 <= bound, "{quota}: {most} in {window} ns, at most {n}");
    }

    /// Many callers that always ask, with small numbers, so that every window is full.
    #[test]
    fn a_crowd_is_granted_the_number_exactly(
        n in 1..12u64,
        window in prop_oneof![1_000..100_000u64, Just(SECOND)],
        start in 0..LAST / 2,
        seed in any::<u64>(),
        pick in any::<prop::sample::Index>(),
    ) {
        let burst = 1 + pick.index(n as usize) as u32;
        let quota = at_most(n, window, Some(burst)).unwrap();
        let mut random = Random::new(seed);
        let limiter = limiter(quota);
        let (mut now, mut grants) = (start, Vec::new());
        for _ in 0..6 * n {
            let due = limiter.at(now).time_until(1).unwrap().as_nanos() as u64;
            // As early as possible, or after a rest that fills the bucket.
            now += due + if random.below(3) == 0 { random.below(2 * window) } else { 0 };
            prop_assert!(limiter.at(now).allow());
            grants.push((now, 1i64));
        }
        prop_assert!(most_within(window, &mut grants) <= i128::from(n), "{quota}: {grants:?}");
        prop_assert_eq!(most_within(window, &mut greedy(quota, start, window)), i128::from(n));
    }
}

#[test]
fn the_text_is_the_same_quota() {
    let minute = Duration::from_secs(60);
    let default = Quota::at_most(100, minute).unwrap();
    for text in [
        "at most 100 in 1min",
        "at most 100 requests in 60 s",
        " At most 0.1k req in minute",
        "at Most 100 in 1 minute burst 50",
    ] {
        assert_eq!(text.parse(), Ok(default), "{text}");
    }
    let even = Quota::at_most_with_burst(100, minute, 1).unwrap();
    assert_eq!("at most 100 in 1min burst 1".parse(), Ok(even));
    assert_eq!("at most 100 in 1min debt 0 burst 1 initial 0".parse(), Ok(even.max_debt(0).initial(0)));
    assert_eq!("at most 18446744073709551615 in 0.5h burst 1".parse::<Quota>().unwrap_err().span(), 0..44);
    assert_eq!("at most 1800 in 0.5h burst 1".parse(), Ok(Quota::per_second(1)));
    assert_eq!(brimful::quota!("at most 100 in 1min"), default);
    assert_eq!(default.to_string(), "51/min burst 50");
}

#[test]
fn a_text_that_is_no_window_is_pointed_at() {
    for (text, part, word) in [
        ("at most", "", "expected an amount"),
        ("at most in 1h", "in", "expected an amount"),
        ("at 100 in 1min", "at", "expected an amount"),
        ("at least 100 in 1min", "at", "expected an amount"),
        ("at most 100", "", "\"at most 100 in 1min\""),
        ("at most 100/min", "/", "\"at most 100 in 1min\""),
        ("at most 100 per min", "per", "\"at most 100 in 1min\""),
        ("at most 100 rpm", "rpm", "\"at most 100 in 1min\""),
        ("at most 100 in", "", "expected a unit of time"),
        ("at most 100 in burst 5", "burst", "expected a unit of time"),
        ("at most 100 in month", "month", "30 days"),
        ("at most 2.5 in 1min", "2.5", "whole tokens"),
        ("at most 18446744073709551616 in 1h", "18446744073709551616", "whole tokens"),
        ("at most 0 in 1min", "0", "at least one token"),
        ("at most unlimited in 1min", "unlimited", "RateLimiter::unlimited()"),
        ("at most 5 in 0s", "0s", "longer than zero"),
        ("at most 5 in 0.3ns", "0.3ns", "whole number of nanoseconds"),
        ("at most 5 in 99999999999999999999999999 weeks", "99999999999999999999999999 weeks", "nanoseconds"),
        ("at most 5 in 1min burst 6", "6", "above the number of the whole window"),
        ("at most 5 in 1min burst 2.5", "2.5", "whole tokens"),
        ("at most 5 in 1min burst 0", "0", "burst above zero"),
        ("at most 10 in 2ns", "at most 10 in 2ns", "above 1000000000 tokens per second"),
    ] {
        let error = text.parse::<Quota>().unwrap_err();
        let at = text.rfind(part).unwrap();
        assert_eq!(error.span(), at..at + part.len(), "{text}: {error}");
        assert!(error.to_string().contains(word), "{text}: {error}");
    }
}

#[cfg(feature = "serde")]
#[test]
fn a_map_may_have_a_window_as_its_rate() {
    use serde_json::{from_value, json};

    let quota = from_value::<Quota>(json!({"rate": "at most 100 in 1min", "burst": 10})).unwrap();
    assert_eq!(quota, Quota::at_most_with_burst(100, Duration::from_secs(60), 10).unwrap());
    let error = from_value::<Quota>(json!({"rate": "at most 100 in 1min", "burst": 101})).unwrap_err();
    assert!(error.to_string().contains("field \"burst\": "), "{error}");
}

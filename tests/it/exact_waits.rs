//! The promised time is exact: at that instant the tokens are there, and one nanosecond earlier
//! they are not.

use std::time::Duration;

use brimful::{MockClock, Quota, RateLimiter, Tokens, TryAcquireError};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{Counted, LAST, SECOND, any_quota, any_size, from_pico, limiter, pico};

/// A limiter after some calls. Returns the time of the last call, too.
pub(crate) fn with_a_past(quota: Quota, calls: &[(u64, u64)]) -> (RateLimiter<MockClock>, u64) {
    let (limiter, counted) = (limiter(quota), Counted::new(quota));
    let fill = counted.earning(counted.capacity).clamp(1, u128::from(LAST)) as u64;
    let mut now = 0;
    for &(step, cost) in calls {
        now += (step % (fill.saturating_mul(2))) % (LAST / 2 - now);
        let cost = from_pico(u128::from(cost) % pico(quota.capacity()) + 1);
        let _ = limiter.at(now).try_acquire_n(cost);
    }
    (limiter, now)
}

pub(crate) fn pasts() -> impl Strategy<Value = (Quota, Vec<(u64, u64)>)> {
    (any::<[u64; 6]>(), vec((any::<u64>(), any::<u64>()), 0..6)).prop_map(|(genes, calls)| (any_quota(genes), calls))
}

/// The wait in nanoseconds; `None` if it never ends.
fn nanos(wait: Option<Duration>) -> Option<u64> {
    wait.map(|wait| u64::try_from(wait.as_nanos()).expect("a wait within the clock's range"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_denied_call_is_admitted_when_it_was_told_and_not_before(
        (quota, calls) in pasts(),
        size in any::<u64>(),
    ) {
        let (limiter, now) = with_a_past(quota, &calls);
        let cost = from_pico(u128::from(any_size(size, 63)) % pico(quota.capacity()) + 1);
        let until = limiter.at(now).time_until(cost);
        let decision = limiter.at(now).decide(cost);
        prop_assert_eq!(decision.retry_after(), until);
        prop_assert_eq!(decision.allowed(), until == Some(Duration::ZERO));
        match limiter.at(now).try_acquire_n(cost) {
            // If the decision was admitted, its tokens are gone now.
            _ if decision.allowed() => return Ok(()),
            Ok(()) => prop_assert!(false, "denied by `decide`, but admitted by `try_acquire_n`"),
            Err(TryAcquireError::RateLimited(limited)) => prop_assert_eq!(limited.retry_after(), until),
            Err(error) => prop_assert!(until.is_none() && error.retry_after().is_none()),
        }
        let Some(wait) = nanos(until) else {
            prop_assert!(limiter.at(LAST).try_acquire_n(cost).is_err(), "admitted, although the wait is endless");
            return Ok(());
        };
        prop_assert!(wait > 0 && now + wait <= LAST);
        prop_assert!(limiter.at(now + wait - 1).try_acquire_n(cost).is_err(), "a nanosecond before {wait}");
        prop_assert!(limiter.at(now + wait).try_acquire_n(cost).is_ok(), "after {wait}");
    }

    #[test]
    fn the_bucket_is_full_when_it_was_told_and_not_before(
        (quota, calls) in pasts(),
        size in any::<u64>(),
        rest in 0..4u8,
    ) {
        // A burst in whole tokens is a whole number of units, so a call can ask for it.
        let quota = quota.burst(quota.capacity().whole().max(1));
        let (limiter, mut now) = with_a_past(quota, &calls);
        match rest {
            0 => limiter.at(now).reset(),
            // Full again, at an instant at which no unit is due. The next charge is taken from a
            // rounded balance.
            1 | 2 => {
                let counted = Counted::new(quota);
                let fill = counted.earning(counted.capacity).min(u128::from(LAST / 8)) as u64;
                now += fill + size % (fill / 2 + 1_000_003);
            }
            _ => {}
        }
        let cost = from_pico(u128::from(any_size(size, 63)) % (pico(quota.capacity()) + 1));
        let decision = limiter.at(now).decide(cost);
        let burst = quota.capacity();
        prop_assert_eq!(decision.limit(), burst.whole());
        let (left, remaining) = (limiter.at(now).available_tokens(), f64::from(decision.remaining()));
        prop_assert!(remaining <= left * (1.0 + 1e-15), "{remaining} remaining, {left} left");
        prop_assert!(left <= remaining + 1.0 + left * 1e-15, "{remaining} remaining, {left} left");
        let Some(reset) = nanos(decision.reset_after()) else {
            prop_assert!(limiter.at(LAST).try_acquire_n(burst).is_err(), "full, although it never should be");
            return Ok(());
        };
        prop_assert_eq!(limiter.at(now + reset).decide(0).reset_after(), Some(Duration::ZERO));
        if reset > 0 {
            prop_assert!(limiter.at(now + reset - 1).try_acquire_n(burst).is_err(), "full before {reset}");
        }
        prop_assert!(limiter.at(now + reset).try_acquire_n(burst).is_ok(), "not full after {reset}");
    }
}

#[test]
fn the_time_of_a_token_is_rounded_up() {
    let table = [
        (Quota::per_second(1), SECOND),
        (Quota::per_second(3), 333_333_334),
        (Quota::per_minute(7), 8_571_428_572),
        (Quota::per_second(600_000_007), 2),
        (Quota::per_second(1_000_000_000), 1),
        (Quota::per_day(1), 86_400 * SECOND),
    ];
    for (quota, expected) in table {
        let limiter = limiter(quota.burst(1));
        assert!(limiter.at(0).allow());
        let error = limiter.at(0).try_acquire().unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_nanos(expected)), "{quota}");
        // A part of the last nanosecond counts as a whole nanosecond, never as zero.
        let error = limiter.at(expected - 1).try_acquire().unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_nanos(1)), "{quota}");
        assert!(limiter.at(expected).allow(), "{quota}");
    }
}

/// The slowest and the fastest rates, the largest bursts and debts, compared with exact integers.
#[test]
fn waits_are_exact_at_the_extremes() {
    const DAY: u64 = 86_400;
    let periods = [(1, 10_000 * 366 * DAY), (1, 7_000 * DAY), (7, 999 * 7 * DAY), (3, 1), (1_000_000_000, 1)];
    for (rate, period) in periods {
        for (burst, debt) in [(1, 0), (1, u32::MAX), (7, 7), (u32::MAX, 0), (u32::MAX, u32::MAX)] {
            let quota = Quota::new(rate, Duration::from_secs(period)).burst(burst).max_debt(debt);
            let (limiter, counted) = (limiter(quota), Counted::new(quota));
            let mut exact = counted.exact();
            exact.take(0, counted.capacity + counted.debt);
            for _ in 0..3 {
                limiter.at(0).try_reserve_n(0).unwrap().at(0).commit(Tokens::MAX);
            }
            for now in [0, 1, SECOND, LAST / 3, LAST - 1, LAST] {
                for cost in [quota.resolution(), Tokens::ONE, quota.capacity(), Tokens::MAX] {
                    let reported = nanos(limiter.at(now).time_until(cost));
                    let right = exact.first(now, counted.up(cost)).filter(|&at| at <= LAST).map(|at| at - now);
                    // The rounded rate is too high by less than a sixteenth of a nanosecond.
                    let agree = match (reported, right) {
                        (Some(reported), Some(right)) => reported == right || reported + 1 == right,
                        (Some(reported), None) => now + reported == LAST && counted.up(cost) <= counted.capacity,
                        (None, right) => right.is_none(),
                    };
                    assert!(agree, "{quota}, {cost} at {now}: {reported:?}, but exactly {right:?}");
                }
            }
        }
    }
}

#[test]
fn what_never_comes_is_told() {
    let quota = Quota::new(1, Duration::from_secs(10_000 * 366 * 86_400));
    let limiter = limiter(quota.burst(2));
    assert_eq!(limiter.at(0).time_until(3), None);
    let decision = limiter.at(0).decide(3);
    assert_eq!(
        (decision.allowed(), decision.retry_after(), decision.reset_after()),
        (false, None, Some(Duration::ZERO))
    );
    assert!(limiter.at(0).try_acquire_n(2).is_ok());
    // The clock ends after 18 years.
    assert_eq!(limiter.at(0).time_until(1), None);
    assert_eq!(limiter.at(0).decide(1).retry_after(), None);
    assert_eq!(limiter.at(0).decide(1).reset_after(), None);
    let error = limiter.at(0).try_acquire().unwrap_err();
    assert_eq!(error.retry_after(), None);
    assert_eq!(limiter.at(0).time_until(0), Some(Duration::ZERO));
}

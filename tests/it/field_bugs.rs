//! Bugs of other limiters that concern a single bucket, with a test for each. Some are tested in
//! the module of the guarantee that they would break:
//!
//! - a stale clock that wraps, tokens and time in two atomics: `window_bound`
//! - the remainder dropped at each refill, the interval in whole nanoseconds, a burst that comes
//! back twice: `no_lost_tokens`
//! - a limiter created late on a running clock: `total`
//! - cancelling restores the wrong number, tokens counted after the call: `charge_once`

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use brimful::{MockClock, Quota, RateLimiter};

use crate::support::{LAST, SECOND, limiter};

const DAY: u64 = 86_400 * SECOND;

/// 1 per day with a burst of 300 000 became a burst of 86 496.
#[test]
fn period_times_burst_does_not_overflow() {
    let year = 366 * 86_400;
    let periods = [Duration::from_secs(86_400), Duration::from_secs(600 * year), Duration::from_secs(10_000 * year)];
    for period in periods {
        for burst in [300_000, 86_496, 4_000_000_000, u32::MAX] {
            let limiter = limiter(Quota::new(1, period).burst(burst));
            assert_eq!(limiter.at(0).decide(0).remaining(), burst);
            assert!(limiter.at(0).try_acquire_n(burst - 1).is_ok());
            assert!(limiter.at(0).allow() && !limiter.at(0).allow(), "1 per {period:?}, burst {burst}");
            assert!(limiter.at(0).try_acquire_n(burst).is_err());
            let full = limiter.at(0).decide(0).reset_after();
            let expected = period.checked_mul(burst).filter(|&wait| wait <= Duration::from_nanos(LAST));
            assert_eq!(full, expected, "1 per {period:?}, burst {burst}");
        }
    }
    let limiter = limiter(Quota::per_day(1).burst(300_000));
    assert!(limiter.at(0).try_acquire_n(300_000).is_ok());
    for day in 1..=100 {
        assert!(!limiter.at(day * DAY - 1).allow(), "before day {day}");
        assert!(limiter.at(day * DAY).allow(), "on day {day}");
    }
}

/// A peek that did not advance the time showed 0 of 1000.
#[test]
fn a_peek_settles() {
    let clock = MockClock::new();
    let limiter = RateLimiter::with_clock(Quota::per_second(1_000), clock.clone());
    assert!(limiter.try_acquire_n(1_000).is_ok());
    for (milliseconds, expected) in [(0, 0.0), (1, 1.0), (500, 500.0), (1_000, 1_000.0), (3_600_000, 1_000.0)] {
        clock.set(milliseconds * SECOND / 1_000);
        assert_eq!((limiter.available_tokens(), limiter.balance()), (expected, expected));
        assert_eq!(f64::from(limiter.decide(0).remaining()), expected);
    }
}

/// Clients were asked to retry after zero seconds.
#[test]
fn a_refused_call_is_never_told_to_come_back_at_once() {
    let quotas = [Quota::per_second(3), Quota::per_second(999_999_999).burst(1), Quota::per_minute(7)];
    for quota in quotas {
        let (limiter, burst) = (limiter(quota), quota.capacity().whole());
        assert!(limiter.at(0).try_acquire_n(burst).is_ok());
        for now in (0..2_000).chain((0..2_000).map(|step| step * 9_973_477)) {
            if let Err(error) = limiter.at(now).try_acquire_n(burst) {
                assert!(error.retry_after() > Some(Duration::ZERO), "{quota} at {now}");
                assert!(limiter.at(now).decide(burst).retry_after() > Some(Duration::ZERO), "{quota} at {now}");
            }
        }
    }
}

/// A limiter with its state in each clone does not limit at all.
#[test]
fn whoever_shares_the_limiter_shares_its_limit() {
    let limiter = Arc::new(RateLimiter::with_clock(Quota::per_second(1).burst(7), MockClock::new()));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let limiter = Arc::clone(&limiter);
            thread::spawn(move || (0..10).filter(|_| limiter.allow()).count())
        })
        .collect();
    assert_eq!(threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>(), 7);
}

/// A jump ahead earns a burst at most. A jump back earns nothing until the clock has caught up. A
/// reset repairs a limiter whose clock was far ahead.
#[test]
fn a_clock_that_jumps_earns_no_more_than_a_burst() {
    let clock = MockClock::new();
    let limiter = RateLimiter::with_clock(Quota::per_second(10).burst(20), clock.clone());
    let drain = || (0..100).filter(|_| limiter.allow()).count();
    assert_eq!(drain(), 20);
    clock.set(1_000 * DAY);
    assert_eq!(drain(), 20);
    for now in [999 * DAY, 0, 1_000 * DAY - 1, 1_000 * DAY] {
        clock.set(now);
        assert_eq!(drain(), 0, "at {now}");
    }
    clock.set(DAY);
    limiter.reset();
    assert_eq!(drain(), 20);
    clock.advance(Duration::from_secs(1));
    assert_eq!(drain(), 10);
}

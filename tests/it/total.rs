//! Promise 6: no input panics, every quota that exists is valid, and a limiter is exact for 18
//! years of its clock and denies after that.

use std::mem::size_of;
use std::panic::catch_unwind;
use std::time::Duration;

use brimful::{
    Clock, Decision, MockClock, OwnedReservation, QuantaClock, Quota, QuotaError, RateLimiter, RateLimiterBuilder,
    Reservation, Tokens, TryAcquireError,
};
use proptest::prelude::*;

use crate::support::{Counted, LAST, SECOND, any_quota, limiter, tokens};

const YEAR: u64 = 366 * 86_400;

fn extremes() -> Vec<Quota> {
    let periods = [Duration::from_nanos(1), Duration::from_secs(1), Duration::from_secs(10_000 * YEAR)];
    let mut quotas: Vec<Quota> = periods.iter().map(|&period| Quota::new(1, period)).collect();
    quotas.push(Quota::per_second(1_000_000_000));
    quotas.push(Quota::new(u64::MAX, Duration::from_nanos(u64::MAX)));
    quotas.push(Quota::new(u64::MAX, Duration::MAX));
    quotas.push(Quota::try_from_rate(1e9, 1.0).unwrap());
    quotas.push(Quota::try_from_rate(3.2e-12, 1e-6).unwrap());
    let bursts = |&quota: &Quota| [quota.burst(1), quota.burst(u32::MAX), quota.try_burst(Tokens::MAX).unwrap()];
    let debts = |quota: Quota| [quota, quota.max_debt(0), quota.max_debt(u32::MAX).initial(0)];
    quotas.iter().flat_map(bursts).flat_map(debts).collect()
}

const TIMES: [u64; 12] =
    [0, 1, SECOND, LAST - 1, LAST, 1 << 59, 1 << 60, 1 << 61, (1 << 61) + 1, 1 << 63, u64::MAX - 1, u64::MAX];

/// Every method, at every time and cost.
fn everything(limiter: &RateLimiter<MockClock>, times: &[u64], costs: &[Tokens]) {
    for &now in times {
        for &cost in costs {
            let _ = limiter.at(now).try_acquire_n(cost).map_err(|error| (error.to_string(), error.retry_after()));
            let decision = limiter.at(now).decide(cost);
            let _ = (decision.remaining(), decision.limit(), decision.retry_after(), decision.reset_after());
            let _ = limiter.at(now).time_until(cost);
            let balance = limiter.at(now).balance();
            // Each of the two is rounded to an `f64`.
            assert!(balance <= limiter.quota().capacity().as_f64() * (1.0 + 1e-15), "{balance} of {limiter:?}");
            assert!(limiter.at(now).available_tokens() >= 0.0);
            if let Ok(reservation) = limiter.at(now).try_reserve_n(cost) {
                let _ = reservation.at(u64::MAX - now).commit(Tokens::MAX);
            }
            if let Ok(reservation) = limiter.at(now).try_reserve_n(cost) {
                reservation.at(now / 2).cancel();
            }
            assert!(limiter.at(now).add_tokens(cost) <= cost);
            let _ = format!("{limiter:?}{decision:?}");
        }
        assert!(limiter.at(now).add_tokens(Tokens::MAX) <= Tokens::MAX);
    }
    limiter.at(times[times.len() / 2]).reset();
}

#[test]
fn no_verb_panics_at_any_extreme() {
    let costs = ["0", "0.000000000001", "1", "1.999999999999", "4294967295", "4294967295.999999999999"].map(tokens);
    for quota in extremes() {
        let limiter = limiter(quota);
        everything(&limiter, &TIMES, &costs);
        let backwards: Vec<u64> = TIMES.iter().rev().copied().collect();
        everything(&limiter, &backwards, &costs);
        let (limiter, shown) = (crate::support::limiter(quota), quota.to_string());
        assert_eq!(limiter.quota(), shown.parse().unwrap(), "{shown}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_quota_is_invalid(genes in any::<[u64; 6]>(), times in any::<[u64; 4]>(), costs in any::<[(u32, u64); 4]>()) {
        let quota = any_quota(genes);
        let costs = costs.map(|(whole, pico)| Tokens::from_parts(whole, pico % 1_000_000_000_000).unwrap());
        everything(&limiter(quota), &times, &costs);
        let counted = Counted::new(quota);
        prop_assert!(counted.capacity > 0);
        let limiter = limiter(quota);
        let start = limiter.at(0).balance() * counted.per_token as f64;
        prop_assert!((start - counted.down(quota.initial_tokens()) as f64).abs() <= start * 1e-15);
    }

    /// A cost in units does not wrap: a cost above the burst stays above it.
    #[test]
    fn a_cost_above_the_burst_exceeds_it(genes in any::<[u64; 6]>(), parts in any::<[(u32, u64); 32]>()) {
        let quota = any_quota(genes);
        let limiter = limiter(quota);
        for (whole, pico) in parts {
            let cost = Tokens::from_parts(whole, pico % 1_000_000_000_000).unwrap();
            if cost > quota.capacity() {
                let exceeds = matches!(limiter.at(LAST).try_acquire_n(cost), Err(TryAcquireError::ExceedsBurst(_)));
                prop_assert!(exceeds, "{cost} of {quota}");
            }
        }
    }
}

/// The whole tokens of a cost just fit into 64 bits of units, and its fraction does not.
#[test]
fn a_huge_cost_with_a_fraction_exceeds_the_burst() {
    for seconds in [5, 7, 10, 60, 86_400] {
        let quota = Quota::new(1, Duration::from_secs(seconds)).burst(5);
        let limiter = limiter(quota);
        let per_token = seconds * SECOND;
        for back in 0..3 {
            let whole = u32::try_from(u64::MAX / per_token - back);
            let Ok(whole) = whole else { continue };
            for pico in [0, 1, 250_000_000_000, 500_000_000_000, 999_999_999_999] {
                let cost = Tokens::from_parts(whole, pico).unwrap();
                let taken = limiter.at(SECOND).try_acquire_n(cost);
                assert!(matches!(taken, Err(TryAcquireError::ExceedsBurst(_))), "{cost} of {quota}");
            }
        }
    }
}

/// The deficit of such a cost is largest if the word is years ahead of the reading.
#[test]
fn a_huge_cost_before_a_word_far_ahead_exceeds_the_burst() {
    for seconds in [3, 4, 5, 6, 7, 10, 60] {
        let quota = Quota::new(1, Duration::from_secs(seconds)).burst(5);
        let most = (i64::MAX as u64 / (seconds * SECOND)).min(u64::from(u32::MAX)) as u32;
        for cost in [most, most - 1, most / 2] {
            let limiter = limiter(quota);
            assert!(limiter.at(LAST).try_acquire_n(5).is_ok());
            let taken = limiter.at(0).try_acquire_n(cost);
            assert!(matches!(taken, Err(TryAcquireError::ExceedsBurst(_))), "{cost} of {quota}");
            let decision = limiter.at(0).decide(cost);
            assert_eq!((decision.retry_after(), decision.remaining()), (None, 0));
            assert_eq!(limiter.at(0).time_until(cost), None);
            assert!(limiter.at(0).try_reserve_n(cost).is_err());
        }
    }
}

#[test]
fn it_is_exact_to_the_end_of_its_clock_and_closed_after() {
    for quota in [Quota::per_second(1).burst(10), Quota::per_second(300_000_000).burst(10), Quota::per_minute(7)] {
        let (counted, limiter, burst) = (Counted::new(quota), limiter(quota), quota.capacity().whole());
        let token = counted.earning(counted.per_token) as u64;
        let start = LAST - 3 * token - 1;
        // One by one to the end of the clock, exactly as many as are earned.
        assert!(limiter.at(start).try_acquire_n(burst).is_ok());
        let near = counted.per_token as f64 / 4.0;
        for k in 1..=3 {
            let held = limiter.at(start + k * token).balance() * counted.per_token as f64;
            let exact = k as f64 * counted.per_token as f64;
            assert!((held - exact).abs() <= 2.0 + near, "{quota}: {held} units after {k} tokens' time");
        }
        assert!(limiter.at(LAST).try_acquire_n(2).is_ok());
        // About a token is left. Then the time stands still, and nothing more is earned.
        let left = limiter.at(LAST).balance();
        let mut admitted = 0;
        for now in TIMES.into_iter().filter(|&now| now >= LAST).chain((59..64).map(|bit| (1 << bit) + token)) {
            let lost = left - f64::from(admitted) - limiter.at(now).balance();
            assert!(lost.abs() < 1e-12, "{quota} at {now}: {lost}");
            admitted += u32::from(limiter.at(now).allow());
            let denied = limiter.at(now).try_acquire_n(2).unwrap_err();
            assert_eq!(denied.retry_after(), None, "{quota} at {now}");
        }
        assert!(admitted <= 1, "{quota}: {admitted} after the clock's end");
        // A full bucket still grants what it has, once.
        let full = crate::support::limiter(quota);
        let whole = (0..3 * burst).filter(|_| full.at(u64::MAX).allow()).count() as u32;
        assert!((burst - 1..=burst).contains(&whole), "{quota}: {whole} at the clock's end");
        // A bucket that was written at the end of the clock is not fuller at earlier readings.
        assert_eq!(full.at(SECOND).available_tokens(), 0.0);
    }
}

#[test]
fn a_refusal_names_the_value() {
    let second = Duration::from_secs(1);
    let slow = Duration::from_secs(10_001 * YEAR);
    let quota = |result: Result<Quota, QuotaError>| result.unwrap_err().to_string();
    let base = Quota::per_second(1_000_000_000);
    let table = [
        (quota(Quota::try_new(0, second)), "at least one token"),
        (quota(Quota::try_new(1, Duration::ZERO)), "longer than zero"),
        (quota(Quota::try_new(1_000_000_001, second)), "1000000001 tokens per 1s"),
        (quota(Quota::try_new(u64::MAX, Duration::from_nanos(1))), "18446744073709551615 tokens per 1ns"),
        (quota(Quota::try_new(1, slow)), "1 token per 316255622400s"),
        (quota(base.try_burst(0)), "burst above zero"),
        (quota(base.try_burst(tokens("0.5"))), "a burst of 0.5 tokens"),
        (quota(Quota::try_from_rate(f64::NAN, 1.0)), "NaN"),
        (quota(Quota::try_from_rate(f64::INFINITY, 1.0)), "inf"),
        (quota(Quota::try_from_rate(-1.5, 1.0)), "-1.5"),
        (quota(Quota::try_from_rate(0.0, 1.0)), "0: a rate"),
        (quota(Quota::try_from_rate(-0.0, 1.0)), "-0: a rate"),
        (quota(Quota::try_from_rate(1.0, f64::NAN)), "NaN: a burst"),
        (quota(Quota::try_from_rate(1.0, f64::NEG_INFINITY)), "-inf: a burst"),
        (quota(Quota::try_from_rate(1.0, 0.0)), "0: a burst"),
        (quota(Quota::try_from_rate(1.0, -2.0)), "-2: a burst"),
        (quota(Quota::try_from_rate(1.0, 4_294_967_296.0)), "4294967296: a burst"),
    ];
    for (message, part) in table {
        assert!(message.contains(part), "{message:?} does not contain {part:?}");
    }
    assert!(quota(Quota::try_from_rate(1e10, 1.0)).contains("count in larger tokens"));
    assert!(quota(Quota::try_from_rate(1e300, 1.0)).contains("count in larger tokens"));
    assert!(quota(Quota::try_from_rate(1e-13, 1.0)).contains("count in smaller tokens"));
    assert!(quota(Quota::try_from_rate(f64::MIN_POSITIVE, 1.0)).contains("count in smaller tokens"));
    for amount in [f64::NAN, f64::INFINITY, -1.0, 4_294_967_296.0] {
        let message = Tokens::try_from(amount).unwrap_err().to_string();
        assert!(message.starts_with(&format!("{amount}: ")), "{message}");
    }
    let error = limiter(Quota::per_second(5)).at(0).try_acquire_n(6).unwrap_err();
    let TryAcquireError::ExceedsBurst(exceeds) = error else { panic!("{error:?}") };
    assert_eq!((exceeds.requested(), exceeds.burst()), (Tokens::new(6), Tokens::new(5)));
    assert!(error.to_string().contains("6 tokens") && error.to_string().contains("burst of 5"), "{error}");
    assert!(RateLimiter::builder().build().unwrap_err().to_string().contains(".quota("));
    // The constructors that panic refuse the same values.
    for panics in [|| Quota::per_second(0), || Quota::per_second(1).burst(0), || Quota::per_second(1_000_000_001)] {
        assert!(catch_unwind(panics).is_err());
    }
}

#[test]
fn the_initial_tokens_are_there_from_construction() {
    let clock = MockClock::new();
    // The clock has been running for a long time, the bucket has not.
    clock.set(1_000_000 * SECOND);
    let quota = Quota::per_second(1).burst(10);
    for (initial, expected) in [(0, 0), (3, 3), (10, 10), (11, 10), (u32::MAX, 10)] {
        let quota = quota.initial(initial);
        let with_clock = || RateLimiter::with_clock(quota, clock.clone());
        let built = || RateLimiter::builder().clock(clock.clone()).quota(quota).build().unwrap();
        for make in [&with_clock as &dyn Fn() -> RateLimiter<MockClock>, &built] {
            let limiter = make();
            assert_eq!(limiter.balance(), f64::from(expected));
            assert_eq!((0..20).filter(|_| limiter.allow()).count() as u32, expected);
            clock.advance(Duration::from_secs(1));
            assert!(limiter.allow() && !limiter.allow(), "one more, after a second");
        }
    }
}

static EMPTY: RateLimiter = RateLimiter::new(Quota::per_day(1).burst(10).initial(0));
static THREE: RateLimiter = RateLimiter::new(Quota::per_day(1).burst(10).initial(3));
static FULL: RateLimiter = RateLimiter::new(Quota::per_day(1).burst(10));

#[test]
fn the_initial_tokens_of_a_static_are_there_from_the_first_call() {
    assert!(format!("{EMPTY:?}").contains("started: false"));
    for (limiter, expected) in [(&EMPTY, 0), (&THREE, 3), (&FULL, 10)] {
        // A peek shows the initial tokens, and does not start the bucket.
        assert_eq!(limiter.balance(), f64::from(expected));
        assert_eq!((0..20).filter(|_| limiter.allow()).count(), expected as usize);
    }
    // Every first call starts it, also one that gives back.
    let limiter = RateLimiter::new(Quota::per_day(1).burst(10).initial(3));
    assert_eq!(limiter.add_tokens(2), Tokens::new(2));
    assert!(limiter.try_acquire_n(5).is_ok() && !limiter.allow());
    // If the call is given a time, the bucket starts at that time.
    let limiter = RateLimiter::new(Quota::per_second(1).burst(10).initial(0));
    assert_eq!(limiter.at(1_000 * SECOND).balance(), 0.0);
    assert!(!limiter.at(1_000 * SECOND).allow());
    assert_eq!(limiter.at(1_000 * SECOND).decide(1).retry_after(), Some(Duration::from_secs(1)));
}

#[test]
fn without_a_limit_everything_is_admitted() {
    static UNLIMITED: RateLimiter = RateLimiter::unlimited();
    for now in TIMES {
        for cost in [Tokens::ZERO, Tokens::ONE, Tokens::MAX] {
            assert!(UNLIMITED.at(now).try_acquire_n(cost).is_ok() && UNLIMITED.try_acquire_n(cost).is_ok());
            let decision = UNLIMITED.at(now).decide(cost);
            assert!(decision.allowed(), "{cost} at {now}");
            let waits = [decision.retry_after(), decision.reset_after(), UNLIMITED.at(now).time_until(cost)];
            assert_eq!(waits, [Some(Duration::ZERO); 3]);
            assert_eq!((decision.limit(), decision.remaining()), (u32::MAX, u32::MAX));
            assert_eq!(UNLIMITED.try_reserve_n(cost).unwrap().commit(Tokens::MAX), Tokens::ZERO);
            UNLIMITED.at(now).try_reserve_n(cost).unwrap().at(now).cancel();
            let _ = UNLIMITED.at(now).add_tokens(cost);
            UNLIMITED.at(now).reset();
            assert_eq!(UNLIMITED.at(now).balance(), f64::INFINITY);
        }
    }
    assert!(format!("{UNLIMITED:?}").contains("unlimited"));
}

#[test]
fn limiters_are_shared_and_small() {
    fn shared<T: Send + Sync>() {}
    shared::<RateLimiter>();
    shared::<RateLimiter<MockClock>>();
    shared::<RateLimiterBuilder>();
    shared::<Reservation<'static, QuantaClock>>();
    shared::<OwnedReservation<QuantaClock>>();
    shared::<Decision>();
    shared::<TryAcquireError>();
    shared::<QuotaError>();
    assert!(size_of::<RateLimiter>() <= 256, "{} bytes", size_of::<RateLimiter>());
    // A reference to a clock is a clock, also to an unsized one.
    let mock = MockClock::new();
    let clock: &(dyn Clock + Sync) = &mock;
    let limiter = RateLimiter::with_clock(Quota::per_second(1), clock);
    assert!(limiter.allow() && !limiter.allow());
    mock.advance(Duration::from_secs(1));
    assert!(limiter.allow() && limiter.clock().now() == SECOND);
}

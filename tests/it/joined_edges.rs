//! Limits that calls join, in unusual conditions: the same one twice, late polls, user code that panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::Duration;

use brimful::{
    AcquireCause, AcquireError, AcquirePermitError, AllOf, Charge, Clock, ConcurrencyLimit, KeyedConcurrencyLimit,
    KeyedRateLimiter, LimitCause, MockClock, PermitCharge, Quota, RateLimiter, TryAcquireError,
};

use crate::waiting::poll;
use crate::waiting_panics::PanickingClock;

const SECOND: u64 = 1_000_000_000;

/// A wait would have one permit, give it back because the other one is not there, and be granted it again.
#[test]
fn a_concurrency_limit_that_is_joined_twice_is_refused_at_once() {
    let clock = MockClock::new();
    let (one, other) = (ConcurrencyLimit::with_clock(1, clock.clone()), ConcurrencyLimit::with_clock(1, clock.clone()));
    let of_key = KeyedConcurrencyLimit::<str, _>::with_clock(1, clock.clone());
    let busy = one.try_acquire().expect("it is free");
    let twice = || {
        let permits = [PermitCharge::new("a", &one), PermitCharge::new("b", &other), PermitCharge::new("c", &one)];
        AllOf::new([]).permits(permits)
    };
    for _ in 0..2 {
        let refused = twice().try_acquire().unwrap_err();
        assert!(matches!(refused.cause(), LimitCause::JoinedTwice(_)), "{refused}");
        let text = "limit \"c\": the call joins this concurrency limit twice, and takes one permit of a limit at most: \
                    join it once";
        assert_eq!((refused.to_string().as_str(), refused.index(), refused.retry_after()), (text, 2, None));
        let refused = poll(&mut twice().acquire()).expect("at once").unwrap_err();
        assert!(matches!(refused.cause(), AcquireCause::JoinedTwice(_)), "{refused}");
        assert_eq!((refused.to_string().as_str(), refused.index(), refused.retry_after()), (text, Some(2), None));
        assert!(twice().acquire().within(Duration::ZERO).wait().is_err());
    }
    drop(busy);
    assert!(twice().try_acquire().is_err());
    assert_eq!((one.in_flight(), other.in_flight(), one.waiters()), (0, 0, 0));
    let keys = |first, second| {
        let permits = [first, second].map(|key| PermitCharge::of_key("tenant", &of_key, key));
        AllOf::new([]).permits(permits).acquire().wait().is_ok()
    };
    assert!(keys("x", "y") && !keys("x", "x"));
    assert_eq!(of_key.len(), 0);
}

#[test]
fn a_clock_that_panics_leaves_all_joined_limits_charged_or_none() {
    let mut panics = 0;
    for reading in 1..12 {
        let clock = PanickingClock::default();
        let of = |burst| KeyedRateLimiter::<u8, _>::with_clock(Quota::per_hour(1).burst(burst), clock.clone());
        let (a, b, c) = (of(9), of(8), of(7));
        clock.left.store(reading, Ordering::SeqCst);
        // The keys are new, so each limit is looked at and then taken from, with a reading each.
        let charges = [Charge::new("a", a.key(&1), 2), Charge::new("b", b.key(&1), 2), Charge::new("c", c.key(&1), 2)];
        let taken = catch_unwind(AssertUnwindSafe(|| AllOf::new(charges).try_acquire().is_ok()));
        clock.left.store(0, Ordering::SeqCst);
        let charged = f64::from(u32::from(taken.is_ok()) * 2);
        let left = [&a, &b, &c].map(|limiter| limiter.key(&1).balance());
        assert_eq!(left, [9.0 - charged, 8.0 - charged, 7.0 - charged], "reading {reading}");
        panics += u32::from(taken.is_err());
    }
    assert!(panics >= 6, "{panics} readings panicked");
}

/// The tokens that a call waited for come back if the clock panics when the others are taken.
#[test]
fn a_clock_that_panics_after_a_wait_leaves_no_joined_limit_charged() {
    let mut panics = 0;
    for reading in 1..8 {
        let (clock, other) = (MockClock::new(), PanickingClock::default());
        let slow = KeyedRateLimiter::<u8, _>::with_clock(
            Quota::per_second(1).burst(2),
            PanickingClock { clock: clock.clone(), ..PanickingClock::default() },
        );
        let (fast, last) = (
            KeyedRateLimiter::<u8, _>::with_clock(Quota::per_hour(1).burst(9), other.clone()),
            KeyedRateLimiter::<u8, _>::with_clock(Quota::per_hour(1).burst(9), other.clone()),
        );
        assert!(slow.try_acquire_n(&1, 2).is_ok());
        let charges = [
            Charge::new("slow", slow.key(&1), 2),
            Charge::new("fast", fast.key(&1), 1),
            Charge::new("last", last.key(&1), 1),
        ];
        let mut wait = AllOf::new(charges).acquire();
        assert!(poll(&mut wait).is_none());
        clock.advance(Duration::from_secs(2));
        assert_eq!(slow.key(&1).balance(), 0.0, "granted");
        other.left.store(reading, Ordering::SeqCst);
        let polled = catch_unwind(AssertUnwindSafe(|| poll(&mut wait)));
        other.left.store(0, Ordering::SeqCst);
        drop(wait);
        let left = [slow.key(&1).balance(), fast.key(&1).balance(), last.key(&1).balance()];
        match polled {
            Ok(answer) => {
                assert!(answer.is_some_and(|answer| answer.is_ok()));
                assert_eq!(left, [0.0, 8.0, 8.0], "reading {reading}");
            }
            Err(_) => {
                assert_eq!(left, [2.0, 9.0, 9.0], "reading {reading}");
                panics += 1;
            }
        }
    }
    assert!(panics >= 3, "{panics} readings panicked");
}

/// The first limit grants in time, and the call is polled after its deadline.
#[test]
fn a_joined_wait_takes_nothing_after_its_deadline() {
    let clock = MockClock::new();
    let (slow, fast) = (
        RateLimiter::with_clock(Quota::per_second(1).burst(1), clock.clone()),
        RateLimiter::with_clock(Quota::per_second(9).burst(9), clock.clone()),
    );
    let parallel = ConcurrencyLimit::with_clock(1, clock.clone());
    let in_time = |polled: u64| {
        clock.set(clock.now() + 100 * SECOND);
        let start = clock.now();
        assert!(slow.try_acquire().is_ok());
        let charges = [Charge::new("slow", &slow, 1), Charge::new("fast", &fast, 1)];
        let wait = AllOf::new(charges).permits([PermitCharge::new("parallel", &parallel)]);
        let mut wait = wait.acquire().within(Duration::from_secs(2));
        assert!(poll(&mut wait).is_none());
        clock.set(start + SECOND);
        assert_eq!((slow.balance(), slow.waiters()), (0.0, 0), "granted");
        clock.set(start + polled);
        let answer = poll(&mut wait).expect("it ends");
        assert_eq!(parallel.in_flight(), usize::from(answer.is_ok()));
        let left = if answer.is_ok() { (1.0, 8.0) } else { (1.0, 9.0) };
        assert_eq!((slow.balance(), fast.balance()), left);
        answer.map(drop)
    };
    assert!(in_time(2 * SECOND).is_ok());
    let late = in_time(2 * SECOND + 1).unwrap_err();
    assert_eq!((late.limit(), late.to_string()), (None, "the deadline has passed; the tokens are there".to_owned()));
    assert!(matches!(late.cause(), AcquireCause::Tokens(AcquireError::TooLate(_))));
}

/// Tokens that were granted by the deadline are the call's if it takes nothing else, as in any other wait.
#[test]
fn a_joined_wait_for_one_limit_may_be_polled_late() {
    let clock = MockClock::new();
    let slow = RateLimiter::with_clock(Quota::per_second(1).burst(2), clock.clone());
    assert!(slow.try_acquire_n(2).is_ok());
    let twice = [Charge::new("a", &slow, 1), Charge::new("b", &slow, 1), Charge::new("c", &slow, 0)];
    let mut wait = AllOf::new(twice).acquire().until(2 * SECOND);
    assert!(poll(&mut wait).is_none());
    clock.advance(Duration::from_secs(5));
    assert!(poll(&mut wait).is_some_and(|answer| answer.is_ok()));
    let parallel = ConcurrencyLimit::with_clock(1, clock.clone());
    let permit = parallel.try_acquire().expect("it is free");
    let mut wait = AllOf::new([]).permits([PermitCharge::new("parallel", &parallel)]).acquire().until(6 * SECOND);
    assert!(poll(&mut wait).is_none());
    drop(permit);
    clock.advance(Duration::from_secs(5));
    assert!(poll(&mut wait).is_some_and(|answer| answer.is_ok()));
}

#[test]
fn a_joined_wait_until_an_instant_that_has_passed_fails_at_once() {
    let clock = MockClock::new();
    clock.set(SECOND);
    let limiter = RateLimiter::with_clock(Quota::per_second(1).burst(1), clock.clone());
    let parallel = ConcurrencyLimit::with_clock(1, clock.clone());
    let call = |n: u32| AllOf::new([Charge::new("tokens", &limiter, n)]);
    let permit = || AllOf::new([]).permits([PermitCharge::new("parallel", &parallel)]);
    let late = poll(&mut call(1).acquire().until(SECOND - 1)).expect("at once").unwrap_err();
    assert!(matches!(late.cause(), AcquireCause::Tokens(AcquireError::TooLate(_))), "{late}");
    let late = permit().acquire().until(SECOND - 1).wait().unwrap_err();
    assert!(matches!(late.cause(), AcquireCause::Permit(AcquirePermitError::TimedOut(_))), "{late}");
    assert_eq!((limiter.balance(), parallel.in_flight()), (1.0, 0));
    assert!(call(0).acquire().until(0).wait().is_ok(), "it costs nothing");
    assert!(call(1).acquire().within(Duration::ZERO).wait().is_ok());
    assert!(permit().acquire().until(SECOND).wait().is_ok());
    let late = call(1).acquire().until(0).wait().unwrap_err();
    assert_eq!((late.limit(), late.retry_after()), (Some("tokens"), Some(Duration::from_secs(1))));
}

#[test]
fn a_call_that_needs_more_of_a_bucket_than_its_burst_is_refused_for_good() {
    let limiter = RateLimiter::with_clock(Quota::per_second(1).burst(10), MockClock::new());
    let never = |charges: [Charge<'_, MockClock>; 2], n: &str| {
        let call = AllOf::new(charges);
        let refused = call.try_acquire().unwrap_err();
        assert!(matches!(refused.cause(), LimitCause::Tokens(TryAcquireError::ExceedsBurst(_))), "{refused}");
        assert_eq!(refused.retry_after(), None);
        assert!(refused.to_string().contains(n), "{refused}");
        let decision = call.decide();
        assert_eq!((decision.retry_after(), decision.refusal()), (None, Some(refused)));
        assert!(decision.limits().all(|(_, decision)| decision.exceeds_burst()), "{decision:?}");
        let refused = poll(&mut call.acquire()).expect("at once").unwrap_err();
        assert!(matches!(refused.cause(), AcquireCause::Tokens(AcquireError::ExceedsBurst(_))), "{refused}");
    };
    // From a full bucket, from one that has the tokens of neither charge, and beside the tokens that a view leaves.
    let twice = |n: u32| [Charge::new("a", &limiter, n), Charge::new("b", &limiter, n)];
    never(twice(6), "12 tokens");
    never([Charge::new("a", &limiter, 3), Charge::new("b", limiter.leaving(7), 1)], "4 tokens");
    never([Charge::new("a", limiter.leaving(7), 1), Charge::new("b", &limiter, 3)], "4 tokens");
    assert_eq!(limiter.balance(), 10.0);
    assert!(limiter.try_acquire_n(8).is_ok());
    never(twice(6), "12 tokens");
    // A call that can pass is told when.
    let refused = AllOf::new(twice(3)).try_acquire().unwrap_err();
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(4)));
}

/// The tokens that views leave are there after the whole call, in any order of its charges, with and without a wait.
#[test]
fn a_bucket_that_is_joined_twice_keeps_the_most_tokens_that_a_charge_leaves() {
    let limiter = RateLimiter::with_clock(Quota::per_second(1).burst(10), MockClock::new());
    for is_reversed in [false, true] {
        let call = || {
            let mut charges = [Charge::new("a", &limiter, 3), Charge::new("b", limiter.leaving(5), 1)];
            if is_reversed {
                charges.reverse();
            }
            AllOf::new(charges)
        };
        limiter.reset();
        assert!(limiter.try_acquire_n(2).is_ok());
        let refused = call().try_acquire().unwrap_err();
        assert_eq!((refused.retry_after(), limiter.balance()), (Some(Duration::from_secs(1)), 8.0));
        let mut wait = call().acquire();
        assert!(poll(&mut wait).is_none());
        limiter.clock().advance(Duration::from_secs(1) - Duration::from_nanos(1));
        assert!(poll(&mut wait).is_none());
        limiter.clock().advance(Duration::from_nanos(1));
        assert!(poll(&mut wait).is_some_and(|answer| answer.is_ok()));
        assert_eq!(limiter.balance(), 5.0);
        limiter.clock().advance(Duration::from_secs(4));
        assert!(call().try_acquire().is_ok());
    }
}

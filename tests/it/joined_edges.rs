//! Limits that calls join, in unusual conditions: the same one twice, late polls, user code that panics.

use std::time::Duration;

use brimful::{AcquireCause, AllOf, ConcurrencyLimit, KeyedConcurrencyLimit, LimitCause, MockClock, PermitCharge};

use crate::waiting::poll;

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

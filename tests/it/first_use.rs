//! A bucket that was made in a constant starts at its first use, whatever that use is.

use std::sync::Arc;
use std::time::Duration;

use brimful::{Clock, Decision, MockClock, Quota, RateLimiter};

const SECOND: u64 = 1_000_000_000;

/// One token per second, and no initial tokens.
fn not_started() -> RateLimiter {
    RateLimiter::new(Quota::per_second(1).burst(5).initial(0))
}

#[test]
fn a_denied_first_call_starts_the_bucket() {
    let limiter = not_started();
    assert!(!limiter.at(10 * SECOND).allow());
    assert!(!limiter.at(11 * SECOND - 1).allow());
    assert!(limiter.at(11 * SECOND).allow());
}

#[test]
fn a_first_call_that_never_could_be_admitted_starts_it_too() {
    let limiter = not_started();
    assert!(limiter.at(10 * SECOND).try_acquire_n(6).is_err());
    assert!(limiter.at(11 * SECOND).allow());
}

#[test]
fn whatever_looks_starts_the_bucket_so_that_what_it_foretells_comes() {
    let calls: [fn(&RateLimiter, u64); 4] = [
        |limiter, now| assert_eq!(limiter.at(now).time_until(1), Some(Duration::from_secs(1))),
        |limiter, now| assert_eq!(limiter.at(now).available_tokens(), 0.0),
        |limiter, now| assert_eq!(limiter.at(now).decide(0).remaining(), 0),
        |limiter, now| assert_eq!(limiter.at(now).add_tokens(0), 0.into()),
    ];
    for call in calls {
        let limiter = not_started();
        call(&limiter, 10 * SECOND);
        assert!(!limiter.at(11 * SECOND - 1).allow());
        assert!(limiter.at(11 * SECOND).allow());
    }
}

#[test]
fn a_limiter_shows_what_it_holds_now() {
    let clock = MockClock::new();
    clock.set(SECOND);
    let limiter = RateLimiter::with_clock(Quota::per_second(100).burst(200), clock.clone());
    assert!(limiter.try_acquire_n(200).is_ok());
    assert!(format!("{limiter:?}").contains("tokens: 0.0"), "{limiter:?}");
    clock.advance(Duration::from_millis(25));
    assert!(format!("{limiter:?}").contains("tokens: 2.5"), "{limiter:?}");
    assert!(format!("{limiter:?}").contains("100/s burst 200"), "{limiter:?}");
}

#[test]
fn a_decision_tells_never_from_not_yet() {
    let limiter = RateLimiter::with_clock(Quota::per_second(1).burst(5), MockClock::new());
    let reported = |decision: Decision| (decision.allowed(), decision.exceeds_burst(), decision.retry_after());
    assert_eq!(reported(limiter.decide(6)), (false, true, None));
    assert_eq!(limiter.decide(6).remaining(), 5);
    assert_eq!(reported(limiter.decide(4)), (true, false, Some(Duration::ZERO)));
    assert_eq!(reported(limiter.decide(3)), (false, false, Some(Duration::from_secs(2))));
    assert_eq!(reported(limiter.decide(u32::MAX)), (false, true, None));
    assert_eq!(limiter.decide(u32::MAX).remaining(), 1);
}

#[test]
fn any_clock_behind_a_pointer_is_a_clock() {
    let clock = MockClock::new();
    let boxed: Box<dyn Clock + Send + Sync> = Box::new(clock.clone());
    let limiter = Arc::new(RateLimiter::with_clock(Quota::per_second(1), boxed));
    assert!(limiter.allow() && !limiter.allow());
    clock.advance(Duration::from_secs(1));
    let reservation = limiter.try_reserve_n_owned(1).expect("a token is earned in a second");
    assert_eq!(limiter.balance(), 0.0);
    std::thread::spawn(move || drop(reservation)).join().expect("a drop does not panic");
    assert_eq!(limiter.balance(), 1.0);
}

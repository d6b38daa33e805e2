//! A limit that follows demand: the log of the Python original.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use brimful::adaptive::DemandLimit;
use brimful::{MockClock, Quota};

use crate::waiting::{on_wake, poll, poll_by};
use crate::waiting_panics::PanickingClock;

fn limit() -> (DemandLimit<MockClock>, MockClock) {
    let clock = MockClock::new();
    (DemandLimit::builder().clock(clock.clone()).build().unwrap(), clock)
}

/// The capacity and the refill.
fn numbers(limit: &DemandLimit<MockClock>) -> (u32, u64) {
    let quota = limit.limiter().quota();
    let (tokens, period) = quota.rate();
    (quota.capacity().whole(), tokens * 1_000_000_000 / period.as_nanos() as u64)
}

#[test]
fn the_published_log() {
    let (limit, clock) = limit();
    assert_eq!(numbers(&limit), (10, 5));
    // The requests in each second, of which some are rejected, and the capacity and refill after it.
    let log = [
        (5, 0, (10, 5)),
        (5, 0, (10, 5)),
        (3, 0, (8, 4)),
        (2, 0, (6, 3)),
        (3, 0, (6, 3)),
        (2, 0, (6, 3)),
        (9, 3, (12, 6)),
        (4, 0, (10, 5)),
        (4, 0, (10, 5)),
        (4, 0, (10, 5)),
        (4, 0, (10, 5)),
        (4, 0, (10, 5)),
        (3, 0, (8, 4)),
    ];
    let mut before = (10, 5);
    for (second, &(requests, rejected, after)) in log.iter().enumerate() {
        let mut refused = 0;
        // The nine come at once, the others evenly.
        let gap = if rejected > 0 { 0 } else { 1_000_000_000 / requests };
        for _ in 0..requests {
            refused += u64::from(!limit.allow());
            // The first request ends the second before.
            assert_eq!(numbers(&limit), before, "second {second}");
            clock.advance(Duration::from_nanos(gap));
        }
        assert_eq!(refused, rejected, "second {second}");
        before = after;
        clock.advance(Duration::from_nanos(1_000_000_000 - gap * requests));
    }
    assert!(limit.allow());
    assert_eq!(numbers(&limit), before);
}

#[test]
fn seconds_without_requests_count() {
    let (limit, clock) = limit();
    assert!((0..10).all(|_| limit.allow()));
    clock.advance(Duration::from_secs(1));
    assert!(limit.allow());
    assert_eq!(numbers(&limit), (16, 8), "10 requests at a refill of 5");
    // One request, and then three seconds without: 5, 3, 2, 1.
    clock.advance(Duration::from_secs(4));
    assert!(limit.allow());
    assert_eq!(numbers(&limit), (2, 1));
    clock.advance(Duration::from_secs(1_000_000));
    assert!(limit.allow());
    assert_eq!(numbers(&limit), (2, 1));
}

#[test]
fn every_constant_is_a_parameter() {
    let clock = MockClock::new();
    let limit = DemandLimit::builder()
        .period(Duration::from_secs(60))
        .initial_refill(100)
        .max_refill(300)
        .weight(100)
        .burst_periods(3)
        .max_burst(500)
        .clock(clock.clone())
        .build()
        .unwrap();
    assert_eq!(limit.limiter().quota(), Quota::per_minute(100).burst(300));
    assert!((0..200).all(|_| limit.allow()));
    assert!(limit.try_acquire_n(1_000).is_err());
    clock.advance(Duration::from_secs(60));
    assert!(limit.allow());
    assert_eq!(limit.limiter().quota(), Quota::per_minute(300).burst(500));
    assert!(DemandLimit::builder().initial_refill(11).build().is_err());
    assert!(DemandLimit::builder().initial_refill(0).build().is_err());
    assert!(DemandLimit::builder().max_burst(0).build().is_err());
    assert!(DemandLimit::builder().burst_periods(0).build().is_err());
    assert!(DemandLimit::builder().period(Duration::ZERO).build().is_err());
}

/// A quota that is set by hand holds until the end of its period, which counts as if it had not been set. A pause
/// holds until its own end.
#[test]
fn a_quota_that_is_set_by_hand_holds_for_its_period() {
    let (limit, clock) = limit();
    for (requests, after) in [(5, (10, 5)), (1, (6, 3)), (0, (4, 2))] {
        limit.limiter().set_quota(Quota::per_second(2).burst(1)).unwrap();
        clock.advance(Duration::from_millis(500));
        for _ in 0..requests {
            let _ = limit.allow();
            assert_eq!(limit.limiter().quota(), Quota::per_second(2).burst(1));
        }
        clock.advance(Duration::from_millis(500));
        // Counts as none.
        assert!(limit.try_acquire_n(0).is_ok());
        assert_eq!(numbers(&limit), after, "after {requests} requests");
    }
    limit.limiter().pause_for(Duration::from_millis(2_500));
    clock.advance(Duration::from_secs(2));
    assert!(!limit.allow());
    assert_eq!(numbers(&limit), (2, 1));
    clock.advance(Duration::from_millis(500));
    assert!(limit.allow());
}

/// A waiter is woken by the change, moves the clock, and calls the limit: no lock is held meanwhile.
#[test]
fn a_waiter_that_is_woken_by_a_new_quota_may_end_a_period() {
    let (limit, clock) = limit();
    assert!(limit.limiter().try_acquire_n(10).is_ok());
    let limit = Arc::new(limit);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let waker = {
        let (limit, seen) = (Arc::downgrade(&limit), seen.clone());
        on_wake(move || {
            let limit = limit.upgrade().unwrap();
            clock.advance(Duration::from_secs(1));
            let _ = limit.allow();
            seen.lock().unwrap().push(numbers(&limit));
        })
    };
    let mut wait = limit.limiter().acquire_n(10);
    assert!(poll_by(&mut wait, &waker).is_none());
    limit.limiter().clock().advance(Duration::from_secs(1));
    // A period without requests: 3 a second and a burst of 6, which ends the wait. Then another one: 2 and 4.
    assert!(limit.allow());
    assert!(poll(&mut wait).is_some_and(|answer| answer.is_err()));
    assert_eq!((seen.lock().unwrap().as_slice(), numbers(&limit)), ([(4, 2)].as_slice(), (4, 2)));
}

/// The quota follows at the end of the next period.
#[test]
fn a_clock_that_panics_keeps_the_quota_from_following_once() {
    let clock = PanickingClock::default();
    let limit = DemandLimit::builder().clock(clock.clone()).build().unwrap();
    clock.clock.advance(Duration::from_secs(1));
    // The first reading is the call's, and the second one that of the new quota.
    clock.left.store(2, Ordering::SeqCst);
    assert!(catch_unwind(AssertUnwindSafe(|| limit.allow())).is_err());
    assert!((0..3).all(|_| limit.allow()));
    assert_eq!(limit.limiter().quota(), Quota::per_second(5).burst(10));
    // Three requests keep a refill of three.
    clock.clock.advance(Duration::from_secs(1));
    assert!(limit.allow());
    assert_eq!(limit.limiter().quota(), Quota::per_second(3).burst(6));
}

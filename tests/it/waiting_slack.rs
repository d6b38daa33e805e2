//! A timer with slack: a wake is put off so that it serves several waiters, but no tokens are lost by
//! that, and a waiter that is alone is not late.

use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Duration;

use brimful::{Acquire, KeyedRateLimiter, MockClock, Quota, RateLimiter, Timer};

use crate::waiting::poll;

const MILLISECOND: u64 = 1_000_000;

/// A timer that stores how it was armed, and fires when the test says so.
#[derive(Clone, Default)]
struct ManualTimer(Arc<Mutex<Option<(u64, Waker)>>>);

impl ManualTimer {
    fn armed_for(&self) -> Option<u64> {
        self.0.lock().expect("no test fails").as_ref().map(|(at, _)| *at)
    }

    fn fire(&self) {
        let armed = self.0.lock().expect("no test fails").take();
        armed.expect("the timer is armed").1.wake();
    }
}

impl Timer for ManualTimer {
    fn arm(&mut self, _: u64, at_ns: u64, waker: &Waker) {
        *self.0.lock().expect("no test fails") = Some((at_ns, waker.clone()));
    }

    fn slack(&self) -> Duration {
        Duration::from_millis(3)
    }
}

/// The instant for which the timer is armed after it fired `late` milliseconds in, with `waiters`
/// waiters on an empty bucket of 1000 tokens a second.
fn armed_after(burst: u32, waiters: u64, late: u64) -> Option<u64> {
    let (clock, timer) = (MockClock::new(), ManualTimer::default());
    let builder = RateLimiter::builder().quota(Quota::per_second(1_000).burst(burst).initial(0)).clock(clock.clone());
    let made = timer.clone();
    let limiter = Arc::new(builder.timer(move || made.clone()).build().expect("a quota"));
    let mut waits: Vec<_> = (0..waiters).map(|_| limiter.acquire_n_owned(1)).collect();
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()));
    clock.advance(Duration::from_millis(late));
    timer.fire();
    assert_eq!(limiter.waiters() as u64, waiters - late.min(burst.into()));
    timer.armed_for()
}

/// In tenths of a millisecond.
fn tenths(n: u64) -> Option<u64> {
    Some(n * MILLISECOND / 10)
}

#[test]
fn a_wake_for_several_is_put_off_as_long_as_half_of_the_bucket_stays_free() {
    // The first waiter is due a millisecond after the pass. The slack is three, and half of the room
    // above the first waiter's need is earned in half as many milliseconds as it has tokens.
    for (burst, expected) in [(100, 60), (10, 60), (7, 60), (6, 55), (4, 45), (3, 40), (2, 30), (1, 30)] {
        assert_eq!(armed_after(burst, 50, 2), tenths(expected), "burst {burst}");
    }
}

#[test]
fn a_wake_for_one_is_not_put_off() {
    assert_eq!(armed_after(100, 2, 1), tenths(20));
    // No later than for the last waiter.
    assert_eq!(armed_after(100, 3, 1), tenths(30));
    assert_eq!(armed_after(100, 4, 1), tenths(40));
    assert_eq!(armed_after(100, 50, 1), tenths(50));
}

/// The timer is armed for two, and one of them leaves.
#[test]
fn a_waiter_that_stays_alone_is_not_late() {
    let (clock, timer) = (MockClock::new(), ManualTimer::default());
    let builder = RateLimiter::builder().quota(Quota::per_second(1_000).burst(100).initial(0)).clock(clock.clone());
    let made = timer.clone();
    let limiter = builder.timer(move || made.clone()).build().expect("a quota");
    let mut waits: Vec<_> = (0..3).map(|_| limiter.acquire()).collect();
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()));
    clock.advance(Duration::from_millis(1));
    timer.fire();
    assert_eq!(timer.armed_for(), tenths(30), "for both");
    waits.pop();
    assert_eq!(timer.armed_for(), tenths(20), "for one");
}

/// With the mock clock each waiter is served at the instant at which it is due, to the nanosecond.
#[test]
fn the_mock_clock_has_no_slack() {
    let clock = MockClock::new();
    let quota = Quota::per_second(1_000).burst(10).initial(0);
    let limiter = RateLimiter::with_clock(quota, clock.clone());
    let keyed = KeyedRateLimiter::<u8, _>::with_clock(quota, clock.clone());
    let mut waits: Vec<_> = (0..10).map(|_| limiter.acquire()).collect();
    let mut keyed_waits: Vec<_> = (0..10).map(|nth| keyed.acquire(&(nth % 2))).collect();
    assert!(waits.iter_mut().chain(&mut keyed_waits).all(|wait| poll(wait).is_none()));
    clock.advance(Duration::from_secs(1));
    let granted = |waits: &mut Vec<Acquire<'_, MockClock>>| {
        let granted = waits.iter_mut().map(|wait| poll(wait).expect("it is over").expect("in time").granted_at());
        granted.collect::<Vec<_>>()
    };
    let (lone, by_key) = (granted(&mut waits), granted(&mut keyed_waits));
    assert_eq!(lone, (1..=10).map(|nth| nth * MILLISECOND).collect::<Vec<_>>());
    assert_eq!(by_key, (2..12).map(|nth| nth / 2 * MILLISECOND).collect::<Vec<_>>());
}

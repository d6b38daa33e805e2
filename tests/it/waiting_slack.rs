//! A timer with slack: the wake after that of a crowd is put off, but no tokens are lost by that.

use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Duration;

use brimful::{MockClock, Quota, RateLimiter, Timer};

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
    assert_eq!(u64::from(limiter.waiters()), waiters - late.min(burst.into()));
    timer.armed_for()
}

#[test]
fn the_wake_after_a_crowds_is_put_off_as_long_as_half_of_the_bucket_stays_free() {
    // Without slack, each would be armed for a millisecond after the next waiter is due, so that it
    // serves several.
    for (burst, late, expected) in [(100, 2, 7), (100, 10, 15), (10, 3, 8), (8, 3, 7), (6, 3, 6), (4, 2, 4)] {
        let armed = armed_after(burst, 50, late);
        assert_eq!(armed, Some(expected * MILLISECOND), "burst {burst}, {late} ms");
    }
}

#[test]
fn the_wake_after_a_single_waiters_is_not_put_off() {
    assert_eq!(armed_after(1, 50, 1), Some(2 * MILLISECOND));
    assert_eq!(armed_after(100, 50, 1), Some(3 * MILLISECOND));
    assert_eq!(armed_after(100, 2, 1), Some(2 * MILLISECOND));
}

//! What is the user's panics: clocks, timers, wakers. Nobody is left behind for it.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::time::Duration;

use brimful::{Clock, KeyedRateLimiter, MockClock, Quota, RateLimiter, Timer};

use crate::waiting::{calls, poll, poll_by};

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Stands still, and panics at the reading after so many.
#[derive(Clone, Default)]
pub(crate) struct Countdown {
    pub(crate) clock: MockClock,
    pub(crate) left: Arc<AtomicU64>,
}

impl Clock for Countdown {
    fn now(&self) -> u64 {
        let count = |left: u64| left.checked_sub(1);
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count) == Ok(1) {
            panic!("a clock's own affair");
        }
        self.clock.now()
    }

    fn timer(&self) -> Option<Box<dyn Timer>> {
        self.clock.timer()
    }
}

#[test]
fn a_clock_that_panics_while_one_comes_to_wait_leaves_nobody_behind() {
    for reading in 1..5 {
        let clock = Countdown::default();
        let limiter = RateLimiter::with_clock(Quota::per_second(1).burst(10).initial(0), clock.clone());
        let keyed = KeyedRateLimiter::<u32, _>::with_clock(Quota::per_second(1).burst(10).initial(0), clock.clone());
        assert!(!limiter.allow() && !keyed.allow(&7));
        clock.left.store(reading, Ordering::SeqCst);
        let waited = catch_unwind(AssertUnwindSafe(|| poll(&mut limiter.acquire_n(5))));
        assert_eq!(waited.is_err(), reading == 1);
        clock.left.store(reading, Ordering::SeqCst);
        let waited = catch_unwind(AssertUnwindSafe(|| poll(&mut keyed.acquire_n(&7, 5))));
        assert_eq!(waited.is_err(), reading == 1);
        clock.left.store(0, Ordering::SeqCst);
        assert_eq!((limiter.waiters(), keyed.key(&7).waiters()), (0, 0));
        clock.clock.advance(seconds(5));
        assert_eq!((limiter.available_tokens(), keyed.key(&7).available_tokens()), (5.0, 5.0), "reading {reading}");
    }
}

#[test]
fn a_clock_that_panics_where_a_key_is_served_costs_no_more() {
    let clock = Countdown::default();
    let keyed = KeyedRateLimiter::<u32, _>::with_clock(Quota::per_second(1).burst(10).initial(0), clock.clone());
    assert!(!keyed.allow(&7));
    let mut wait = keyed.acquire_n(&7, 5);
    assert!(poll(&mut wait).is_none());
    clock.clock.advance(seconds(5));
    clock.left.store(1, Ordering::SeqCst);
    let served = catch_unwind(AssertUnwindSafe(|| poll(&mut wait)));
    clock.left.store(0, Ordering::SeqCst);
    assert!(matches!(served, Ok(Some(Ok(_)))), "the clock is not read to tell a grant");
    assert_eq!(keyed.waiting_keys(), 0);
}

/// Does something and panics when it is armed, so many times.
struct Fragile {
    inner: Box<dyn Timer>,
    faults: Arc<AtomicU64>,
    clock: MockClock,
    before: fn(&MockClock),
}

impl Timer for Fragile {
    fn arm(&mut self, now_ns: u64, at_ns: u64, waker: &Waker) {
        let count = |left: u64| left.checked_sub(1);
        let faults = self.faults.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count);
        if faults.is_ok() {
            (self.before)(&self.clock);
            panic!("a timer's own affair");
        }
        self.inner.arm(now_ns, at_ns, waker);
    }
}

fn fragile_timers(
    clock: &MockClock,
    faults: &Arc<AtomicU64>,
    before: fn(&MockClock),
) -> impl Fn() -> Fragile + Send + Sync + 'static {
    let (clock, faults) = (clock.clone(), faults.clone());
    move || {
        let inner = clock.timer().expect("a mock clock has timers");
        Fragile { inner, faults: faults.clone(), clock: clock.clone(), before }
    }
}

/// 1/s, burst 1, with such a timer.
fn fragile(clock: &MockClock, faults: &Arc<AtomicU64>, before: fn(&MockClock)) -> RateLimiter<MockClock> {
    let builder = RateLimiter::builder().quota(Quota::per_second(1).burst(1));
    builder.clock(clock.clone()).timer(fragile_timers(clock, faults, before)).build().unwrap()
}

#[test]
fn a_timer_that_panics_is_made_anew() {
    let (clock, faults) = (MockClock::new(), Arc::new(AtomicU64::new(2)));
    let limiter = fragile(&clock, &faults, |_| {});
    assert!(limiter.allow());
    let mut first = limiter.acquire();
    assert!(poll(&mut first).is_none());
    clock.advance(seconds(1));
    assert!(poll(&mut first).is_some_and(|outcome| outcome.is_ok()));
    faults.store(3, Ordering::SeqCst);
    let mut given_up = limiter.acquire();
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut given_up))).is_err(), "what panics each time is passed on");
    let mut next = limiter.acquire();
    assert!(poll(&mut next).is_none());
    clock.advance(seconds(2));
    assert!([given_up, next].iter_mut().all(|wait| poll(wait).is_some_and(|outcome| outcome.is_ok())));
}

/// Many keys, with such a timer.
fn fragile_keys(quota: Quota, clock: &MockClock, faults: &Arc<AtomicU64>) -> KeyedRateLimiter<u32, MockClock> {
    let builder = KeyedRateLimiter::builder().quota(quota);
    builder.clock(clock.clone()).timer(fragile_timers(clock, faults, |_| {})).build().unwrap()
}

/// Looks that were given up are made by whoever looks at the key.
#[test]
fn a_key_whose_timer_was_given_up_is_served_after_the_next_call() {
    let (clock, faults) = (MockClock::new(), Arc::new(AtomicU64::new(9)));
    let limiter = fragile_keys(Quota::per_second(1).burst(1), &clock, &faults);
    assert!(limiter.allow(&7));
    let mut given_up = limiter.acquire(&7);
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut given_up))).is_err());
    assert_eq!((faults.load(Ordering::SeqCst), limiter.key(&7).available_tokens()), (0, 0.0));
    let mut next = limiter.acquire(&7);
    assert!(poll(&mut next).is_none());
    clock.advance(seconds(2));
    assert!([given_up, next].iter_mut().all(|wait| poll(wait).is_some_and(|outcome| outcome.is_ok())));
}

/// Somebody who was granted is to be told later, when looks are given up.
#[test]
fn who_is_to_be_told_later_is_told_when_looks_are_given_up() {
    let (clock, faults) = (MockClock::new(), Arc::new(AtomicU64::new(0)));
    let limiter = fragile_keys(Quota::per_day(1), &clock, &faults);
    assert!(limiter.allow(&7));
    let woken = Arc::new(AtomicU64::new(0));
    let count = woken.clone();
    let count = calls(move || _ = count.fetch_add(1, Ordering::SeqCst));
    let mut held = limiter.acquire(&7).jitter(seconds(3_000));
    assert!(poll_by(&mut held, &count).is_none());
    let mut waits = limiter.acquire(&7).within(seconds(200_000));
    assert!(poll(&mut waits).is_none());
    faults.store(9, Ordering::SeqCst);
    assert!(catch_unwind(AssertUnwindSafe(|| limiter.key(&7).add_tokens(1))).is_err());
    assert_eq!(woken.load(Ordering::SeqCst), 1);
    assert!(poll(&mut held).is_some_and(|outcome| outcome.is_ok()));
    // Whoever waits on has lost nothing but the timer.
    assert!(!limiter.allow(&7));
    clock.advance(seconds(86_400));
    assert!(poll(&mut waits).is_some_and(|outcome| outcome.is_ok()));
}

#[test]
fn those_who_were_served_are_woken_in_their_order_where_the_timer_panics_between() {
    let (clock, faults) = (MockClock::new(), Arc::new(AtomicU64::new(0)));
    let limiter = fragile(&clock, &faults, |clock| clock.set(2_000_000_000));
    assert!(limiter.allow());
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut waits = [0, 1, 2].map(|nth| (nth, limiter.acquire()));
    for (nth, wait) in &mut waits {
        let (nth, order) = (*nth, order.clone());
        assert!(poll_by(wait, &calls(move || order.lock().unwrap().push(nth))).is_none());
    }
    faults.store(1, Ordering::SeqCst);
    clock.set(1_000_000_000);
    assert_eq!(*order.lock().unwrap(), [0, 1]);
}

/// Panics where it is dropped.
struct Spiteful;

impl Wake for Spiteful {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Spiteful {
    fn drop(&mut self) {
        panic!("a waker's own affair");
    }
}

/// The first goes, whose waker panics as it is dropped; the second is served.
fn is_served_behind_a_spiteful_waker<F: Future + Unpin>(begin: impl Fn() -> F, clock: &MockClock) -> bool {
    let (mut first, mut second) = (begin(), begin());
    assert!(poll_by(&mut first, &Waker::from(Arc::new(Spiteful))).is_none());
    assert!(poll(&mut second).is_none());
    drop(first);
    clock.advance(seconds(1));
    poll(&mut second).is_some()
}

#[test]
fn a_waker_that_panics_as_it_is_dropped_holds_up_nobody() {
    let clock = MockClock::new();
    let limiter = RateLimiter::with_clock(Quota::per_second(1).burst(1), clock.clone());
    assert!(limiter.allow() && is_served_behind_a_spiteful_waker(|| limiter.acquire(), &clock));
    let keyed = KeyedRateLimiter::<u32, _>::with_clock(Quota::per_second(1).burst(1), clock.clone());
    assert!(keyed.allow(&7) && is_served_behind_a_spiteful_waker(|| keyed.acquire(&7), &clock));
}

/// A clock that panics where it is cloned, once.
#[derive(Default)]
struct Fragment {
    clock: MockClock,
    is_sound: Arc<AtomicBool>,
}

impl Clone for Fragment {
    fn clone(&self) -> Self {
        assert!(self.is_sound.swap(true, Ordering::SeqCst), "a clock's own affair");
        Fragment { clock: self.clock.clone(), is_sound: self.is_sound.clone() }
    }
}

impl Clock for Fragment {
    fn now(&self) -> u64 {
        self.clock.now()
    }

    fn timer(&self) -> Option<Box<dyn Timer>> {
        self.clock.timer()
    }
}

#[test]
fn a_wait_whose_beginning_panicked_has_not_ended() {
    let clock = MockClock::new();
    let fragment = Fragment { clock: clock.clone(), ..Fragment::default() };
    let limiter = RateLimiter::with_clock(Quota::per_second(1).burst(1), fragment);
    assert!(limiter.allow());
    let mut wait = limiter.acquire();
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut wait))).is_err());
    assert!(poll(&mut wait).is_none());
    clock.advance(seconds(1));
    assert!(poll(&mut wait).is_some());
}

//! User code panics: clocks, timers, wakers. Every waiter is served all the same.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Wake, Waker};
use std::time::Duration;

use brimful::{Clock, KeyedRateLimiter, MockClock, Quota, RateLimiter, Timer};

use crate::waiting::{on_wake, poll, poll_by};

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A clock that stands still, and panics at the reading that `left` counts down to.
#[derive(Clone, Default)]
pub(crate) struct PanickingClock {
    pub(crate) clock: MockClock,
    pub(crate) left: Arc<AtomicU64>,
}

impl Clock for PanickingClock {
    fn now(&self) -> u64 {
        let count = |left: u64| left.checked_sub(1);
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count) == Ok(1) {
            panic!("a clock panics");
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
        let clock = PanickingClock::default();
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
    let clock = PanickingClock::default();
    let keyed = KeyedRateLimiter::<u32, _>::with_clock(Quota::per_second(1).burst(10).initial(0), clock.clone());
    assert!(!keyed.allow(&7));
    let mut wait = keyed.acquire_n(&7, 5);
    assert!(poll(&mut wait).is_none());
    clock.clock.advance(seconds(5));
    clock.left.store(1, Ordering::SeqCst);
    let served = catch_unwind(AssertUnwindSafe(|| poll(&mut wait)));
    clock.left.store(0, Ordering::SeqCst);
    assert!(matches!(served, Ok(Some(Ok(_)))), "the poll of a granted wait does not read the clock");
    assert_eq!(keyed.waiting_keys(), 0);
}

/// A timer that calls `before` and panics when it is armed, `faults` times.
pub(crate) struct PanickingTimer {
    inner: Box<dyn Timer>,
    faults: Arc<AtomicU64>,
    clock: MockClock,
    before: fn(&MockClock),
}

impl Timer for PanickingTimer {
    fn arm(&mut self, now_ns: u64, at_ns: u64, waker: &Waker) {
        let count = |left: u64| left.checked_sub(1);
        let faults = self.faults.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count);
        if faults.is_ok() {
            (self.before)(&self.clock);
            panic!("a timer panics");
        }
        self.inner.arm(now_ns, at_ns, waker);
    }
}

pub(crate) fn panicking_timers(
    clock: &MockClock,
    faults: &Arc<AtomicU64>,
    before: fn(&MockClock),
) -> impl Fn() -> PanickingTimer + Send + Sync + 'static {
    let (clock, faults) = (clock.clone(), faults.clone());
    move || {
        let inner = clock.timer().expect("the mock clock has timers");
        PanickingTimer { inner, faults: faults.clone(), clock: clock.clone(), before }
    }
}

/// A limiter of 1/s with burst 1 and such a timer.
fn with_panicking_timer(clock: &MockClock, faults: &Arc<AtomicU64>, before: fn(&MockClock)) -> RateLimiter<MockClock> {
    let builder = RateLimiter::builder().quota(Quota::per_second(1).burst(1));
    builder.clock(clock.clone()).timer(panicking_timers(clock, faults, before)).build().unwrap()
}

#[test]
fn a_timer_that_panics_is_made_anew() {
    let (clock, faults) = (MockClock::new(), Arc::new(AtomicU64::new(2)));
    let limiter = with_panicking_timer(&clock, &faults, |_| {});
    assert!(limiter.allow());
    let mut first = limiter.acquire();
    assert!(poll(&mut first).is_none());
    clock.advance(seconds(1));
    assert!(poll(&mut first).is_some_and(|outcome| outcome.is_ok()));
    faults.store(3, Ordering::SeqCst);
    let mut given_up = limiter.acquire();
    assert!(
        catch_unwind(AssertUnwindSafe(|| poll(&mut given_up))).is_err(),
        "the third panic is passed on to the caller"
    );
    let mut next = limiter.acquire();
    assert!(poll(&mut next).is_none());
    clock.advance(seconds(2));
    assert!([given_up, next].iter_mut().all(|wait| poll(wait).is_some_and(|outcome| outcome.is_ok())));
}

/// A limiter of many keys with such a timer.
fn keyed_with_panicking_timer(
    quota: Quota,
    clock: &MockClock,
    faults: &Arc<AtomicU64>,
) -> KeyedRateLimiter<u32, MockClock> {
    let builder = KeyedRateLimiter::builder().quota(quota);
    builder.clock(clock.clone()).timer(panicking_timers(clock, faults, |_| {})).build().unwrap()
}

/// Dispatches that were given up are run by the next call for the key.
#[test]
fn a_key_whose_timer_was_given_up_is_served_after_the_next_call() {
    let (clock, faults) = (MockClock::new(), Arc::new(AtomicU64::new(9)));
    let limiter = keyed_with_panicking_timer(Quota::per_second(1).burst(1), &clock, &faults);
    assert!(limiter.allow(&7));
    let mut given_up = limiter.acquire(&7);
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut given_up))).is_err());
    assert_eq!((faults.load(Ordering::SeqCst), limiter.key(&7).available_tokens()), (0, 0.0));
    let mut next = limiter.acquire(&7);
    assert!(poll(&mut next).is_none());
    clock.advance(seconds(2));
    assert!([given_up, next].iter_mut().all(|wait| poll(wait).is_some_and(|outcome| outcome.is_ok())));
}

/// A granted wait has jitter, so its wake-up is put off. It is woken at once when dispatches are
/// given up.
#[test]
fn who_is_to_be_told_later_is_told_when_looks_are_given_up() {
    let (clock, faults) = (MockClock::new(), Arc::new(AtomicU64::new(0)));
    let limiter = keyed_with_panicking_timer(Quota::per_day(1), &clock, &faults);
    assert!(limiter.allow(&7));
    let woken = Arc::new(AtomicU64::new(0));
    let count = woken.clone();
    let count = on_wake(move || _ = count.fetch_add(1, Ordering::SeqCst));
    let mut held = limiter.acquire(&7).jitter(seconds(3_000));
    assert!(poll_by(&mut held, &count).is_none());
    let mut waits = limiter.acquire(&7).within(seconds(200_000));
    assert!(poll(&mut waits).is_none());
    faults.store(9, Ordering::SeqCst);
    assert!(catch_unwind(AssertUnwindSafe(|| limiter.key(&7).add_tokens(1))).is_err());
    assert_eq!(woken.load(Ordering::SeqCst), 1);
    assert!(poll(&mut held).is_some_and(|outcome| outcome.is_ok()));
    // A remaining waiter has lost only its timer.
    assert!(!limiter.allow(&7));
    clock.advance(seconds(86_400));
    assert!(poll(&mut waits).is_some_and(|outcome| outcome.is_ok()));
}

#[test]
fn those_who_were_served_are_woken_in_their_order_where_the_timer_panics_between() {
    let (clock, faults) = (MockClock::new(), Arc::new(AtomicU64::new(0)));
    let limiter = with_panicking_timer(&clock, &faults, |clock| clock.set(2_000_000_000));
    assert!(limiter.allow());
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut waits = [0, 1, 2].map(|nth| (nth, limiter.acquire()));
    for (nth, wait) in &mut waits {
        let (nth, order) = (*nth, order.clone());
        assert!(poll_by(wait, &on_wake(move || order.lock().unwrap().push(nth))).is_none());
    }
    faults.store(1, Ordering::SeqCst);
    clock.set(1_000_000_000);
    assert_eq!(*order.lock().unwrap(), [0, 1]);
}

/// A waker that panics when it is dropped.
struct PanicsOnDrop;

impl Wake for PanicsOnDrop {
    fn wake(self: Arc<Self>) {}
}

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("a waker panics");
    }
}

/// The first wait is cancelled, and its waker panics when it is dropped. Returns whether the second
/// is served.
fn is_served_behind_a_waker_that_panics<F: Future + Unpin>(begin: impl Fn() -> F, clock: &MockClock) -> bool {
    let (mut first, mut second) = (begin(), begin());
    assert!(poll_by(&mut first, &Waker::from(Arc::new(PanicsOnDrop))).is_none());
    assert!(poll(&mut second).is_none());
    drop(first);
    clock.advance(seconds(1));
    poll(&mut second).is_some()
}

#[test]
fn a_waker_that_panics_as_it_is_dropped_holds_up_nobody() {
    let clock = MockClock::new();
    let limiter = RateLimiter::with_clock(Quota::per_second(1).burst(1), clock.clone());
    assert!(limiter.allow() && is_served_behind_a_waker_that_panics(|| limiter.acquire(), &clock));
    let keyed = KeyedRateLimiter::<u32, _>::with_clock(Quota::per_second(1).burst(1), clock.clone());
    assert!(keyed.allow(&7) && is_served_behind_a_waker_that_panics(|| keyed.acquire(&7), &clock));
}

/// A clock that panics the first time that it is cloned.
#[derive(Default)]
struct PanicsOnClone {
    clock: MockClock,
    is_sound: Arc<AtomicBool>,
}

impl Clone for PanicsOnClone {
    fn clone(&self) -> Self {
        assert!(self.is_sound.swap(true, Ordering::SeqCst), "a clock panics");
        PanicsOnClone { clock: self.clock.clone(), is_sound: self.is_sound.clone() }
    }
}

impl Clock for PanicsOnClone {
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
    let panics_on_clone = PanicsOnClone { clock: clock.clone(), ..PanicsOnClone::default() };
    let limiter = RateLimiter::with_clock(Quota::per_second(1).burst(1), panics_on_clone);
    assert!(limiter.allow());
    let mut wait = limiter.acquire();
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut wait))).is_err());
    assert!(poll(&mut wait).is_none());
    clock.advance(seconds(1));
    assert!(poll(&mut wait).is_some());
}

/// A clock that stands still, and blocks the thread named "slow" at its second reading until `gate` is
/// open.
#[derive(Clone, Default)]
struct BlockingClock {
    clock: MockClock,
    readings: Arc<AtomicU64>,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

impl Clock for BlockingClock {
    fn now(&self) -> u64 {
        if std::thread::current().name() == Some("slow") && self.readings.fetch_add(1, Ordering::SeqCst) == 1 {
            let open = self.gate.0.lock().expect("no test fails");
            drop(self.gate.1.wait_while(open, |open| !*open).expect("no test fails"));
        }
        self.clock.now()
    }

    fn timer(&self) -> Option<Box<dyn Timer>> {
        self.clock.timer()
    }
}

#[test]
fn a_thread_that_is_held_up_in_a_keys_queue_does_not_hold_up_other_keys() {
    let clock = BlockingClock::default();
    let builder = KeyedRateLimiter::<u8>::builder().quota(Quota::per_second(1).burst(1)).max_keys(8);
    let limiter = Arc::new(builder.clock(clock.clone()).build().expect("a quota"));
    assert!(limiter.allow(&1));
    let mut wait = limiter.acquire(&1);
    assert!(poll(&mut wait).is_none());
    let slow = limiter.clone();
    let name = std::thread::Builder::new().name("slow".to_owned());
    let slow = name.spawn(move || slow.key(&1).add_tokens(1)).expect("a thread");
    while clock.readings.load(Ordering::SeqCst) < 2 {
        std::thread::yield_now();
    }
    let (send, receive) = channel();
    let other = limiter.clone();
    std::thread::spawn(move || send.send((other.allow(&2), other.allow(&3), other.len())));
    let answer = receive.recv_timeout(seconds(60));
    *clock.gate.0.lock().expect("no test fails") = true;
    clock.gate.1.notify_all();
    assert_eq!(answer, Ok((true, true, 3)));
    slow.join().expect("it was held up");
    assert!(matches!(poll(&mut wait), Some(Ok(_))));
}

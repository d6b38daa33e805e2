//! One timer serves all keys of a limiter.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Waker;
use std::time::Duration;

use brimful::{Clock, KeyedRateLimiter, MockClock, Quota, Timer};

use crate::waiting::{on_wake, poll, poll_by};

const SECOND: u64 = 1_000_000_000;

/// A clock that counts its readings, its timers, and the times that they are armed.
#[derive(Clone, Default)]
struct Counted {
    clock: MockClock,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    reads: AtomicU64,
    timers: AtomicU64,
    arms: AtomicU64,
    /// The number of the reading or arming that panics, counted from one; zero for none.
    fatal: AtomicU64,
}

impl Counts {
    fn count(&self, of: &AtomicU64) {
        of.fetch_add(1, Ordering::SeqCst);
        assert_ne!(self.fatal.fetch_sub(1, Ordering::SeqCst), 1, "user code panics");
    }

    /// The number of readings since the last call.
    fn reads(&self) -> u64 {
        self.reads.swap(0, Ordering::SeqCst)
    }

    fn arms(&self) -> u64 {
        self.arms.swap(0, Ordering::SeqCst)
    }
}

impl Clock for Counted {
    fn now(&self) -> u64 {
        self.counts.count(&self.counts.reads);
        self.clock.now()
    }

    fn timer(&self) -> Option<Box<dyn Timer>> {
        self.counts.timers.fetch_add(1, Ordering::SeqCst);
        Some(Box::new(CountedTimer { timer: self.clock.timer()?, counts: self.counts.clone() }))
    }
}

struct CountedTimer {
    timer: Box<dyn Timer>,
    counts: Arc<Counts>,
}

impl Timer for CountedTimer {
    fn arm(&mut self, now_ns: u64, at_ns: u64, waker: &Waker) {
        self.counts.count(&self.counts.arms);
        self.timer.arm(now_ns, at_ns, waker);
    }
}

type Limiter = KeyedRateLimiter<u64, Counted>;

/// A limiter of a token per second. Each key was emptied at as many milliseconds as its number.
fn emptied(keys: impl Iterator<Item = u64>) -> (Limiter, Counted) {
    let clock = Counted::default();
    let limiter = KeyedRateLimiter::with_clock(Quota::per_second(1).burst(1), clock.clone());
    for key in keys {
        assert!(limiter.key(&key).at(SECOND + key * 1_000_000).try_acquire().is_ok());
    }
    clock.clock.set(2 * SECOND - 1);
    clock.counts.reads();
    (limiter, clock)
}

#[test]
fn one_alone_costs_four_readings() {
    let (limiter, clock) = emptied(0..1);
    let mut wait = limiter.acquire(&0);
    assert!(poll(&mut wait).is_none());
    clock.clock.advance(Duration::from_nanos(1));
    assert!(poll(&mut wait).is_some_and(|outcome| outcome.is_ok_and(|granted| granted.granted_at() == 2 * SECOND)));
    assert_eq!(clock.counts.reads(), 4);
    assert_eq!(clock.counts.arms(), 1);
}

#[test]
fn a_crowd_of_keys_costs_three_readings_each_and_one_timer() {
    const KEYS: u64 = 1_000;
    let (limiter, clock) = emptied(0..KEYS);
    let mut waits: Vec<_> = (0..KEYS).map(|key| limiter.acquire(&key)).collect();
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()));
    assert_eq!(clock.counts.arms(), 1, "armed only for the first waiter that is due");
    clock.clock.set(3 * SECOND);
    assert!(waits.iter_mut().all(|wait| poll(wait).is_some_and(|outcome| outcome.is_ok())));
    assert_eq!((clock.counts.reads(), clock.counts.arms()), (3 * KEYS + 1, 0));
    assert_eq!(clock.counts.timers.load(Ordering::SeqCst), 1);
}

#[test]
fn a_late_timer_serves_keys_in_the_order_of_their_instants() {
    const KEYS: u64 = 500;
    let (limiter, clock) = emptied(0..KEYS);
    let served = Arc::new(Mutex::new(Vec::new()));
    let mut waits: Vec<_> = (0..KEYS)
        .map(|key| key * 7 % KEYS)
        .map(|key| {
            let (served, mut wait) = (served.clone(), limiter.acquire(&key));
            assert!(poll_by(&mut wait, &on_wake(move || served.lock().unwrap().push(key))).is_none());
            wait
        })
        .collect();
    clock.clock.set(4 * SECOND);
    assert!(waits.iter_mut().all(|wait| poll(wait).is_some_and(|outcome| outcome.is_ok())));
    assert_eq!(*served.lock().unwrap(), (0..KEYS).collect::<Vec<_>>());
}

#[test]
fn who_is_due_before_all_others_arms_the_timer_anew() {
    let (limiter, clock) = emptied([100, 50, 200].into_iter());
    let mut waits = [100, 50, 200].map(|key| (key, limiter.acquire(&key)));
    assert!(waits.iter_mut().all(|(_, wait)| poll(wait).is_none()));
    assert_eq!(clock.counts.arms(), 2);
    clock.clock.advance(Duration::from_secs(1));
    for (key, wait) in &mut waits {
        let due = 2 * SECOND + *key * 1_000_000;
        assert!(poll(wait).is_some_and(|outcome| outcome.is_ok_and(|granted| granted.granted_at() == due)));
    }
}

#[test]
fn nothing_is_kept_of_waits_that_are_given_up() {
    let (limiter, clock) = emptied(0..100);
    for _ in 0..3 {
        let mut waits: Vec<_> = (0..100).map(|key| limiter.acquire(&key)).collect();
        assert!(waits.iter_mut().all(|wait| poll(wait).is_none()));
    }
    clock.counts.reads();
    clock.clock.advance(Duration::from_millis(50));
    assert_eq!(clock.counts.reads(), 0, "no waiter is left");
    assert!(limiter.key(&0).acquire_blocking().is_ok());
}

/// Any user code may panic at any point: the dispatch is repeated.
#[test]
fn a_panic_strands_nobody() {
    let run = |fatal: u64| {
        let (limiter, clock) = emptied(0..4);
        clock.counts.fatal.store(fatal, Ordering::SeqCst);
        let mut waits: Vec<_> = [2, 1, 0]
            .into_iter()
            .filter_map(|key| {
                let mut wait = limiter.acquire(&key);
                // A wait whose own first reading panics is not begun.
                let polled = catch_unwind(AssertUnwindSafe(|| poll(&mut wait)));
                polled.is_ok_and(|outcome| outcome.is_none()).then_some(wait)
            })
            .collect();
        clock.clock.advance(Duration::from_secs(1));
        waits.retain_mut(|wait| poll(wait).is_none());
        assert!(waits.is_empty() && limiter.waiting_keys() == 0, "at {fatal}");
        !(1..=fatal).contains(&clock.counts.fatal.swap(0, Ordering::SeqCst))
    };
    assert_eq!((1..).take_while(|&fatal| run(fatal)).count(), 19, "readings and arms were tried");
}

#[test]
fn a_clock_that_goes_back_while_keys_are_served_is_read_again() {
    let (limiter, clock) = emptied(0..2);
    let back = clock.clock.clone();
    let (mut first, mut second) = (limiter.acquire(&0), limiter.acquire(&1));
    assert!(poll_by(&mut first, &on_wake(move || back.set(SECOND))).is_none());
    assert!(poll(&mut second).is_none());
    clock.clock.set(4 * SECOND);
    assert_eq!(clock.clock.now(), SECOND);
    assert!(poll(&mut first).is_some() && poll(&mut second).is_none());
    clock.clock.advance(Duration::from_millis(1_001));
    assert!(poll(&mut second).is_some());
}

/// A slow waker delays tasks on other keys, but not threads.
#[test]
fn a_blocked_thread_does_not_wait_for_another_keys_waker() {
    let limiter = Arc::new(KeyedRateLimiter::<u32>::new(Quota::per_second(50).burst(1)));
    let (wakes, woken) = mpsc::channel();
    let (done, is_done) = mpsc::channel::<bool>();
    let is_done = Mutex::new(is_done);
    let mut slow = limiter.acquire(&1);
    assert!(limiter.allow(&1) && limiter.allow(&2));
    let waker = on_wake(move || wakes.send(is_done.lock().unwrap().recv_timeout(Duration::from_secs(30))).unwrap());
    assert!(poll_by(&mut slow, &waker).is_none());
    assert!(limiter.key(&2).acquire_blocking().is_ok());
    done.send(true).unwrap();
    assert_eq!(woken.recv_timeout(Duration::from_secs(30)), Ok(Ok(true)));
}

#[test]
fn keys_that_fall_due_while_others_are_served_hold_up_nobody() {
    // Due at 2 s, 2 ms later, and 5 ms later.
    let (limiter, clock) = emptied([0, 2, 5].into_iter());
    clock.clock.set(SECOND + 900_000_000);
    let (mut first, on) = (limiter.acquire(&0), clock.clock.clone());
    assert!(poll_by(&mut first, &on_wake(move || on.set(2 * SECOND + 4_700_000))).is_none());
    let mut others = [2, 5].map(|key| limiter.acquire(&key));
    assert!(others.iter_mut().all(|wait| poll(wait).is_none()));
    clock.clock.set(2 * SECOND);
    clock.clock.advance(Duration::from_micros(400));
    let at = others.map(|mut wait| poll(&mut wait).map(|outcome| outcome.unwrap().granted_at() - 2 * SECOND));
    assert_eq!(at, [Some(4_700_000), Some(5_000_000)]);
}

#[test]
fn a_clock_that_panics_as_a_wait_begins_has_not_ended_it() {
    let (limiter, clock) = emptied(0..1);
    clock.clock.set(2 * SECOND);
    for mut wait in [limiter.acquire(&0), limiter.acquire(&0).until(9 * SECOND), limiter.acquire_n(&0, 0)] {
        clock.counts.fatal.store(1, Ordering::SeqCst);
        assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut wait))).is_err());
        assert!(poll(&mut wait).is_some_and(|outcome| outcome.is_ok()));
        clock.clock.advance(Duration::from_secs(1));
    }
}

/// A call dispatches for a queue whose timer is about to fire. The timer then serves the instant
/// for which it is armed again.
#[test]
fn a_timer_that_is_told_late_is_not_taken_for_a_clock_that_stands() {
    let tokens = Quota::per_second(10_000).burst(1);
    let clock = MockClock::new();
    let due = |waits: [Option<u64>; 2]| assert_eq!(waits, [Some(100_000), Some(200_000)]);
    let keyed: &'static _ = Box::leak(Box::new(KeyedRateLimiter::<u64, _>::with_clock(tokens, clock.clone())));
    assert!(keyed.allow(&1) && keyed.allow(&2));
    let mut other = keyed.acquire(&1);
    assert!(poll_by(&mut other, &on_wake(|| assert!(keyed.try_acquire(&2).is_err()))).is_none());
    let mut waits = [keyed.acquire(&2), keyed.acquire(&2)];
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()));
    clock.advance(Duration::from_millis(5));
    due(waits.map(|mut wait| poll(&mut wait).map(|outcome| outcome.unwrap().granted_at())));
}

//! Waits on several limits in unusual conditions: quotas change, timers are late, user code panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak, mpsc};
use std::task::Waker;
use std::time::Duration;

use brimful::{
    AcquireCause, AcquireError, Clock, CompositeAcquireError, CompositeLimiter, KeyedCompositeLimiter, MockClock,
    Quota, Quotas, Timer,
};

use crate::waiting::poll;
use crate::waiting_panics::{PanickingClock, panicking_timers};

const SECOND: u64 = 1_000_000_000;

fn quotas(text: &str) -> Quotas {
    text.parse().expect("a list of quotas")
}

fn cause(error: CompositeAcquireError) -> AcquireError {
    let AcquireCause::Tokens(error) = error.cause() else { panic!("{error}: a limit of tokens refuses") };
    error
}

/// The waiters that need more than the new burst end at once, wherever they are in the queue. The others stay.
#[test]
fn a_lower_burst_ends_the_waits_that_need_more() {
    const TOKEN: u64 = 86_400 / 10;
    for is_keyed in [false, true] {
        let limiter = CompositeLimiter::with_clock(quotas("a: 100/s burst 100; d: 10/day"), MockClock::new());
        let clients = KeyedCompositeLimiter::<u8>::builder().quotas(quotas("a: 100/s burst 100; d: 10/day"));
        let clients = clients.clock(limiter.clock().clone()).build().expect("a limiter");
        let bucket = if is_keyed { clients.key(&1) } else { limiter.leaving(0) };
        assert!(bucket.try_acquire_n(10).is_ok());
        let mut first = bucket.acquire();
        let mut above = bucket.acquire_n(8);
        let mut last = bucket.leaving(1).acquire_n(4);
        let mut leaves_too_much = bucket.leaving(2).acquire_n(4);
        assert!(poll(&mut first).is_none() && poll(&mut above).is_none());
        assert!(poll(&mut last).is_none() && poll(&mut leaves_too_much).is_none());
        limiter.set_quota("d", Quota::per_day(10).burst(5)).expect("a lower one");
        clients.set_quota("d", Quota::per_day(10).burst(5)).expect("a lower one");
        for wait in [&mut above, &mut leaves_too_much] {
            let refused = poll(wait).expect("it can never be served").unwrap_err();
            assert!(matches!(cause(refused), AcquireError::ExceedsBurst(_)), "{refused}");
            assert_eq!(refused.limit(), Some("d"));
        }
        assert_eq!(bucket.waiters(), 2);
        // Behind one token and four.
        let refused = bucket.leaving(1).try_acquire().unwrap_err();
        assert_eq!(refused.retry_after(), Some(Duration::from_secs(7 * TOKEN)));
        limiter.clock().advance(Duration::from_secs(6 * TOKEN));
        assert!(poll(&mut first).is_some_and(|answer| answer.is_ok()));
        assert!(poll(&mut last).is_some_and(|answer| answer.is_ok()));
    }
}

/// A timer that follows the clock, and keeps the instants for which it was armed.
struct Recorded {
    timer: Box<dyn Timer>,
    armed: Arc<Mutex<Vec<(u64, u64)>>>,
}

impl Timer for Recorded {
    fn arm(&mut self, now_ns: u64, at_ns: u64, waker: &Waker) {
        self.armed.lock().unwrap().push((now_ns, at_ns));
        self.timer.arm(now_ns, at_ns, waker);
    }
}

/// The share of the burst that background work leaves has become less than the tokens that another waiter leaves.
/// So the tokens of a waiter are there, and those of the waiter before it are not.
#[test]
fn a_waiter_whose_tokens_are_there_waits_for_the_one_before_it_until_its_deadline() {
    const HOUR: u64 = 3_600 * SECOND;
    for (n, until) in [(1, SECOND), (2, HOUR + 1)] {
        let (clock, armed) = (MockClock::new(), Arc::new(Mutex::new(Vec::new())));
        let (inner, seen) = (clock.clone(), armed.clone());
        let limiter = CompositeLimiter::builder().quotas(quotas("a: 100/h burst 100")).clock(clock.clone());
        let limiter = limiter
            .timer(move || Recorded { timer: inner.timer().expect("the mock clock has timers"), armed: seen.clone() });
        let limiter = limiter.build().expect("a limiter");
        assert!(limiter.try_acquire_n(96).is_ok());
        limiter.set_quota("a", Quota::per_hour(1).burst(10)).expect("a lower one");
        let mut first = limiter.leaving(5).acquire();
        let mut second = limiter.background().acquire_n(n).until(until);
        assert!(poll(&mut first).is_none() && poll(&mut second).is_none());
        clock.set(until - 1);
        assert!(poll(&mut second).is_none());
        clock.set(until);
        let refused = poll(&mut second).expect("its deadline").unwrap_err();
        assert!(matches!((refused.limit(), cause(refused)), (Some("a"), AcquireError::TooLate(_))), "{refused}");
        clock.set(2 * HOUR);
        assert!(poll(&mut first).is_some_and(|answer| answer.is_ok()));
        for (now, at) in armed.lock().unwrap().iter() {
            assert!(at > now, "armed at {now} for {at}: no waiter was due");
        }
    }
}

/// A bucket that overflowed meanwhile does not make those behind the first waiter late.
#[test]
fn a_late_timer_serves_every_waiter_whose_tokens_were_there_by_its_deadline() {
    let limiter = CompositeLimiter::with_clock(quotas("slow: 1/s burst 3; fast: 100/s burst 50"), MockClock::new());
    assert!(limiter.try_acquire_n(3).is_ok());
    let mut first = limiter.acquire_n(2);
    let mut second = limiter.acquire().until(3 * SECOND);
    let mut third = limiter.acquire().until(4 * SECOND - 1);
    assert!(poll(&mut first).is_none() && poll(&mut second).is_none());
    assert!(poll(&mut third).unwrap().is_err(), "the fourth token is there a nanosecond later");
    limiter.clock().set(10 * SECOND);
    assert!(poll(&mut first).unwrap().is_ok());
    assert!(poll(&mut second).unwrap().is_ok());
    assert!(limiter.try_acquire().is_err(), "three tokens were there, and three were granted");
}

/// The tokens are there when the timer fires, and were not there by the deadline: another waiter took its turn before.
#[test]
fn a_late_timer_serves_no_waiter_whose_tokens_were_not_there_by_its_deadline() {
    for deadline in [4 * SECOND - 1, 4 * SECOND] {
        let limiter = CompositeLimiter::with_clock(quotas("slow: 1/s burst 6; fast: 100/s burst 50"), MockClock::new());
        assert!(limiter.try_acquire_n(6).is_ok());
        let mut last = limiter.leaving(1).acquire().until(deadline);
        assert!(poll(&mut last).is_none());
        // It takes the timer's work away from its deadline: it is never refused at its entry.
        let mut first = limiter.acquire_n(2);
        assert!(poll(&mut first).is_none());
        limiter.clock().set(10 * SECOND);
        assert!(poll(&mut first).unwrap().is_ok());
        assert_eq!(poll(&mut last).unwrap().is_ok(), deadline == 4 * SECOND, "it leaves one of four");
    }
}

/// The key is new, so each limit is looked at and then taken from, with a reading each.
#[test]
fn a_clock_that_panics_leaves_all_limits_charged_or_none() {
    let mut panics = 0;
    for reading in 1..12 {
        let clock = PanickingClock::default();
        let clients =
            KeyedCompositeLimiter::<u8, _>::builder().quotas(quotas("a: 1/h burst 9; b: 1/h burst 8; c: 1/h burst 7"));
        let clients = clients.clock(clock.clone()).build().expect("a limiter");
        clock.left.store(reading, Ordering::SeqCst);
        let taken = catch_unwind(AssertUnwindSafe(|| clients.try_acquire_n(&1, 2)));
        clock.left.store(0, Ordering::SeqCst);
        let left: Vec<_> = clients.decide(&1, 0).limits().map(|(_, decision)| decision.remaining()).collect();
        let charged = u32::from(taken.is_ok()) * 2;
        assert_eq!(left, [9 - charged, 8 - charged, 7 - charged], "reading {reading}");
        panics += u32::from(taken.is_err());
    }
    assert!(panics >= 6, "{panics} readings panicked");
}

/// The first waiter is granted, and then the timer of the second one panics, also when the first wait is dropped.
#[test]
fn a_granted_wait_that_is_dropped_gives_back_also_if_its_dispatch_panics() {
    let (clock, faults) = (MockClock::new(), Arc::new(AtomicU64::new(0)));
    let builder = CompositeLimiter::builder().quotas(quotas("a: 1/s burst 1; b: 1/s burst 2")).clock(clock.clone());
    let limiter = builder.timer(panicking_timers(&clock, &faults, |_| ())).build().expect("a limiter");
    assert!(limiter.allow());
    let (mut first, mut second) = (limiter.acquire(), limiter.acquire());
    assert!(poll(&mut first).is_none() && poll(&mut second).is_none());
    faults.store(u64::MAX, Ordering::SeqCst);
    clock.advance(Duration::from_secs(1));
    assert_eq!((limiter.balance(), limiter.waiters()), (0.0, 1), "the first is granted");
    assert!(catch_unwind(AssertUnwindSafe(|| drop(first))).is_err());
    faults.store(0, Ordering::SeqCst);
    assert_eq!(limiter.balance(), 1.0, "it gave back");
    limiter.add_tokens(0);
    assert!(poll(&mut second).is_some_and(|answer| answer.is_ok()));
}

/// A timer that calls the limiter when it is dropped.
struct CallsOnDrop(Arc<OnceLock<Weak<KeyedCompositeLimiter<u8, MockClock>>>>);

impl Timer for CallsOnDrop {
    fn arm(&mut self, _: u64, _: u64, _: &Waker) {}
}

impl Drop for CallsOnDrop {
    fn drop(&mut self) {
        if let Some(clients) = self.0.get().and_then(Weak::upgrade) {
            let _ = clients.allow(&1);
        }
    }
}

/// The queue of a key is dropped with its timer when its last wait ends, its key is removed, or all keys are.
#[test]
fn a_timer_may_call_the_limiter_when_it_is_dropped() {
    let (done, all_done) = mpsc::channel();
    std::thread::spawn(move || {
        for end in 0..3 {
            let place = Arc::new(OnceLock::new());
            let timer = place.clone();
            let clients = KeyedCompositeLimiter::<u8>::builder().quotas(quotas("a: 1/h burst 1; b: 2/h burst 1"));
            let clients = clients.clock(MockClock::new()).timer(move || CallsOnDrop(timer.clone())).build();
            let clients = Arc::new(clients.expect("a limiter"));
            place.set(Arc::downgrade(&clients)).expect("once");
            assert!(clients.allow(&1));
            let mut wait = clients.acquire(&1);
            assert!(poll(&mut wait).is_none());
            match end {
                0 => drop(wait),
                1 => assert!(clients.remove(&1)),
                _ => clients.clear(),
            }
        }
        done.send(()).unwrap();
    });
    assert_eq!(all_done.recv_timeout(Duration::from_secs(60)), Ok(()));
}

//! Waiting in unusual conditions: user code fails, numbers are extreme, or waiters are many.

use std::panic::{RefUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use brimful::{AcquireError, KeyedRateLimiter, MockClock, Quota, RateLimiter, RateLimiterBuilder, Timer};

use crate::waiting::poll;

const S: u64 = 1_000_000_000;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A limiter of 1/s with burst 10, emptied.
fn empty() -> (RateLimiter<MockClock>, MockClock) {
    let clock = MockClock::new();
    (RateLimiter::with_clock(Quota::per_second(1).burst(10).initial(0), clock.clone()), clock)
}

#[test]
fn a_limiter_may_be_looked_at_after_a_panic() {
    fn unwinds<T: UnwindSafe + RefUnwindSafe>() {}
    unwinds::<RateLimiter>();
    unwinds::<RateLimiter<MockClock>>();
    unwinds::<RateLimiterBuilder>();
    static LIMITER: RateLimiter = RateLimiter::new(Quota::per_second(1));
    assert!(catch_unwind(|| LIMITER.allow()).unwrap());
}

/// A timer that never fires.
pub(crate) struct DeadTimer;

impl Timer for DeadTimer {
    fn arm(&mut self, _: u64, _: u64, _: &Waker) {}
}

#[test]
fn a_blocked_thread_that_is_first_needs_no_timer() {
    let limiter = RateLimiter::builder().quota(Quota::per_second(100).burst(1)).timer(|| DeadTimer).build().unwrap();
    let keyed = KeyedRateLimiter::<u32>::builder().quota(Quota::per_second(100).burst(1)).timer(|| DeadTimer);
    let keyed = keyed.build().unwrap();
    let (done, all_done) = mpsc::channel();
    thread::spawn(move || {
        let served = (0..5).filter(|_| limiter.acquire_blocking().is_ok() && keyed.key(&7).acquire_blocking().is_ok());
        done.send(served.count()).unwrap();
    });
    assert_eq!(all_done.recv_timeout(seconds(30)), Ok(5));
}

#[test]
fn who_waits_between_others_is_not_served_after_its_deadline() {
    let clock = MockClock::new();
    // A token takes 100 µs, so a crowd is served once a millisecond.
    let limiter = RateLimiter::with_clock(Quota::per_second(10_000).burst(1000).initial(0), clock.clone());
    let mut first: Vec<_> = (0..2).map(|_| limiter.acquire()).collect();
    let mut last: Vec<_> = (0..30).map(|_| limiter.acquire().leaving(3)).collect();
    assert!(first.iter_mut().chain(&mut last).all(|wait| poll(wait).is_none()));
    clock.advance(Duration::from_micros(100));
    let mut between = limiter.acquire().leaving(1).until(400_000);
    assert!(poll(&mut between).is_none());
    clock.advance(Duration::from_millis(3));
    assert!(poll(&mut between).unwrap().unwrap().granted_at() <= 400_000);
}

/// A bucket that overflowed meanwhile does not make those behind the first waiter late.
#[test]
fn a_late_timer_serves_every_waiter_whose_tokens_were_there_by_its_deadline() {
    let clock = MockClock::new();
    let limiter = RateLimiter::builder()
        .quota(Quota::per_second(1).burst(3).initial(0))
        .clock(clock.clone())
        .timer(|| DeadTimer)
        .build()
        .unwrap();
    let mut first = limiter.acquire_n(2);
    let mut second = limiter.acquire().until(3 * S);
    let mut third = limiter.acquire().until(4 * S - 1);
    assert!(poll(&mut first).is_none() && poll(&mut second).is_none());
    assert!(poll(&mut third).unwrap().is_err(), "the fourth token is there a nanosecond later");
    clock.set(10 * S);
    assert!(!limiter.allow(), "the waiters come first, and this call does the work of the timer");
    assert!(poll(&mut first).unwrap().is_ok());
    assert!(poll(&mut second).unwrap().is_ok());
    assert!(limiter.try_acquire().is_err(), "three tokens were there, and three were granted");
}

#[test]
fn who_is_refused_is_told_what_a_new_wait_would_take() {
    let (limiter, clock) = empty();
    let mut low = limiter.acquire().leaving(5).until(6 * S);
    assert!(poll(&mut low).is_none());
    clock.advance(seconds(3));
    assert!(limiter.try_acquire_n(3).is_ok(), "it leaves fewer tokens");
    clock.advance(seconds(3));
    let Some(Err(AcquireError::TooLate(late))) = poll(&mut low) else { panic!("the wait must fail at its deadline") };
    assert_eq!(late.retry_after(), Some(seconds(3)));
    let again = poll(&mut limiter.acquire().leaving(5).within(Duration::ZERO)).unwrap().unwrap_err();
    assert_eq!(again.retry_after(), Some(seconds(3)));
}

#[test]
fn a_wait_beyond_the_clocks_range_is_refused() {
    let clock = MockClock::new();
    let limiter = RateLimiter::with_clock(Quota::new(1, seconds(1_000_000_000)).burst(1), clock.clone());
    assert!(limiter.allow());
    let refused = poll(&mut limiter.acquire()).expect("the wait of 31 years is beyond the clock's range").unwrap_err();
    assert_eq!(refused.retry_after(), None);
    assert_eq!(refused.to_string(), "the tokens will not be there within the clock's range");
}

#[test]
fn no_numbers_overflow() {
    let clock = MockClock::new();
    let limiter = RateLimiter::with_clock(Quota::per_second(1000).burst(u32::MAX), clock.clone());
    assert!(limiter.try_acquire_n(u32::MAX).is_ok());
    let mut waits: Vec<_> = (0..120).map(|_| limiter.acquire_n(u32::MAX).leaving(0).jitter(Duration::MAX)).collect();
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()));
    for decision in [limiter.decide(1), limiter.decide(u32::MAX), limiter.decide(0)] {
        assert!(decision.reset_after() >= Some(seconds(u64::from(u32::MAX) / 1000)), "{decision:?}");
    }
    assert!(limiter.time_until(u32::MAX) > Some(seconds(120 * (u64::from(u32::MAX) / 1000))));
    let most = brimful::Tokens::MAX;
    assert!(matches!(poll(&mut limiter.acquire_n(most).leaving(most)), Some(Err(AcquireError::ExceedsBurst(_)))));
    assert!(limiter.leaving(most).try_acquire_n(most).is_err());
    assert!(poll(&mut limiter.acquire().within(Duration::MAX)).is_none());
    assert!(poll(&mut limiter.acquire().until(0)).is_some());
    drop(waits);
    clock.set(u64::MAX);
    assert!(poll(&mut limiter.acquire_n(u32::MAX)).is_some_and(|outcome| outcome.is_ok()));
    clock.set(0);
    assert!(poll(&mut limiter.acquire()).is_some());
}

/// Each cancelled wait gives its token back, and the next waiter is served. The total work must not
/// be quadratic.
#[test]
fn a_crowd_with_deadlines_that_is_dropped_in_order_does_not_look_at_all_each_time() {
    let (limiter, clock) = empty();
    let mut waits: Vec<_> = (0..100_000).map(|_| limiter.acquire().until(10_000_000 * S)).collect();
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()));
    clock.advance(seconds(1));
    waits.into_iter().for_each(drop);
    assert_eq!((limiter.waiters(), limiter.available_tokens()), (0, 1.0));
}

#[test]
fn room_is_made_for_a_key_that_is_to_be_waited_on() {
    let (clock, reported) = (MockClock::new(), Arc::new(AtomicU64::new(0)));
    let hook = reported.clone();
    let limiter = KeyedRateLimiter::<u32, _>::builder()
        .quota(Quota::per_second(1).burst(10))
        .max_keys(8)
        .clock(clock.clone())
        .on_full_hook(move |_| _ = hook.fetch_add(1, Ordering::SeqCst))
        .build()
        .unwrap();
    assert!((0..8).all(|key| limiter.try_acquire_n(&key, 5).is_ok()));
    clock.advance(Duration::from_millis(1));
    // Another key is evicted for this one, so new keys no longer start full.
    assert!(limiter.try_acquire_n(&102, 1).is_ok());
    limiter.key(&102).reset();
    assert!(poll(&mut limiter.acquire_n(&999, 10)).is_none(), "102 is full, and may be forgotten");
    let (refusals, before) = (limiter.refusals(), reported.load(Ordering::SeqCst));
    let mut wait = limiter.acquire_n(&998, 10);
    let Some(Err(AcquireError::TableFull(_))) = poll(&mut wait) else { return };
    assert_eq!((limiter.refusals(), reported.load(Ordering::SeqCst)), (refusals + 1, before + 1));
}

#[test]
fn a_deadline_that_has_passed_is_too_late_whatever_is_there() {
    let (limiter, clock) = empty();
    clock.advance(seconds(8));
    let late = |outcome| match outcome {
        Some(Err(AcquireError::TooLate(late))) => late.retry_after(),
        _ => None,
    };
    assert_eq!(late(poll(&mut limiter.acquire_n(8).until(8 * S - 1))), Some(Duration::ZERO));
    assert_eq!(late(poll(&mut limiter.acquire_n(9).until(S))), Some(seconds(1)));
    assert_eq!(late(Some(limiter.acquire().until(S).wait())), Some(Duration::ZERO));
    assert_eq!(limiter.available_tokens(), 8.0, "nothing is charged");
    assert!(matches!(poll(&mut limiter.acquire_n(11).until(S)), Some(Err(AcquireError::ExceedsBurst(_)))));
    assert!(
        poll(&mut limiter.acquire_n(8).until(8 * S)).is_some_and(|outcome| outcome.is_ok()),
        "the deadline is exactly now"
    );
}

#[test]
fn a_deadline_that_has_passed_tells_when_a_new_wait_would_end() {
    let (limiter, clock) = empty();
    clock.advance(seconds(2));
    let mut waits = [limiter.acquire_n(3), limiter.acquire_n(2).leaving(4), limiter.acquire_n(2).leaving(6)];
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()));
    let late = |n, leaving| match poll(&mut limiter.acquire_n(n).leaving(leaving).until(S)) {
        Some(Err(AcquireError::TooLate(late))) => late.retry_after(),
        outcome => panic!("{outcome:?}"),
    };
    let reported = [(1, 0), (1, 4), (1, 5), (1, 6)].map(|(n, leaving)| late(n, leaving));
    // Two tokens are there. Three are for the first waiter, and five for the waiters that leave at
    // most five.
    assert_eq!(reported, [2, 8, 9, 12].map(|wait| Some(seconds(wait))));
    drop(waits);
    assert_eq!(limiter.available_tokens(), 2.0, "nothing is charged");
}

#[test]
fn a_wait_that_is_over_blocks_for_once_more() {
    let (limiter, clock) = empty();
    clock.advance(seconds(2));
    let mut wait = limiter.acquire();
    assert!(poll(&mut wait).is_some());
    assert!(poll(&mut wait).is_none(), "the future has ended");
    assert!(wait.wait().is_ok());
    assert_eq!(limiter.available_tokens(), 0.0);
    let mut nothing = limiter.acquire_n(0);
    assert!(poll(&mut nothing).is_some() && nothing.wait().is_ok());
}

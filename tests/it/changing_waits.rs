//! Waits during `set_quota` and `pause_for`, on a lone limiter and on many keys: waiters are timed anew at once,
//! and each is served or refused by the quota that counts last.

use std::sync::Arc;
use std::time::Duration;

use brimful::{Acquire, AcquireError, Bucket, KeyedRateLimiter, MockClock, Quota, QuotaChange, RateLimiter, Tokens};

use crate::waiting::{WakeCount, poll, poll_by};
use crate::waiting_edges::DeadTimer;

/// The keys that callers wait on, in all stripes of the table.
const KEYS: u64 = 500;

/// A limiter of 10/s and a burst of 10, or one for each of many keys.
#[derive(Clone, Copy)]
enum Subject<'a> {
    Lone(&'a RateLimiter<MockClock>),
    Keyed(&'a KeyedRateLimiter<u64, MockClock>),
}

impl<'a> Subject<'a> {
    fn buckets(self) -> Vec<Bucket<'a, MockClock>> {
        match self {
            Subject::Lone(limiter) => vec![limiter.leaving(Tokens::ZERO)],
            Subject::Keyed(limiter) => (0..KEYS).map(|key| limiter.key(&key)).collect(),
        }
    }

    fn set(self, change: impl Into<QuotaChange>) {
        match self {
            Subject::Lone(limiter) => limiter.set_quota(change).unwrap(),
            Subject::Keyed(limiter) => limiter.set_quota(change).unwrap(),
        }
    }

    fn pause(self, millis: u64) {
        match self {
            Subject::Lone(limiter) => limiter.pause_for(Duration::from_millis(millis)),
            Subject::Keyed(limiter) => limiter.pause_for(Duration::from_millis(millis)),
        }
    }
}

/// Runs a test on empty buckets.
fn both(test: impl Fn(Subject<'_>, &[Bucket<'_, MockClock>], &MockClock)) {
    let quota = Quota::per_second(10).burst(10);
    let clock = MockClock::new();
    let lone = RateLimiter::with_clock(quota, clock.clone());
    let keyed = KeyedRateLimiter::builder().quota(quota).max_keys(1_000).clock(clock.clone()).build().unwrap();
    for subject in [Subject::Lone(&lone), Subject::Keyed(&keyed)] {
        clock.set(0);
        let buckets = subject.buckets();
        assert!(buckets.iter().all(|bucket| bucket.try_acquire_n(10).is_ok()));
        test(subject, &buckets, &clock);
    }
}

/// The waits of one kind, one for each bucket.
struct Waits<'a> {
    waits: Vec<Acquire<'a, MockClock>>,
    woken: Arc<WakeCount>,
}

/// Begins a wait on each bucket.
fn wait<'a>(
    buckets: &[Bucket<'a, MockClock>],
    begin: impl Fn(&Bucket<'a, MockClock>) -> Acquire<'a, MockClock>,
) -> Waits<'a> {
    let woken: Arc<WakeCount> = Arc::default();
    let mut waits: Vec<_> = buckets.iter().map(begin).collect();
    assert!(waits.iter_mut().all(|wait| poll_by(wait, &woken.clone().into()).is_none()));
    Waits { waits, woken }
}

impl Waits<'_> {
    fn none_is_woken(&self) -> bool {
        self.woken.woken() == 0
    }

    /// Whether all were woken by now, and granted at this time, in milliseconds.
    fn all_are_granted_at(&mut self, millis: u64) -> bool {
        let outcomes: Vec<_> = self.waits.iter_mut().map(poll).collect();
        self.woken.woken() == outcomes.len()
            && outcomes
                .iter()
                .all(|outcome| matches!(outcome, Some(Ok(granted)) if granted.granted_at() == millis * 1_000_000))
    }

    /// Whether all were woken by now, and failed so.
    fn all_failed(&mut self, so: impl Fn(&AcquireError) -> bool) -> bool {
        let outcomes: Vec<_> = self.waits.iter_mut().map(poll).collect();
        self.woken.woken() == outcomes.len()
            && outcomes.iter().all(|outcome| matches!(outcome, Some(Err(error)) if so(error)))
    }
}

/// Moves the clock to one nanosecond before the time in milliseconds, and then to the time.
fn up_to(millis: u64, clock: &MockClock, mut early: impl FnMut()) {
    clock.set(millis * 1_000_000 - 1);
    early();
    clock.set(millis * 1_000_000);
}

#[test]
fn a_lower_quota_times_all_waiters_anew() {
    both(|subject, buckets, clock| {
        let mut first = wait(buckets, |bucket| bucket.acquire_n(2)); // due at 200 ms
        let mut late = wait(buckets, |bucket| bucket.acquire().until(350_000_000)); // at 300 ms
        let mut large = wait(buckets, |bucket| bucket.acquire_n(6)); // at 900 ms
        let mut last = wait(buckets, |bucket| bucket.acquire_n(5)); // at 1 400 ms
        clock.set(100_000_000); // one token
        subject.set(Quota::per_second(5));
        assert!(late.all_failed(|error| matches!(error, AcquireError::TooLate(_))));
        assert!(
            large.all_failed(|error| matches!(error, AcquireError::ExceedsBurst(error) if error.burst() == 5.into()))
        );
        assert!(first.none_is_woken() && last.none_is_woken());
        up_to(300, clock, || assert!(first.none_is_woken()));
        assert!(first.all_are_granted_at(300));
        up_to(1_300, clock, || assert!(last.none_is_woken()));
        assert!(last.all_are_granted_at(1_300));
        assert!(buckets.iter().all(|bucket| bucket.balance() == 0.0));
    });
}

#[test]
fn of_two_changes_in_a_row_the_last_counts() {
    both(|subject, buckets, clock| {
        let mut first = wait(buckets, |bucket| bucket.acquire_n(5));
        let mut second = wait(buckets, |bucket| bucket.acquire_n(2));
        clock.set(100_000_000); // one token
        subject.set(Quota::per_second(1).burst(10));
        clock.set(200_000_000); // a tenth more
        subject.set(Quota::per_second(2).burst(10));
        subject.set(Quota::per_second(10));
        assert!(first.none_is_woken());
        up_to(590, clock, || assert!(first.none_is_woken()));
        assert!(first.all_are_granted_at(590) && second.none_is_woken());
        // Down and up again within one instant.
        subject.set(Quota::per_second(1).burst(10));
        subject.set(Quota::per_second(10));
        up_to(790, clock, || assert!(second.none_is_woken()));
        assert!(second.all_are_granted_at(790));
    });
}

#[test]
fn a_reset_serves_the_waiters_that_it_is_enough_for() {
    both(|subject, buckets, clock| {
        let mut first = wait(buckets, |bucket| bucket.acquire_n(3));
        let mut second = wait(buckets, |bucket| bucket.acquire_n(3));
        clock.set(50_000_000);
        subject.set(QuotaChange::reset(Quota::per_second(5)));
        assert!(first.all_are_granted_at(50) && second.none_is_woken());
        // Two of three are left.
        up_to(250, clock, || assert!(second.none_is_woken()));
        assert!(second.all_are_granted_at(250));
    });
}

#[test]
fn a_pause_holds_all_waiters_until_its_end() {
    both(|subject, buckets, clock| {
        let mut first = wait(buckets, |bucket| bucket.acquire()); // due at 100 ms
        let mut second = wait(buckets, |bucket| bucket.acquire_n(2)); // at 300 ms
        let mut late = wait(buckets, |bucket| bucket.acquire().until(450_000_000)); // at 400 ms
        let mut last = wait(buckets, |bucket| bucket.acquire_n(8)); // at 1 200 ms
        subject.pause(500);
        assert!(late.all_failed(|error| matches!(error, AcquireError::TooLate(_))));
        clock.set(200_000_000);
        subject.pause(100); // ends before
        clock.set(400_000_000);
        subject.pause(400);
        up_to(800, clock, || assert!(first.none_is_woken() && second.none_is_woken()));
        assert!(first.all_are_granted_at(800) && second.all_are_granted_at(800));
        // Eight tokens, less three.
        up_to(1_100, clock, || assert!(last.none_is_woken()));
        assert!(last.all_are_granted_at(1_100));
    });
}

/// Tokens that were there by a waiter's deadline are its own, even if the timer is late and the quota changes first.
#[test]
fn a_waiter_behind_a_late_timer_is_served_at_a_change() {
    let clock = MockClock::new();
    let quota = Quota::per_second(1).burst(3).initial(0);
    let builder = RateLimiter::builder().quota(quota).clock(clock.clone()).timer(|| DeadTimer);
    let limiter = builder.build().unwrap();
    assert!(!limiter.allow());
    let (mut served, mut late) = (limiter.acquire().until(1_000_000_000), limiter.acquire().until(1_999_999_999));
    assert!(poll(&mut served).is_none() && poll(&mut late).is_some_and(|answer| answer.is_err()));
    clock.set(1_500_000_000);
    limiter.set_quota(Quota::per_second(1).burst(2)).unwrap();
    assert!(poll(&mut served).unwrap().is_ok());
}

/// A waiter that misses its deadline at a change keeps no token from the one behind it.
#[test]
fn a_waiter_that_is_refused_at_a_change_is_not_ahead_of_others() {
    let clock = MockClock::new();
    let quota = Quota::per_second(1).burst(3).initial(0);
    let limiter = RateLimiter::builder().quota(quota).clock(clock.clone()).timer(|| DeadTimer).build().unwrap();
    assert!(!limiter.allow());
    let (mut first, mut second) = (limiter.acquire().until(1_000_000_000), limiter.acquire().until(2_100_000_000));
    assert!(poll(&mut first).is_none() && poll(&mut second).is_none());
    clock.set(1_500_000_000);
    limiter.set_quota(QuotaChange::proportional(Quota::per_second(1).burst(2))).unwrap();
    let answers = [poll(&mut first), poll(&mut second)].map(|answer| answer.is_some_and(|answer| answer.is_ok()));
    assert_eq!(answers.into_iter().filter(|&is_granted| is_granted).count(), 1, "a token is there: {answers:?}");
}

/// A pause that becomes longer refuses a waiter at once whose deadline is before its end, although its tokens are there.
#[test]
fn a_longer_pause_refuses_a_waiter_whose_tokens_are_there() {
    let clock = MockClock::new();
    let limiter = RateLimiter::with_clock(Quota::per_second(1).burst(3), clock.clone());
    limiter.pause_for(Duration::from_secs(10));
    let (mut first, mut second) = (limiter.acquire(), limiter.acquire().until(12_000_000_000));
    assert!(poll(&mut first).is_none() && poll(&mut second).is_none());
    clock.set(1_000_000_000);
    limiter.pause_for(Duration::from_secs(20));
    assert!(matches!(poll(&mut second), Some(Err(AcquireError::TooLate(_)))));
    assert!(poll(&mut first).is_none());
}

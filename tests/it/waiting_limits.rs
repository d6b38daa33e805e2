//! The bounds of a queue: of its waiters, of the amounts that they leave, and its end.

use std::sync::Arc;
use std::time::Duration;

use brimful::{
    AcquireError, ConcurrencyLimit, KeyedRateLimiter, MockClock, QueueLimit, Quota, RateLimiter, TryAcquirePermitError,
};

use crate::waiting::{Outcome, WakeCount, poll, poll_by};

/// An empty bucket of 10/s with burst 100, for up to `max_waiters` waiters.
fn limiter(max_waiters: usize) -> RateLimiter<MockClock> {
    let quota = Quota::per_second(10).burst(100).initial(0);
    RateLimiter::builder().quota(quota).clock(MockClock::new()).max_waiters(max_waiters).build().unwrap()
}

fn is_queue_full(outcome: &Option<Outcome>, most: usize) -> bool {
    matches!(outcome, Some(Err(AcquireError::QueueFull(full))) if full.limit() == QueueLimit::Waiters(most))
}

fn is_displaced(outcome: &Option<Outcome>) -> bool {
    matches!(outcome, Some(Err(AcquireError::QueueFull(full))) if full.limit() == QueueLimit::Displaced)
}

/// A waiter that leaves less takes the place of the last waiter that leaves more; that one is woken,
/// and fails.
#[test]
fn background_waiters_do_not_keep_others_out() {
    let limiter = limiter(3);
    let woken: Arc<WakeCount> = Arc::default();
    let mut background: Vec<_> = (0..3).map(|_| limiter.background().acquire()).collect();
    for wait in &mut background {
        assert!(poll_by(wait, &woken.clone().into()).is_none());
    }
    assert!(is_queue_full(&poll(&mut limiter.background().acquire()), 3), "it precedes none of them");
    let mut foreground: Vec<_> = (0..3).map(|_| limiter.acquire()).collect();
    for (nth, wait) in foreground.iter_mut().enumerate() {
        assert!(poll(wait).is_none());
        assert_eq!(woken.woken(), nth + 1);
        assert!(is_displaced(&poll(&mut background[2 - nth])), "the last one first");
    }
    assert!(is_queue_full(&poll(&mut limiter.acquire()), 3));
    limiter.clock().advance(Duration::from_millis(300));
    assert!(foreground.iter_mut().all(|wait| matches!(poll(wait), Some(Ok(_)))));
    assert_eq!((limiter.waiters(), limiter.balance()), (0, 0.0), "nothing was charged to the others");
}

/// Grants that jitter holds back count as waiters, until their callers have them.
#[test]
fn grants_that_are_held_back_take_places() {
    let limiter = limiter(2);
    let mut pending = Vec::new();
    for _ in 0..2 {
        let mut wait = limiter.acquire().jitter(Duration::from_secs(3_600));
        assert!(poll(&mut wait).is_none());
        pending.push(wait);
    }
    // Both are granted, and held back, unless a random time within an hour is shorter than 0.2 s.
    limiter.clock().advance(Duration::from_millis(200));
    let held = pending.iter_mut().map(|wait| poll(wait).is_none()).filter(|&held| held).count();
    assert!(held > 0);
    assert_eq!((limiter.waiters(), limiter.balance()), (0, 0.0));
    let mut more: Vec<_> = (0..2).map(|_| limiter.acquire()).collect();
    let refused = more.iter_mut().map(|wait| is_queue_full(&poll(wait), 2)).filter(|&full| full).count();
    assert_eq!(refused, held);
    // Their callers leave, and give the tokens back.
    drop(pending);
    assert!(matches!(poll(&mut limiter.acquire()), Some(Ok(_))));
}

/// Calls under the queue's lock look at each of the amounts that waiters leave: there are at most 64.
#[test]
fn waiters_leave_64_different_amounts_at_most() {
    let limiter = limiter(1_000);
    let mut waits: Vec<_> = (0..=64u32).map(|leaves| limiter.leaving(leaves).acquire()).collect();
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()), "those that leave nothing are not counted");
    let mut refused = limiter.leaving(65).acquire();
    let error = poll(&mut refused).unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "waiters leave as many different amounts as permitted (64): choose among fewer amounts"
    );
    assert!(poll(&mut limiter.leaving(64).acquire()).is_none(), "one of those amounts");
    // The first two waiters are granted, and another amount has a place.
    limiter.clock().advance(Duration::from_millis(300));
    assert!(waits[..2].iter_mut().all(|wait| matches!(poll(wait), Some(Ok(_)))));
    assert!(poll(&mut limiter.leaving(65).acquire()).is_none());
}

#[test]
fn closing_ends_all_waits_and_no_other_calls() {
    let limiter = limiter(10);
    let woken: Arc<WakeCount> = Arc::default();
    let mut waits: Vec<_> = (0..3).map(|_| limiter.acquire()).collect();
    assert!(waits.iter_mut().all(|wait| poll_by(wait, &woken.clone().into()).is_none()));
    limiter.clock().advance(Duration::from_millis(100));
    limiter.close();
    assert_eq!(woken.woken(), 3);
    assert!(matches!(poll(&mut waits[0]), Some(Ok(_))), "granted before");
    for wait in &mut waits[1..] {
        assert!(matches!(poll(wait), Some(Err(AcquireError::LimiterClosed(_)))));
    }
    limiter.clock().advance(Duration::from_secs(1));
    let error = limiter.acquire_blocking().unwrap_err();
    assert_eq!(error.to_string(), "the limiter was closed: nothing can wait on it any more");
    assert_eq!((format!("{error:?}"), error.retry_after()), ("LimiterClosed".to_owned(), None));
    assert_eq!((limiter.balance(), limiter.available_tokens(), limiter.waiters()), (10.0, 10.0, 0));
    assert!(limiter.allow() && limiter.try_acquire_n(10).is_err());
    limiter.try_reserve_n(5).unwrap().commit(2);
    limiter.close();
    assert_eq!(limiter.balance(), 7.0);
    limiter.reset();
    assert!(limiter.try_acquire_n(100).is_ok());
}

/// A closed rate limiter admits calls that do not wait, unless it is paused as well. A closed concurrency limit
/// refuses them.
#[test]
fn a_closed_limiter_admits_what_a_closed_concurrency_limit_refuses() {
    let (limiter, limit) = (limiter(1), ConcurrencyLimit::new(1));
    limiter.clock().advance(Duration::from_secs(1));
    limiter.close();
    limit.close();
    assert!(limiter.allow() && limiter.decide(1).allowed() && limiter.try_reserve_n(1).is_ok());
    assert!(matches!(limit.try_acquire(), Err(TryAcquirePermitError::LimiterClosed(_))));
    limiter.pause_for(Duration::MAX);
    limiter.clock().advance(Duration::from_secs(3_600));
    assert!(!limiter.allow() && !limiter.decide(1).allowed() && limiter.try_reserve_n(1).is_err());
}

/// A limiter may be closed before its first call, and one without a limit is not.
#[test]
fn every_limiter_can_be_closed() {
    static API: RateLimiter = RateLimiter::new(Quota::per_hour(1).burst(2).initial(1));
    static UNLIMITED: RateLimiter = RateLimiter::unlimited();
    API.close();
    UNLIMITED.close();
    assert!(matches!(API.acquire_blocking(), Err(AcquireError::LimiterClosed(_))));
    assert!(API.allow() && !API.allow());
    assert!(UNLIMITED.acquire_blocking().is_ok() && UNLIMITED.allow());
}

/// A caller of the highest priority has a place, whatever amounts the waiters leave.
#[test]
fn background_amounts_do_not_keep_others_out() {
    let limiter = limiter(1_000);
    let mut waits: Vec<_> = (1..=64u32).map(|leaves| limiter.leaving(leaves).acquire()).collect();
    waits.extend((0..3).map(|_| limiter.leaving(64).acquire()));
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()));
    let mut first = limiter.acquire();
    assert!(poll(&mut first).is_none());
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()), "no waiter is displaced from a queue with room");
    let outcome = poll(&mut limiter.leaving(65).acquire());
    assert!(matches!(outcome, Some(Err(AcquireError::QueueFull(full))) if full.limit() == QueueLimit::Amounts(64)));
    limiter.clock().advance(Duration::from_millis(100));
    assert!(matches!(poll(&mut first), Some(Ok(_))));
}

/// Grants of a key that jitter holds back keep its queue, and so are counted.
#[test]
fn held_back_grants_of_a_key_take_places() {
    let quota = Quota::per_second(10).burst(1).initial(0);
    let builder = KeyedRateLimiter::<u8>::builder().quota(quota).clock(MockClock::new());
    let limiter = builder.max_waiters(1).max_waiting_keys(1).build().unwrap();
    let mut wait = limiter.acquire(&1).jitter(Duration::from_secs(3_600));
    assert!(poll(&mut wait).is_none());
    limiter.clock().advance(Duration::from_millis(100));
    if poll(&mut wait).is_some() {
        return; // The jitter was shorter than a microsecond.
    }
    assert!(!limiter.allow(&1), "the token is charged");
    assert_eq!(limiter.waiting_keys(), 1);
    let outcome = poll(&mut limiter.acquire(&1).jitter(Duration::from_secs(3_600)));
    assert!(is_queue_full(&outcome, 1));
    let outcome = poll(&mut limiter.acquire(&2));
    assert!(matches!(outcome, Some(Err(AcquireError::QueueFull(full))) if full.limit() == QueueLimit::Keys(1)));
    limiter.clock().advance(Duration::from_secs(3_600));
    assert!(matches!(poll(&mut wait), Some(Ok(_))));
    assert!(limiter.allow(&1));
    assert_eq!(limiter.waiting_keys(), 0);
}

//! Views of a bucket compose, and mean the same on a limiter of one bucket and on a key.

use std::sync::Arc;
use std::time::Duration;

use brimful::{
    AcquireError, Bucket, KeyedRateLimiter, MockClock, OwnedAcquire, OwnedReservation, Quota, RateLimiter,
    TryAcquireError,
};

use crate::support::{SECOND, limiter};
use crate::waiting::poll;

fn quota() -> Quota {
    Quota::per_second(10).burst(100)
}

/// Runs `check` on the bucket of a limiter and on that of a key.
fn each(check: impl Fn(Bucket<'_, MockClock>, &MockClock)) {
    let single = limiter(quota());
    check(single.leaving(0), single.clock());
    let keyed = KeyedRateLimiter::<str, _>::with_clock(quota(), MockClock::new());
    check(keyed.key("a"), keyed.clock());
    // The calls of one key do not affect another key.
    assert_eq!(keyed.key("b").available_tokens(), 100.0);
}

#[test]
fn a_time_and_tokens_to_leave_compose_in_either_order() {
    each(|bucket, _| {
        let view = bucket.at(SECOND).leaving(20);
        assert!(view.try_acquire_n(80).is_ok());
        assert!(bucket.leaving(20).at(SECOND).try_acquire().is_err());
        assert!(
            matches!(view.try_acquire_n(81), Err(TryAcquireError::ExceedsBurst(error)) if error.leaving() == 20.into())
        );
        // The rate is ten tokens per second.
        assert_eq!(view.time_until(1), Some(Duration::from_millis(100)));
        assert!(bucket.at(SECOND + SECOND / 10).leaving(20).allow());
    });
}

#[test]
fn what_is_to_be_left_is_not_available() {
    each(|bucket, _| {
        let (at, leaving) = (bucket.at(0), bucket.at(0).leaving(30));
        assert_eq!((at.available_tokens(), leaving.available_tokens()), (100.0, 70.0));
        assert!(at.try_acquire_n(90).is_ok());
        assert_eq!((at.available_tokens(), leaving.available_tokens()), (10.0, 0.0));
        assert_eq!((at.balance(), leaving.balance()), (10.0, 10.0));
        assert_eq!((at.time_until(10), leaving.time_until(10)), (Some(Duration::ZERO), Some(Duration::from_secs(3))));
        assert_eq!((at.time_until(100), leaving.time_until(71)), (Some(Duration::from_secs(9)), None));
        let decision = leaving.decide(10);
        assert!(!decision.allowed() && !decision.exceeds_burst());
        assert_eq!((decision.remaining(), decision.retry_after()), (10, Some(Duration::from_secs(3))));
        assert!(leaving.decide(71).exceeds_burst());
        assert_eq!(leaving.decide(0).remaining(), 10);
        assert_eq!(leaving.peek().remaining(), 10);
    });
}

#[test]
fn background_leaves_a_fifth_unless_set() {
    each(|bucket, _| {
        assert_eq!(bucket.background().available_tokens(), 80.0);
        assert_eq!(bucket.at(0).background().available_tokens(), 80.0);
    });
    let keyed = KeyedRateLimiter::<u64>::builder().quota(quota()).clock(MockClock::new()).background_leaves(45);
    assert_eq!(keyed.build().unwrap().key(&1).background().available_tokens(), 55.0);
}

#[test]
fn every_verb_of_a_view_is_on_its_bucket() {
    each(|bucket, clock| {
        assert!(bucket.allow() && bucket.try_acquire().is_ok() && bucket.decide(1).allowed());
        assert_eq!(bucket.balance(), 97.0);
        assert_eq!(bucket.add_tokens(5), 3.into());
        let reservation = bucket.try_reserve_n(60).unwrap();
        assert_eq!(bucket.available_tokens(), 40.0);
        assert!(reservation.commit(70).is_zero());
        assert_eq!(bucket.balance(), 30.0);
        bucket.reset();
        assert_eq!((bucket.balance(), bucket.quota(), bucket.waiters()), (100.0, quota(), 0));
        let at = bucket.at(0);
        drop(at.try_reserve_n(100).unwrap());
        assert_eq!(at.balance(), 100.0);
        assert!(at.try_reserve_n(100).unwrap().at(SECOND).commit(50).is_zero());
        assert_eq!(bucket.at(SECOND).balance(), 60.0);
        at.reset();
        assert_eq!(at.add_tokens(1), 0.into());
        // Methods that wait.
        assert!(bucket.acquire_n_blocking(99).is_ok() && bucket.acquire_blocking().is_ok());
        let mut wait = bucket.acquire();
        assert!(poll(&mut wait).is_none() && bucket.waiters() == 1);
        clock.advance(Duration::from_millis(100));
        assert!(matches!(poll(&mut wait), Some(Ok(_))));
        let hopeless = bucket.acquire_n(11).within(Duration::from_secs(1)).wait();
        assert!(matches!(hopeless, Err(AcquireError::TooLate(_))), "{hopeless:?}");
        assert!(matches!(bucket.leaving(95).acquire_n(6).wait(), Err(AcquireError::ExceedsBurst(_))));
    });
}

#[test]
fn a_wait_may_end_in_a_reservation() {
    each(|bucket, clock| {
        let reservation = poll(&mut bucket.reserve_n(100)).expect("the tokens are there").unwrap();
        assert_eq!(reservation.tokens(), 100.into());
        let mut wait = bucket.reserve_n(20);
        assert!(poll(&mut wait).is_none());
        // 40 of 100 were used, and the next wait gets the others.
        assert!(reservation.commit(40).is_zero());
        let reservation = poll(&mut wait).expect("given back").unwrap();
        assert_eq!(bucket.balance(), 40.0);
        drop(reservation);
        assert_eq!(bucket.balance(), 60.0);
        // A cancelled reservation takes nothing.
        let mut wait = bucket.reserve_n(100);
        assert!(poll(&mut wait).is_none());
        drop(wait);
        clock.advance(Duration::from_secs(4));
        assert_eq!(bucket.balance(), 100.0);
        assert!(matches!(bucket.reserve_n(101).wait(), Err(AcquireError::ExceedsBurst(_))));
        assert!(bucket.leaving(50).reserve_n(50).wait().is_ok_and(|reservation| reservation.commit(0).is_zero()));
    });
}

#[test]
fn owned_forms_outlive_their_limiter() {
    let clock = MockClock::new();
    let single = Arc::new(RateLimiter::with_clock(quota(), clock.clone()));
    let keyed = KeyedRateLimiter::<String, _>::with_clock(quota(), clock.clone());
    let reservations: [OwnedReservation<MockClock>; 2] =
        [single.try_reserve_n_owned(95).unwrap(), keyed.try_reserve_n_owned("a", 95).unwrap()];
    let mut waits: [OwnedAcquire<MockClock>; 2] = [single.acquire_n_owned(10), keyed.acquire_n_owned("a", 10)];
    drop((single, keyed));
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()));
    for reservation in reservations {
        let settled = std::thread::spawn(move || reservation.commit(90));
        assert!(settled.join().unwrap().is_zero());
    }
    assert!(waits.iter_mut().all(|wait| matches!(poll(wait), Some(Ok(_)))));
}

#[test]
fn a_view_of_an_unlimited_limiter_admits_all() {
    let limiter = RateLimiter::unlimited();
    assert!(limiter.at(7).leaving(u32::MAX).try_acquire_n(u32::MAX).is_ok());
    assert!(limiter.background().allow());
    assert_eq!(limiter.leaving(5).available_tokens(), f64::INFINITY);
    assert_eq!(limiter.leaving(5).time_until(u32::MAX), Some(Duration::ZERO));
    assert!(limiter.reserve_n(u32::MAX).wait().is_ok());
}

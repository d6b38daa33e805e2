//! A quota that changes: `set_quota` and `pause_for`, by tables of times and amounts.

use std::time::Duration;

use brimful::{
    AcquireError, Clock, KeyedRateLimiter, MockClock, Quota, QuotaChange, RateLimiter, SetQuotaError, Tokens,
    TryAcquireError,
};

const SECOND: u64 = 1_000_000_000;

fn limiter(quota: Quota) -> (RateLimiter<MockClock>, MockClock) {
    let clock = MockClock::new();
    (RateLimiter::with_clock(quota, clock.clone()), clock)
}

fn keyed(quota: Quota) -> (KeyedRateLimiter<u64, MockClock>, MockClock) {
    let clock = MockClock::new();
    (KeyedRateLimiter::builder().quota(quota).max_keys(1_000).clock(clock.clone()).build().unwrap(), clock)
}

/// The limiters' verbs that the tables below use, of a lone limiter and of a key.
trait Subject {
    fn set(&self, change: QuotaChange) -> Result<(), SetQuotaError>;
    fn take(&self, n: u32) -> Result<(), TryAcquireError>;
    fn balance(&self) -> f64;
    fn give(&self, n: u32) -> Tokens;
    fn reset(&self);
    fn pause(&self, duration: Duration);
}

impl Subject for RateLimiter<MockClock> {
    fn set(&self, change: QuotaChange) -> Result<(), SetQuotaError> {
        self.set_quota(change)
    }
    fn take(&self, n: u32) -> Result<(), TryAcquireError> {
        self.try_acquire_n(n)
    }
    fn balance(&self) -> f64 {
        RateLimiter::balance(self)
    }
    fn give(&self, n: u32) -> Tokens {
        self.add_tokens(n)
    }
    fn reset(&self) {
        RateLimiter::reset(self);
    }
    fn pause(&self, duration: Duration) {
        self.pause_for(duration);
    }
}

impl Subject for KeyedRateLimiter<u64, MockClock> {
    fn set(&self, change: QuotaChange) -> Result<(), SetQuotaError> {
        self.set_quota(change)
    }
    fn take(&self, n: u32) -> Result<(), TryAcquireError> {
        self.try_acquire_n(&7, n)
    }
    fn balance(&self) -> f64 {
        self.key(&7).balance()
    }
    fn give(&self, n: u32) -> Tokens {
        self.key(&7).add_tokens(n)
    }
    fn reset(&self) {
        self.key(&7).reset();
    }
    fn pause(&self, duration: Duration) {
        self.pause_for(duration);
    }
}

/// Runs a test on a lone limiter and on a key.
fn both(quota: Quota, test: impl Fn(&dyn Subject, &MockClock)) {
    let (lone, clock) = limiter(quota);
    test(&lone, &clock);
    let (keyed, clock) = keyed(quota);
    test(&keyed, &clock);
}

#[test]
fn tokens_and_debt_are_kept_and_clipped() {
    both(Quota::per_second(100), |limiter, clock| {
        limiter.take(30).unwrap();
        limiter.set(Quota::per_second(10).burst(80).into()).unwrap();
        assert_eq!(limiter.balance(), 70.0);
        clock.advance(Duration::from_millis(500));
        assert_eq!(limiter.balance(), 75.0, "half a second of 10/s");
        limiter.set(Quota::per_second(50).burst(20).into()).unwrap();
        assert_eq!(limiter.balance(), 20.0, "clipped at the burst");
        assert!(
            matches!(limiter.take(21), Err(TryAcquireError::ExceedsBurst(exceeds)) if exceeds.burst() == 20.into())
        );
        limiter.take(20).unwrap();
        clock.advance(Duration::from_millis(100));
        assert_eq!(limiter.balance(), 5.0);
        limiter.set(Quota::per_second(100).into()).unwrap();
        assert_eq!(limiter.balance(), 5.0);
        clock.advance(Duration::from_secs(10));
        assert_eq!(limiter.balance(), 100.0);
    });
}

#[test]
fn a_bucket_that_was_never_used_is_not_fuller_than_its_bursts() {
    both(Quota::per_second(100), |limiter, clock| {
        limiter.set(Quota::per_second(10).into()).unwrap();
        clock.advance(Duration::from_secs(5));
        limiter.set(Quota::per_second(50).burst(100).into()).unwrap();
        assert_eq!(limiter.balance(), 10.0, "it held a burst of 10");
        clock.advance(Duration::from_millis(400));
        assert_eq!(limiter.balance(), 30.0);
        limiter.take(30).unwrap();
        assert_eq!(limiter.balance(), 0.0);
    });
}

/// However long a full bucket was not used before its quota changes.
#[test]
fn a_full_bucket_stays_full() {
    let changes = [QuotaChange::keep, QuotaChange::proportional, QuotaChange::reset];
    // The last one's unit is a thousandth: a change loses less than four.
    for rate in [3, 7, 10, 100, 1_000, 700_001] {
        for seconds in (0..27).map(|log| 1 << log) {
            for change in [0, 1, 2, 3, 4, 5, 6, 7, 8] {
                both(Quota::per_second(rate).burst(7), |limiter, clock| {
                    let is_full = |burst: f64| (0.0..0.004).contains(&(burst - limiter.balance()));
                    clock.advance(Duration::from_secs(seconds - 1));
                    limiter.set(changes[change / 3](Quota::per_second(1).burst(3))).unwrap();
                    assert!(is_full(3.0), "{} of 3 after {seconds} s of {rate}/s", limiter.balance());
                    clock.advance(Duration::from_secs(seconds));
                    limiter.set(changes[change % 3](Quota::per_second(2).burst(2))).unwrap();
                    assert!(is_full(2.0), "{} of 2 after {seconds} s more of {rate}/s", limiter.balance());
                });
            }
        }
    }
}

#[test]
fn tokens_are_scaled_or_reset() {
    both(Quota::per_second(100), |limiter, clock| {
        limiter.take(80).unwrap();
        limiter.set(QuotaChange::proportional(Quota::per_second(50))).unwrap();
        assert_eq!(limiter.balance(), 10.0);
        limiter.set(QuotaChange::proportional(Quota::per_second(100))).unwrap();
        assert_eq!(limiter.balance(), 20.0);
        limiter.set(QuotaChange::reset(Quota::per_second(10))).unwrap();
        assert_eq!(limiter.balance(), 10.0);
        limiter.take(10).unwrap();
        // Several in one instant.
        for burst in [30, 20, 40] {
            limiter.set(QuotaChange::reset(Quota::per_second(10).burst(burst))).unwrap();
            assert_eq!(limiter.balance(), f64::from(burst));
            limiter.take(burst).unwrap();
            assert_eq!(limiter.balance(), 0.0);
        }
        clock.advance(Duration::from_millis(700));
        assert_eq!(limiter.balance(), 7.0);
    });
}

#[test]
fn what_is_given_back_or_reset_after_a_change_is_there() {
    both(Quota::per_second(100), |limiter, clock| {
        limiter.set(Quota::per_second(10).into()).unwrap();
        limiter.set(Quota::per_second(100).into()).unwrap();
        assert_eq!(limiter.balance(), 10.0);
        assert_eq!(limiter.give(50), 50.into());
        assert_eq!(limiter.balance(), 60.0);
        limiter.reset();
        assert_eq!(limiter.balance(), 100.0);
        limiter.take(100).unwrap();
        assert_eq!(limiter.give(100), 100.into(), "at the same instant");
        assert_eq!(limiter.balance(), 100.0);
        limiter.set(QuotaChange::reset(Quota::per_second(50))).unwrap();
        limiter.take(50).unwrap();
        assert_eq!(limiter.give(100), 50.into(), "clipped at the new burst");
        clock.advance(Duration::from_secs(1));
        assert_eq!(limiter.balance(), 50.0);
    });
}

#[test]
fn the_promised_instant_is_exact_after_any_changes() {
    for (rate, other) in [(100u32, 50u32), (7, 3), (1_000, 1), (3, 1), (1_000_000, 7)] {
        both(Quota::per_second(rate).burst(10), |limiter, clock| {
            limiter.set(Quota::per_second(other).burst(10).into()).unwrap();
            limiter.take(10).unwrap();
            for step in 0..20u64 {
                let wait = limiter.take(1).unwrap_err().retry_after().unwrap();
                clock.advance(wait - Duration::from_nanos(1));
                assert!(limiter.take(1).is_err(), "{rate} {other}, step {step}: one nanosecond early");
                clock.advance(Duration::from_nanos(1));
                limiter.take(1).unwrap();
                let next = if step % 2 == 0 { rate } else { other };
                limiter.set(Quota::per_second(next).burst(10).into()).unwrap();
            }
        });
    }
}

#[test]
fn a_pause_admits_nothing_and_refills() {
    both(Quota::per_second(10), |limiter, clock| {
        limiter.take(10).unwrap();
        limiter.pause(Duration::from_millis(500));
        limiter.pause(Duration::from_millis(100)); // ends before
        assert_eq!(limiter.take(1).unwrap_err().retry_after(), Some(Duration::from_millis(500)));
        clock.advance(Duration::from_nanos(499_999_999));
        assert!(limiter.take(1).is_err());
        clock.advance(Duration::from_nanos(1));
        assert_eq!(limiter.balance(), 5.0);
        limiter.take(5).unwrap();
        assert_eq!(limiter.take(1).unwrap_err().retry_after(), Some(Duration::from_millis(100)));
    });
}

#[test]
fn decisions_show_the_current_quota() {
    let (limiter, clock) = limiter(Quota::per_second(100));
    limiter.set_quota(Quota::per_second(10).burst(20)).unwrap();
    let decision = limiter.decide(5);
    assert_eq!((decision.limit(), decision.remaining()), (20, 15));
    assert_eq!(decision.reset_after(), Some(Duration::from_millis(500)));
    let denied = limiter.decide(16);
    assert_eq!(denied.retry_after(), Some(Duration::from_millis(100)));
    assert!(limiter.decide(21).exceeds_burst());
    assert_eq!(limiter.time_until(20), Some(Duration::from_millis(500)));
    assert_eq!(limiter.time_until(21), None);
    assert!(limiter.background().try_acquire_n(12).is_err(), "a fifth of 20 is left");
    assert!(limiter.background().try_acquire_n(11).is_ok());
    limiter.pause_for(Duration::from_secs(2));
    let paused = limiter.decide(1);
    assert_eq!((paused.allowed(), paused.remaining()), (false, 0));
    assert_eq!(paused.retry_after(), Some(Duration::from_secs(2)));
    assert_eq!(limiter.available_tokens(), 0.0);
    assert_eq!(limiter.balance(), 4.0);
    assert_eq!(limiter.time_until(1), Some(Duration::from_secs(2)));
    clock.advance(Duration::from_secs(2));
    assert_eq!(limiter.available_tokens(), 20.0);
}

#[test]
fn debt_is_kept_and_its_new_limit_counts() {
    let (limiter, clock) = limiter(Quota::per_second(100));
    limiter.try_reserve_n(100).unwrap().commit(150);
    limiter.set_quota(Quota::per_second(10).max_debt(20)).unwrap();
    assert_eq!(limiter.balance(), -50.0);
    clock.advance(Duration::from_secs(6));
    assert_eq!(limiter.balance(), 10.0);
    assert_eq!(limiter.try_reserve_n(10).unwrap().commit(50), 20.into(), "40 more, of which 20 may be owed");
    limiter.set_quota(QuotaChange::proportional(Quota::per_second(10).burst(5))).unwrap();
    assert_eq!(limiter.balance(), -10.0);
    limiter.set_quota(QuotaChange::reset(Quota::per_second(10))).unwrap();
    assert_eq!(limiter.balance(), 10.0);
}

#[test]
fn a_quota_above_the_highest_is_an_error() {
    let (limiter, _) = limiter(Quota::per_second(10));
    for (quota, message) in [
        (Quota::per_second(11).burst(10), "11 per 1s is above the highest rate, 1 per 100ms"),
        (Quota::per_second(10).burst(11), "a burst of 11 is above the highest burst, 10"),
        (Quota::per_second(1).max_debt(11), "a debt of 11 is above the highest debt, 10"),
    ] {
        let error = limiter.set_quota(quota).unwrap_err().to_string();
        assert!(error.starts_with(message) && error.contains("up_to"), "{error}");
        assert_eq!(limiter.quota(), Quota::per_second(10));
    }
    let error = RateLimiter::unlimited().set_quota(Quota::per_second(1)).unwrap_err();
    assert!(error.to_string().contains("unlimited"), "{error}");
    let built = RateLimiter::builder().quota(Quota::per_second(10)).up_to(Quota::per_second(5)).build();
    assert!(built.unwrap_err().to_string().contains("above the highest rate"));
    let built = KeyedRateLimiter::<u64>::builder().quota(Quota::per_second(10)).up_to(Quota::per_second(5)).build();
    assert!(built.unwrap_err().to_string().contains("above the highest rate"));
}

#[test]
fn a_limiter_below_its_highest_quota_starts_with_its_own() {
    let clock = MockClock::new();
    clock.advance(Duration::from_secs(5));
    let builder = RateLimiter::builder().up_to(Quota::per_second(100)).clock(clock.clone());
    let limiter = builder.clone().quota(Quota::per_second(10)).build().unwrap();
    assert_eq!((limiter.balance(), limiter.quota()), (10.0, Quota::per_second(10)));
    limiter.try_acquire_n(10).unwrap();
    clock.advance(Duration::from_millis(100));
    assert_eq!(limiter.balance(), 1.0);
    limiter.set_quota(Quota::per_second(100)).unwrap();
    clock.advance(Duration::from_millis(100));
    assert_eq!(limiter.balance(), 11.0);
    let empty = builder.quota(Quota::per_second(10).initial(3)).build().unwrap();
    assert_eq!(empty.balance(), 3.0);
    let keyed = KeyedRateLimiter::<u64>::builder()
        .quota(Quota::per_second(10).initial(3))
        .up_to(Quota::per_second(100))
        .clock(clock.clone())
        .build()
        .unwrap();
    assert_eq!(keyed.key(&1).balance(), 3.0);
    keyed.set_quota(Quota::per_second(20).initial(4)).unwrap();
    assert_eq!((keyed.key(&1).balance(), keyed.key(&2).balance()), (3.0, 4.0));
}

#[test]
fn a_static_limiter_changes() {
    static API: RateLimiter = RateLimiter::new(Quota::per_hour(100).initial(7));
    API.set_quota(Quota::per_hour(50)).unwrap();
    assert_eq!(API.balance().floor(), 7.0);
    assert_eq!(API.quota(), Quota::per_hour(50));
}

#[test]
fn a_key_is_carried_over_however_long_it_was_unused() {
    let (limiter, clock) = keyed(Quota::per_second(100));
    for key in 0..4u32 {
        limiter.try_acquire_n(&u64::from(key), 20 * (key + 1)).unwrap();
    }
    limiter.set_quota(QuotaChange::proportional(Quota::per_second(50))).unwrap();
    limiter.set_quota(Quota::per_second(100)).unwrap();
    limiter.set_quota(QuotaChange::proportional(Quota::per_second(10))).unwrap();
    for key in 0..4u32 {
        assert_eq!(limiter.key(&u64::from(key)).balance(), f64::from(4 - key));
    }
    assert_eq!(limiter.key(&9).balance(), 5.0, "a key that was never used held a burst of 50");
    clock.advance(Duration::from_secs(1));
    limiter.set_quota(QuotaChange::reset(Quota::per_second(30))).unwrap();
    for key in 0..5u64 {
        assert_eq!(limiter.key(&key).balance(), 30.0);
    }
}

#[test]
fn many_changes_never_give_a_key_more_than_its_burst() {
    let (limiter, clock) = keyed(Quota::per_second(100));
    limiter.try_acquire_n(&1, 100).unwrap();
    for round in 0..200u32 {
        let quota = Quota::per_second(1 + round * 37 % 100);
        let change = [QuotaChange::keep, QuotaChange::proportional][(round % 2) as usize](quota);
        limiter.set_quota(change).unwrap();
        clock.advance(Duration::from_millis(1));
        let balance = limiter.key(&1).balance();
        assert!(balance <= f64::from(1 + round * 37 % 100), "{balance} in round {round}");
    }
}

#[test]
fn waiters_are_timed_anew() {
    let (limiter, clock) = limiter(Quota::per_second(10));
    limiter.try_acquire_n(10).unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| limiter.acquire_n(5).wait());
        while limiter.waiters() < 1 {
            std::thread::yield_now();
        }
        let late = scope.spawn(|| limiter.acquire_n(1).until(SECOND).wait());
        while limiter.waiters() < 2 {
            std::thread::yield_now();
        }
        let large = scope.spawn(|| limiter.acquire_n(9).wait());
        while limiter.waiters() < 3 {
            std::thread::yield_now();
        }
        // 5 tokens take 2.5 s from now, and the sixth 3 s.
        limiter.set_quota(Quota::per_second(2).burst(8)).unwrap();
        assert!(matches!(late.join().unwrap(), Err(AcquireError::TooLate(_))));
        assert!(matches!(large.join().unwrap(), Err(AcquireError::ExceedsBurst(error)) if error.burst() == 8.into()));
        assert_eq!(limiter.waiters(), 1);
        clock.advance(Duration::from_secs(1)); // two tokens
        limiter.set_quota(Quota::per_second(10)).unwrap();
        assert_eq!(limiter.waiters(), 1);
        clock.advance(Duration::from_millis(299));
        assert_eq!(limiter.waiters(), 1);
        clock.advance(Duration::from_millis(1));
        assert_eq!(waiter.join().unwrap().unwrap().granted_at(), 1_300_000_000);
    });
    assert_eq!(limiter.balance(), 0.0);
}

#[test]
fn waiters_of_keys_are_timed_anew_and_paused() {
    let (limiter, clock) = keyed(Quota::per_second(10));
    for key in 0..2 {
        limiter.try_acquire_n(&key, 10).unwrap();
    }
    std::thread::scope(|scope| {
        let waiters = [0, 1].map(|key| {
            scope.spawn({
                let limiter = &limiter;
                move || limiter.acquire(&key).wait()
            })
        });
        let late = scope.spawn(|| limiter.acquire(&0).within(Duration::from_secs(1)).wait());
        while limiter.key(&0).waiters() < 2 || limiter.key(&1).waiters() < 1 {
            std::thread::yield_now();
        }
        limiter.pause_for(Duration::from_secs(2));
        assert!(
            matches!(late.join().unwrap(), Err(AcquireError::TooLate(late)) if late.retry_after() == Some(Duration::from_secs(2)))
        );
        clock.advance(Duration::from_nanos(2 * SECOND - 1));
        assert_eq!(limiter.key(&0).waiters(), 1);
        clock.advance(Duration::from_nanos(1));
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap().unwrap().granted_at(), 2 * SECOND);
        }
    });
    assert_eq!(limiter.key(&0).balance(), 9.0);
}

#[test]
fn a_change_while_callers_wait_for_the_first_time() {
    // The word is with the queue when the quota changes for the first time, and comes back after.
    let (limiter, clock) = limiter(Quota::per_second(10));
    limiter.try_acquire_n(10).unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| limiter.acquire().wait());
        while limiter.waiters() < 1 {
            std::thread::yield_now();
        }
        limiter.set_quota(Quota::per_second(5)).unwrap();
        clock.advance(Duration::from_millis(200));
        waiter.join().unwrap().unwrap();
    });
    assert_eq!(limiter.balance(), 0.0);
    clock.advance(Duration::from_millis(200));
    assert!(limiter.allow() && !limiter.allow());
    assert_eq!(limiter.clock().now(), 400_000_000);
}

/// A call that reads a time from before the change takes from a full bucket, which must not refill from then on
/// as if the time before had been one of the highest rate.
#[test]
fn a_reading_from_before_the_change_grants_nothing_twice() {
    let clock = MockClock::new();
    let builder = RateLimiter::builder().quota(Quota::per_second(1).burst(10)).up_to(Quota::per_second(100));
    let limiter = builder.clock(clock.clone()).build().unwrap();
    clock.advance(Duration::from_secs(10));
    limiter.set_quota(Quota::per_second(2).burst(10)).unwrap();
    assert!(limiter.at(9 * SECOND).try_acquire_n(10).is_ok());
    assert!(limiter.at(10 * SECOND).balance() <= 0.0);
    assert_eq!(limiter.at(11 * SECOND).balance(), 2.0);
}

//! A bucket that does not start full starts at its first call, and that call finds exactly the
//! quota's initial tokens, at its own reading of the clock.

use std::time::Duration;

use brimful::{Decision, KeyedRateLimiter, MockClock, Quota, RateLimiter, Tokens, TryAcquireError};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use crate::keyed_support::{Keyed, Places, keyed};
use crate::support::{Counted, LAST, PICO, SECOND, any_quota, any_size, from_pico, pico};
use crate::waiting::poll;

/// A bucket that no call has started.
trait Fresh {
    fn try_acquire_n(&self, now: u64, cost: Tokens) -> Result<(), TryAcquireError>;
    fn leaving(&self, now: u64, cost: Tokens, leaving: Tokens) -> Result<(), TryAcquireError>;
    fn decide(&self, now: u64, cost: Tokens) -> Decision;
    fn reserve(&self, now: u64, cost: Tokens) -> Result<(), TryAcquireError>;
}

impl Fresh for RateLimiter {
    fn try_acquire_n(&self, now: u64, cost: Tokens) -> Result<(), TryAcquireError> {
        self.at(now).try_acquire_n(cost)
    }

    fn leaving(&self, now: u64, cost: Tokens, leaving: Tokens) -> Result<(), TryAcquireError> {
        self.at(now).leaving(leaving).try_acquire_n(cost)
    }

    fn decide(&self, now: u64, cost: Tokens) -> Decision {
        self.at(now).decide(cost)
    }

    fn reserve(&self, now: u64, cost: Tokens) -> Result<(), TryAcquireError> {
        self.at(now).try_reserve_n(cost).map(std::mem::forget)
    }
}

impl Fresh for Keyed {
    fn try_acquire_n(&self, now: u64, cost: Tokens) -> Result<(), TryAcquireError> {
        self.key(&7).at(now).try_acquire_n(cost)
    }

    fn leaving(&self, now: u64, cost: Tokens, leaving: Tokens) -> Result<(), TryAcquireError> {
        self.key(&7).at(now).leaving(leaving).try_acquire_n(cost)
    }

    fn decide(&self, now: u64, cost: Tokens) -> Decision {
        self.key(&7).at(now).decide(cost)
    }

    fn reserve(&self, now: u64, cost: Tokens) -> Result<(), TryAcquireError> {
        self.key(&7).at(now).try_reserve_n(cost).map(std::mem::forget)
    }
}

fn lone(quota: Quota) -> RateLimiter {
    RateLimiter::new(quota)
}

fn of_key(quota: Quota) -> Keyed {
    keyed(quota, 4).hasher(Places::Anywhere).build().unwrap()
}

/// Any quota with any amount of initial tokens, whole or not. Returns that amount, too.
fn starting_with(genes: [u64; 6], initial: u64) -> (Quota, Tokens) {
    let quota = any_quota(genes);
    let burst = pico(quota.capacity());
    let amount = match initial % 4 {
        0 => 0,
        1 => u128::from(any_size(initial / 4, 30)) * PICO % (burst + PICO),
        2 => burst,
        _ => u128::from(initial) * u128::from(initial) % (burst + 1),
    };
    let [kind, rate, terms, burst, _, debt] = genes;
    let full = any_quota([kind, rate, terms, burst, 0, debt]);
    match format!("{full} initial {}", from_pico(amount)).parse() {
        Ok(quota) => (quota, from_pico(amount)),
        Err(_) => (quota, quota.initial_tokens()),
    }
}

/// A cost that is about as large as the initial tokens, or of any size.
fn cost_near(counted: &Counted, initial: u128, gene: u64) -> Tokens {
    let cost = match gene % 4 {
        0 => return Tokens::ONE,
        1 => counted.tokens_down(initial),
        2 => counted.tokens_down(initial + 1),
        _ => counted.tokens_down(u128::from(gene) * u128::from(gene) % (counted.capacity + 2)),
    };
    if cost.is_zero() { Tokens::ONE } else { cost }
}

fn at_any_time(gene: u64) -> u64 {
    any_size(gene / 2, 58) - gene % 2
}

/// The first call on a new bucket, by every method and for every cost, finds `initial` tokens.
fn first_call<F: Fresh>(
    fresh: impl Fn() -> F,
    counted: &Counted,
    initial: u128,
    now: u64,
    cost: Tokens,
) -> TestCaseResult {
    let needed = counted.up(cost);
    let is_there = needed <= initial;
    prop_assert_eq!(fresh().try_acquire_n(now, cost).is_ok(), is_there, "{} of {} units at {}", needed, initial, now);
    prop_assert_eq!(fresh().reserve(now, cost).is_ok(), is_there);
    let decided = fresh();
    let decision = decided.decide(now, cost);
    prop_assert_eq!(decision.allowed(), is_there);
    let look = decided.decide(now, Tokens::ZERO);
    prop_assert_eq!(decision.remaining(), look.remaining(), "{:?}", decision);
    prop_assert_eq!(decision.reset_after(), look.reset_after(), "{:?}", decision);
    prop_assert!(decided.decide(now, look.remaining().into()).allowed());
    // The tokens to leave must be there as well.
    let leaving = counted.tokens_down(initial.saturating_sub(needed));
    if is_there {
        prop_assert!(fresh().leaving(now, cost, leaving).is_ok(), "leaving {}", leaving);
    }
    let more = leaving.saturating_add(counted.tokens_up(1));
    prop_assert!(more == leaving || fresh().leaving(now, cost, more).is_err(), "leaving {}", more);
    Ok(())
}

/// A denied first call starts the bucket, and its wait is exact.
fn denied_first_call<F: Fresh>(fresh: impl Fn() -> F, now: u64, cost: Tokens) -> TestCaseResult {
    let Err(TryAcquireError::RateLimited(limited)) = fresh().try_acquire_n(now, cost) else { return Ok(()) };
    prop_assert_eq!(fresh().decide(now, cost).retry_after(), limited.retry_after());
    let started = fresh();
    prop_assert!(started.try_acquire_n(now, cost).is_err());
    let Some(wait) = limited.retry_after() else {
        prop_assert!(started.try_acquire_n(LAST, cost).is_err(), "admitted, although the wait is endless");
        return Ok(());
    };
    let then = now + wait.as_nanos() as u64;
    prop_assert!(then > now && then <= LAST);
    prop_assert!(started.try_acquire_n(then - 1, cost).is_err(), "a nanosecond before {:?}", wait);
    prop_assert!(started.try_acquire_n(then, cost).is_ok(), "after {:?}", wait);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_first_call_finds_exactly_the_initial_tokens(
        genes in any::<[u64; 6]>(),
        initial in any::<u64>(),
        time in any::<u64>(),
        price in any::<u64>(),
    ) {
        let ((quota, initial), now) = (starting_with(genes, initial), at_any_time(time));
        let counted = Counted::new(quota);
        let initial = counted.down(initial).min(counted.capacity);
        let cost = cost_near(&counted, initial, price);
        let context = |error| match error {
            TestCaseError::Fail(reason) => TestCaseError::fail(format!("{quota}, {cost} at {now}: {reason}")),
            reject => reject,
        };
        first_call(|| lone(quota), &counted, initial, now, cost).map_err(context)?;
        first_call(|| of_key(quota), &counted, initial, now, cost).map_err(context)?;
        denied_first_call(|| lone(quota), now, cost).map_err(context)?;
        denied_first_call(|| of_key(quota), now, cost).map_err(context)?;
    }
}

/// Rates for which hardly any reading is a whole number of units.
fn odd() -> [Quota; 5] {
    let fraction = "7/3ms burst 9 initial 2.5".parse().unwrap();
    [
        Quota::per_second(3).burst(3).initial(1),
        Quota::per_second(100).burst(200).initial(1),
        Quota::per_minute(7).burst(70).initial(3),
        Quota::per_second(600_000_007).burst(1_000).initial(999),
        fraction,
    ]
}

const TIMES: [u64; 7] = [0, 1, 2, 1_000_003, 123_456_789, SECOND + 1, LAST / 2];

/// A wait for the initial tokens is over at once, on a new key too.
#[test]
fn a_first_wait_for_the_initial_tokens_is_over_at_once() {
    for (quota, now) in odd().into_iter().flat_map(|quota| TIMES.map(|now| (quota, now))) {
        let clock = MockClock::new();
        clock.set(now);
        let initial = quota.initial_tokens();
        let keys = || KeyedRateLimiter::<u64>::builder().quota(quota).max_keys(8).clock(clock.clone()).build().unwrap();
        let granted = poll(&mut keys().acquire_n(&7, initial)).expect("a grant at the first poll").unwrap();
        assert_eq!((granted.granted_at(), granted.waited()), (now, Duration::ZERO), "{quota}");
        let (left, rest) = (Tokens::ONE, initial.saturating_sub(Tokens::ONE));
        let limiter = keys();
        assert!(poll(&mut limiter.acquire_n(&7, rest).leaving(left)).is_some(), "{quota} at {now}");
        assert!(keys().key(&7).leaving(left).try_acquire_n(rest).is_ok(), "{quota} at {now}");
        assert!(keys().key(&7).try_reserve_n(initial).is_ok() && keys().decide(&7, initial).allowed());
        // A wait for more starts the bucket, and ends at the reported time.
        let (limiter, cost) = (keys(), from_pico(pico(initial) + PICO));
        let reported = limiter.key(&7).time_until(cost).unwrap();
        let mut wait = limiter.acquire_n(&7, cost);
        assert!(poll(&mut wait).is_none());
        clock.advance(reported - Duration::from_nanos(1));
        assert!(poll(&mut wait).is_none(), "{quota} at {now}, before {reported:?}");
        clock.advance(Duration::from_nanos(1));
        assert!(poll(&mut wait).is_some(), "{quota} at {now}, after {reported:?}");
    }
}

/// The same on the process's clock, whose readings are arbitrary.
#[test]
fn the_first_call_by_the_clock_finds_the_initial_tokens() {
    for quota in odd() {
        let initial = quota.initial_tokens();
        let keys = KeyedRateLimiter::<u64>::builder().quota(quota).max_keys(4_096).build().unwrap();
        for key in 0..1_000 {
            assert!(lone(quota).try_acquire_n(initial).is_ok(), "{quota}");
            assert!(keys.try_acquire_n(&key, initial).is_ok(), "{quota}, key {key}");
        }
        assert!(lone(quota).decide(initial).allowed() && lone(quota).try_reserve_n(initial).is_ok());
        assert!(lone(quota).acquire_n(initial).within(Duration::ZERO).wait().is_ok(), "{quota}");
        let mut answers = Vec::new();
        let calls: Vec<_> = (2_000..3_000).map(|key| (key, initial)).collect();
        keys.try_acquire_many_n(&calls, &mut answers);
        assert!(answers.iter().all(Result::is_ok), "{quota}");
    }
}

/// A peek that starts the bucket anchors it, which may cost a part of a unit. A call at the same
/// reading finds the tokens that the peek showed, and is admitted at the time that the peek
/// reported.
#[test]
fn a_call_after_a_look_finds_what_the_look_showed() {
    for (quota, now) in odd().into_iter().flat_map(|quota| TIMES.map(|now| (quota, now))) {
        let initial = quota.initial_tokens();
        let (limiter, keys) = (lone(quota), of_key(quota));
        let (shown, shown_of_key) = (limiter.at(now).available_tokens(), keys.key(&7).at(now).available_tokens());
        let (wait, wait_of_key) = (limiter.at(now).time_until(initial), keys.key(&7).at(now).time_until(initial));
        assert_eq!((shown, wait), (shown_of_key, wait_of_key), "{quota} at {now}");
        let missing = initial.as_f64() - shown;
        assert!((0.0..=quota.resolution().as_f64()).contains(&missing), "{quota} at {now}: {missing} missing");
        let wait = wait.unwrap();
        assert_eq!(wait.is_zero(), missing == 0.0, "{quota} at {now}");
        if !wait.is_zero() {
            assert!(
                limiter.at(now).try_acquire_n(initial).is_err() && keys.key(&7).at(now).try_acquire_n(initial).is_err()
            );
        }
        let then = now + wait.as_nanos() as u64;
        assert!(limiter.at(then).try_acquire_n(initial).is_ok(), "{quota} at {now}");
        assert!(keys.key(&7).at(then).try_acquire_n(initial).is_ok(), "{quota} at {now}");
    }
}

/// The time that a first peek reports for a bucket with too few tokens is exact.
fn peek_is_exact<F: Fresh>(fresh: F, look: impl Fn(&F) -> Option<Duration>, now: u64, cost: Tokens) -> TestCaseResult {
    let Some(wait) = look(&fresh) else {
        prop_assert!(fresh.try_acquire_n(LAST, cost).is_err(), "admitted, although the wait is endless");
        return Ok(());
    };
    let then = now + wait.as_nanos() as u64;
    prop_assert!(then <= LAST);
    if !wait.is_zero() {
        prop_assert!(fresh.try_acquire_n(then - 1, cost).is_err(), "there before {:?}", wait);
    }
    prop_assert!(fresh.try_acquire_n(then, cost).is_ok(), "not there after {:?}", wait);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_look_at_a_new_bucket_foretells_comes(
        genes in any::<[u64; 6]>(),
        initial in any::<u64>(),
        time in any::<u64>(),
        price in any::<u64>(),
    ) {
        let ((quota, initial), now) = (starting_with(genes, initial), at_any_time(time));
        let counted = Counted::new(quota);
        let cost = cost_near(&counted, counted.down(initial).min(counted.capacity), price);
        peek_is_exact(lone(quota), |lone| lone.at(now).time_until(cost), now, cost)?;
        peek_is_exact(of_key(quota), |keys| keys.key(&7).at(now).time_until(cost), now, cost)?;
        let burst = counted.tokens_down(counted.capacity);
        peek_is_exact(lone(quota), |lone| lone.at(now).decide(0).reset_after(), now, burst)?;
        peek_is_exact(of_key(quota), |keys| keys.key(&7).at(now).decide(0).reset_after(), now, burst)?;
        // Several peeks of each kind. Only the first one starts the bucket.
        let keys = of_key(quota);
        let _ = (keys.key(&7).at(now).decide(0), keys.key(&7).at(now).available_tokens(), keys.key(&7).at(now).balance());
        let later = now + time % 1_000;
        peek_is_exact(keys, |keys| keys.key(&7).at(later).time_until(cost), later, cost)?;
    }
}

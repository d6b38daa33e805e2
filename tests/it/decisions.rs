//! A decision shows the same as a peek at the same reading, and the tokens that it shows can be
//! taken in one call.

use std::time::Duration;

use brimful::{Decision, KeyedRateLimiter, MockClock, Quota, RateLimiter, Tokens};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use crate::exact_waits::{pasts, with_a_past};
use crate::support::{LAST, SECOND, any_size, from_pico, limiter, pico, tokens};

/// The calls and the peeks on one bucket, at given times.
struct Calls<'a> {
    decide: &'a dyn Fn(u64, Tokens) -> Decision,
    peek: &'a dyn Fn(u64) -> Decision,
}

impl Calls<'_> {
    /// A decision on `cost` at `now` agrees with a peek at `now`, to the token.
    fn agree(&self, now: u64, cost: Tokens) -> TestCaseResult {
        let before = (self.peek)(now);
        let decision = (self.decide)(now, cost);
        let look = (self.peek)(now);
        prop_assert!(look.allowed());
        prop_assert_eq!(decision.remaining(), look.remaining(), "{:?} at {}", decision, now);
        prop_assert_eq!(decision.reset_after(), look.reset_after(), "{:?} at {}", decision, now);
        prop_assert_eq!(decision.limit(), look.limit());
        if !decision.allowed() {
            prop_assert_eq!(decision.remaining(), before.remaining(), "{:?} at {}", decision, now);
            prop_assert_eq!(decision.reset_after(), before.reset_after(), "{:?} at {}", decision, now);
        }
        let remaining = decision.remaining();
        if let Some(more) = remaining.checked_add(1) {
            let refused = (self.decide)(now, more.into());
            prop_assert!(!refused.allowed(), "{:?} at {}, and {} are admitted", decision, now, more);
            prop_assert_eq!(refused.remaining(), remaining);
        }
        let rest = (self.decide)(now, remaining.into());
        prop_assert!(rest.allowed(), "{:?} at {}, and {} are refused", decision, now, remaining);
        prop_assert_eq!(rest.remaining(), 0);
        prop_assert_eq!((self.peek)(now).remaining(), 0);
        prop_assert_eq!(rest.reset_after(), (self.peek)(now).reset_after());
        Ok(())
    }
}

/// The time of a next call: soon after `now`, long after it, or before it.
fn later(now: u64, gene: u64) -> u64 {
    let step = any_size(gene / 4, 59);
    match gene % 4 {
        0 => now.saturating_sub(step),
        1 => now + step % 100,
        _ => now.saturating_add(step).min(LAST),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn show_what_a_look_shows((quota, calls) in pasts(), size in any::<u64>(), time in any::<u64>()) {
        let (limiter, now) = with_a_past(quota, &calls);
        let cost = from_pico(u128::from(any_size(size, 63)) % (pico(quota.capacity()) + 2));
        let calls = Calls { decide: &|now, n| limiter.at(now).decide(n), peek: &|now| limiter.at(now).decide(0) };
        calls.agree(later(now, time), cost)?;
    }

    #[test]
    fn show_what_a_look_at_the_key_shows(
        (quota, calls) in pasts(),
        size in any::<u64>(),
        time in any::<u64>(),
    ) {
        let limiter = keyed(quota);
        // The first call starts the bucket, admitted or not.
        let _ = limiter.key("a").at(0).try_acquire();
        let mut now = 0u64;
        for (step, cost) in calls {
            now = later(now, step | 2);
            let _ = limiter.key("a").at(now).try_acquire_n(from_pico(u128::from(cost) % pico(quota.capacity()) + 1));
        }
        let cost = from_pico(u128::from(any_size(size, 63)) % (pico(quota.capacity()) + 2));
        OfKey(&limiter).agree_at(later(now, time), cost)?;
    }
}

fn keyed(quota: Quota) -> KeyedRateLimiter<str, MockClock> {
    KeyedRateLimiter::builder().quota(quota).max_keys(8).clock(MockClock::new()).build().unwrap()
}

/// The bucket of the key "a".
struct OfKey<'a>(&'a KeyedRateLimiter<str, MockClock>);

impl OfKey<'_> {
    fn agree_at(&self, now: u64, cost: Tokens) -> TestCaseResult {
        let calls =
            Calls { decide: &|now, n| self.0.key("a").at(now).decide(n), peek: &|now| self.0.key("a").at(now).peek() };
        calls.agree(now, cost)
    }
}

/// At most instants, the level of a full bucket of these rates is between two units.
#[test]
fn a_full_bucket_shows_what_is_left_of_it() {
    let quotas = [
        Quota::per_second(3),
        Quota::per_minute(7),
        Quota::per_second(7).burst(10),
        Quota::per_second(1000).burst(2000),
        Quota::per_second(600_000_007).burst(1_000),
        Quota::per_second(333_333_333).burst(2),
        "5/7ms burst 1.5".parse().unwrap(),
    ];
    for quota in quotas {
        for now in [0, 1, 2, 3, 1_000, 123_456_789, SECOND, 3_600 * SECOND + 1, LAST - 1, LAST] {
            for cost in [tokens("0.000001"), Tokens::ONE, tokens("1.5"), Tokens::new(2), quota.capacity()] {
                let lone = limiter(quota);
                let calls = Calls { decide: &|now, n| lone.at(now).decide(n), peek: &|now| lone.at(now).decide(0) };
                calls.agree(now, cost).unwrap_or_else(|error| panic!("{quota}: {error}"));
                let keyed = keyed(quota);
                OfKey(&keyed).agree_at(now, cost).unwrap_or_else(|error| panic!("{quota}, a key: {error}"));
            }
        }
    }
    let three = limiter(Quota::per_second(3));
    let decision = three.at(1).decide(1);
    assert_eq!((decision.allowed(), decision.remaining()), (true, 1), "the third is short of a unit");
    assert!(!three.at(1).decide(2).allowed());
}

/// Calls that read the clock give the same answers as calls that are given the reading.
#[test]
fn the_live_forms_show_the_same() {
    let clock = MockClock::new();
    clock.advance(std::time::Duration::from_nanos(1));
    let quota = Quota::per_second(3);
    let lone = brimful::RateLimiter::with_clock(quota, clock.clone());
    let decision = lone.decide(1);
    assert_eq!(
        (decision.remaining(), decision.reset_after()),
        (lone.decide(0).remaining(), lone.decide(0).reset_after())
    );
    assert!(!lone.allow() || lone.decide(0).remaining() == 0);
    let keys = KeyedRateLimiter::<str, _>::with_clock(quota, clock);
    let decision = keys.decide("a", 1);
    assert_eq!(
        (decision.remaining(), decision.reset_after()),
        (keys.key("a").peek().remaining(), keys.key("a").peek().reset_after())
    );
}

/// The largest cost, from a bucket in debt, by a quota that changed.
#[test]
fn a_decision_on_a_cost_without_end_does_not_overflow() {
    let limiter = RateLimiter::with_clock(Quota::per_minute(1), MockClock::new());
    limiter.try_reserve_n(1).unwrap().commit(2);
    limiter.pause_for(Duration::ZERO);
    let decision = limiter.decide(u32::MAX);
    assert!(decision.exceeds_burst() && decision.retry_after().is_none(), "{decision:?}");
}

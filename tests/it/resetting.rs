//! A bucket that was reset is full at every reading: the whole burst is there at the reading of the
//! reset, before it, and after it, wherever the bucket is kept.

use brimful::{MockClock, OnFull, Quota, RateLimiter, Tokens};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use crate::keyed_support::{Keyed, Places, keyed};
use crate::support::{LAST, SECOND, any_quota, any_size, from_pico, limiter, pico};
use crate::waiting::poll;

/// The calls on one bucket, at given times.
struct Bucket<'a> {
    take: &'a dyn Fn(u64, Tokens) -> bool,
    reset: &'a dyn Fn(u64),
}

/// Resets at `now`, and then takes the whole burst at `then`.
fn reset_and_empty(bucket: &Bucket<'_>, quota: Quota, now: u64, then: u64) -> TestCaseResult {
    (bucket.reset)(now);
    prop_assert!((bucket.take)(then, quota.capacity()), "{}: reset at {}, and not full at {}", quota, now, then);
    prop_assert!(!(bucket.take)(then, quota.capacity()), "{}: twice the burst at {}", quota, then);
    Ok(())
}

/// The reading of the reset, one before it, and one after it.
fn readings(now: u64, gene: u64) -> [u64; 3] {
    let step = any_size(gene, 58);
    [now, now.saturating_sub(step), (now + step).min(LAST)]
}

const KEY: u64 = 3;

fn of_key(limiter: &Keyed, key: u64, quota: Quota, now: u64, then: u64) -> TestCaseResult {
    let take = |now, n| limiter.key(&key).at(now).try_acquire_n(n).is_ok();
    reset_and_empty(&Bucket { take: &take, reset: &|now| limiter.key(&key).at(now).reset() }, quota, now, then)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_whole_burst_is_there_after_a_reset(
        genes in any::<[u64; 6]>(),
        time in any::<u64>(),
        step in any::<u64>(),
        price in any::<u64>(),
        before in any::<u64>(),
    ) {
        let (quota, now) = (any_quota(genes), any_size(time, 58));
        let used = from_pico(u128::from(price) % pico(quota.capacity()) + 1);
        let earlier = now.saturating_sub(any_size(before, 58));
        for then in readings(now, step) {
            let lone = limiter(quota);
            let take = |now, n| lone.at(now).try_acquire_n(n).is_ok();
            let bucket = Bucket { take: &take, reset: &|now| lone.at(now).reset() };
            reset_and_empty(&bucket, quota, now, then)?;
            // The bucket was used before, at an earlier or a later reading.
            for used_at in [earlier, now, LAST] {
                let lone = limiter(quota);
                let _ = lone.at(used_at).try_acquire_n(used);
                let take = |now, n| lone.at(now).try_acquire_n(n).is_ok();
                let bucket = Bucket { take: &take, reset: &|now| lone.at(now).reset() };
                reset_and_empty(&bucket, quota, now, then)?;
            }
            // A limiter that no call has started.
            let lone = RateLimiter::new(quota);
            let take = |now, n| lone.at(now).try_acquire_n(n).is_ok();
            let bucket = Bucket { take: &take, reset: &|now| lone.at(now).reset() };
            reset_and_empty(&bucket, quota, now, then)?;
        }
    }

    #[test]
    fn the_whole_burst_is_there_after_a_reset_of_a_key(
        genes in any::<[u64; 6]>(),
        time in any::<u64>(),
        step in any::<u64>(),
        price in any::<u64>(),
        others in 0..24u64,
    ) {
        let (quota, now) = (any_quota(genes), any_size(time, 58));
        let used = from_pico(u128::from(price) % pico(quota.capacity()) + 1);
        for then in readings(now, step) {
            // Sixteen other keys fill all of its slots, so the key is in the overflow.
            let limiter = keyed(quota, 40).hasher(Places::Same).build().unwrap();
            for other in 100..100 + others {
                let _ = limiter.key(&other).at(now).try_acquire_n(quota.capacity());
            }
            of_key(&limiter, KEY, quota, now, then)?;
            let _ = limiter.key(&(KEY + 1)).at(now).try_acquire_n(used);
            of_key(&limiter, KEY + 1, quota, now, then)?;
            let _ = limiter.key(&(KEY + 2)).at(LAST).try_acquire_n(used);
            of_key(&limiter, KEY + 2, quota, now, then)?;
        }
    }
}

const QUOTAS: [Quota; 4] = [
    Quota::per_second(3).burst(3),
    Quota::per_second(3).burst(3).initial(1),
    Quota::per_second(1_000).burst(2_000),
    Quota::per_minute(7).burst(70).initial(0),
];

const TIMES: [u64; 6] = [0, 1, 1_000_003, 123_456_789, SECOND + 1, LAST / 2];

/// In a table full of exhausted keys, the key that is reset is full, and the others stay exhausted.
/// A new key is reset if the policy finds a place for it.
#[test]
fn a_key_of_a_full_table_is_reset_as_any_other() {
    for (quota, now) in QUOTAS.into_iter().flat_map(|quota| TIMES.map(|now| (quota, now))) {
        for on_full in [OnFull::EvictLeastDebt, OnFull::Deny] {
            let limiter: Keyed = keyed(quota, 20).hasher(Places::Same).on_full(on_full).build().unwrap();
            for key in 0..20 {
                limiter.key(&key).at(now).reset();
                assert!(
                    limiter.key(&key).at(now).try_acquire_n(quota.capacity()).is_ok(),
                    "{quota} at {now}, key {key}"
                );
                // A bucket that is full before the next key arrives would make room for that key.
                assert!(!limiter.key(&key).at(now).allow());
            }
            let context = |error| panic!("{on_full:?}: {error}");
            // The first keys are in slots, the last ones in the overflow.
            for key in [0, 7, 16, 19] {
                of_key(&limiter, key, quota, now, now).unwrap_or_else(context);
                of_key(&limiter, key, quota, now, now.saturating_sub(SECOND)).unwrap_or_else(context);
                limiter.key(&key).at(now).reset();
                assert!(limiter.key(&key).at(now).try_acquire_n(quota.capacity()).is_ok());
            }
            assert!((0..20).all(|key| !limiter.key(&key).at(now).allow()), "{quota} at {now}, {on_full:?}");
            assert_eq!(limiter.len(), 20);
            // There is no place, so a reset changes nothing.
            limiter.key(&20).at(now).reset();
            assert!(!limiter.key(&20).at(now).allow() && limiter.len() == 20 && limiter.evictions() == 0);
        }
    }
}

/// New keys start with the debt of the evicted ones. A reset forgives it.
#[test]
fn a_new_key_that_is_reset_owes_nothing_of_what_was_evicted() {
    let quota = Quota::per_second(3).burst(3);
    for now in TIMES {
        let limiter: Keyed = keyed(quota, 16).hasher(Places::Same).build().unwrap();
        assert!((0..16).all(|key| limiter.key(&key).at(now).try_acquire_n(1).is_ok()));
        assert!(limiter.key(&16).at(now).allow() && limiter.evictions() == 1);
        assert!(limiter.key(&17).at(now).balance() < 3.0);
        of_key(&limiter, 17, quota, now, now).unwrap();
        assert_eq!(limiter.evictions(), 2);
    }
}

/// Waiters are served from the full bucket, and the rest of it is there as well.
#[test]
fn a_bucket_that_is_waited_on_is_full_after_a_reset() {
    for quota in QUOTAS {
        // At whole numbers of units, a grant takes no more than its cost.
        for now in [0, SECOND, 3_600 * SECOND] {
            let clock = MockClock::new();
            clock.set(now);
            let keys = brimful::KeyedRateLimiter::<u64>::builder().quota(quota).max_keys(8).clock(clock.clone());
            let keys = keys.build().unwrap();
            let lone = RateLimiter::with_clock(quota, clock.clone());
            keys.key(&7).reset();
            lone.reset();
            let rest = from_pico(pico(quota.capacity()) - pico(Tokens::ONE));
            assert!(keys.try_acquire_n(&7, quota.capacity()).is_ok() && lone.try_acquire_n(quota.capacity()).is_ok());
            let (mut key, mut alone) = (keys.acquire(&7), lone.acquire());
            assert!(poll(&mut key).is_none() && poll(&mut alone).is_none());
            keys.key(&7).reset();
            lone.reset();
            let granted = [poll(&mut key), poll(&mut alone)].map(|granted| granted.unwrap().unwrap().granted_at());
            assert_eq!(granted, [now, now], "{quota}");
            assert!(keys.try_acquire_n(&7, rest).is_ok() && !keys.allow(&7), "{quota} at {now}");
            assert!(lone.try_acquire_n(rest).is_ok() && !lone.allow(), "{quota} at {now}");
        }
    }
}

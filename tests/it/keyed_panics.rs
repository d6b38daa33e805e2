//! A panic in user code (the clock, the hasher, the hook) leaves a table usable and exact.

use std::hash::BuildHasher;
use std::panic::{RefUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brimful::{FullEvent, KeyedRateLimiter, KeyedRateLimiterBuilder, MockClock, OnFull, Quota};

use crate::keyed_support::{Keyed, Places, keyed};
use crate::support::{Random, SECOND};
use crate::waiting::poll;
use crate::waiting_panics::PanickingClock;

#[test]
fn a_keyed_limiter_may_be_looked_at_after_a_panic() {
    fn unwinds<T: UnwindSafe + RefUnwindSafe>() {}
    unwinds::<KeyedRateLimiter<String>>();
    unwinds::<KeyedRateLimiter<str, MockClock>>();
    unwinds::<KeyedRateLimiter<*const u8>>();
    unwinds::<Keyed>();
    unwinds::<Arc<KeyedRateLimiter<u64>>>();
    fn unwinds_once<T: UnwindSafe>() {}
    unwinds_once::<&KeyedRateLimiter<u64>>();
    let limiter = KeyedRateLimiter::<u64>::new(Quota::per_second(1));
    assert!(catch_unwind(|| limiter.allow(&1)).unwrap());
}

/// The visible state of a table, without its clock.
fn seen<C: brimful::Clock, S: BuildHasher>(limiter: &KeyedRateLimiter<u64, C, S>, now: u64) -> Vec<f64> {
    let counts = [limiter.len(), limiter.evictions() as usize, limiter.refusals() as usize, limiter.memory_usage()];
    counts.map(|count| count as f64).into_iter().chain((0..40).map(|key| limiter.key(&key).at(now).balance())).collect()
}

/// A call whose clock panics changes nothing, whatever the call is and wherever its key is.
#[test]
fn a_clock_that_panics_changes_nothing() {
    let quota = Quota::per_second(10).burst(5);
    for (on_full, keys) in [(OnFull::Deny, 18), (OnFull::EvictLeastDebt, 18), (OnFull::Deny, 30)] {
        let clock = PanickingClock::default();
        clock.clock.set(SECOND);
        let limiter = keyed(quota, keys).clock(clock.clone()).hasher(Places::Same).on_full(on_full).build().unwrap();
        for key in 0..18 {
            assert!(limiter.try_acquire_n(&key, if key % 3 == 0 { 2 } else { 5 }).is_ok());
        }
        type Call<'a> = &'a dyn Fn(u64);
        let calls: [(&str, Call<'_>); 9] = [
            ("try_acquire", &|key| assert!(limiter.try_acquire(&key).is_ok())),
            ("decide", &|key| assert!(limiter.decide(&key, 2).allowed())),
            ("reserve", &|key| assert!(limiter.key(&key).try_reserve_n(1).is_ok())),
            ("peek", &|key| assert!(limiter.decide(&key, 0).allowed())),
            ("time_until", &|key| assert!(limiter.key(&key).time_until(1).is_some())),
            ("add_tokens", &|key| assert!(limiter.key(&key).add_tokens(1).is_zero())),
            ("reset", &|key| limiter.key(&key).reset()),
            ("acquire", &|key| assert!(poll(&mut limiter.acquire(&key)).is_some())),
            ("many", &|key| limiter.try_acquire_many(&[key, key + 1], &mut Vec::new())),
        ];
        // Keys in a slot, in the overflow, and new.
        for key in [0, 1, 16, 17, 18, 39] {
            for (name, call) in calls {
                let before = seen(&limiter, SECOND);
                clock.left.store(1, Ordering::SeqCst);
                // The limiter is unwind safe, but a borrowed closure may not be.
                let called = catch_unwind(std::panic::AssertUnwindSafe(|| call(key)));
                assert!(called.is_err(), "{name} of {key} does not read the clock");
                assert_eq!(seen(&limiter, SECOND), before, "{name} of {key}, {on_full:?}");
            }
        }
        clock.left.store(1, Ordering::SeqCst);
        let before = seen(&limiter, SECOND);
        assert!(catch_unwind(|| limiter.retain_recent()).is_err());
        assert_eq!(seen(&limiter, SECOND), before);
        // The limiter continues to work.
        limiter.clear();
        assert!((0..18).all(|key| limiter.try_acquire_n(&key, 5).is_ok() && !limiter.allow(&key)));
    }
}

/// Panics at one hash, and otherwise hashes like `Places`.
#[derive(Clone, Default)]
struct PanickingHasher(Arc<AtomicU64>);

impl BuildHasher for PanickingHasher {
    type Hasher = <Places as BuildHasher>::Hasher;

    fn build_hasher(&self) -> Self::Hasher {
        let count = |left: u64| left.checked_sub(1);
        if self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count) == Ok(1) {
            panic!("a hasher panics");
        }
        Places::Same.build_hasher()
    }
}

#[test]
fn a_hasher_that_panics_changes_nothing() {
    let hasher = PanickingHasher::default();
    let limiter = keyed(Quota::per_second(10).burst(5), 18).hasher(hasher.clone()).build().unwrap();
    assert!((0..18).all(|key| limiter.key(&key).at(0).try_acquire_n(3).is_ok()));
    let before = seen(&limiter, 0);
    for key in [0, 17, 18] {
        hasher.0.store(1, Ordering::SeqCst);
        assert!(catch_unwind(|| limiter.key(&key).at(0).allow()).is_err());
        hasher.0.store(1, Ordering::SeqCst);
        assert!(catch_unwind(|| limiter.remove(&key)).is_err());
        // A batch hashes several keys before it decides on the first.
        hasher.0.store(2, Ordering::SeqCst);
        assert!(catch_unwind(|| limiter.try_acquire_many(&[0, key], &mut Vec::new())).is_err());
        assert_eq!(seen(&limiter, 0), before);
    }
    assert!(limiter.remove(&0) && limiter.key(&0).at(0).allow());
}

/// The hook is called after the decision is made. So a table whose hook panics each time decides
/// like one whose hook does not.
#[test]
fn a_hook_that_panics_changes_nothing() {
    for on_full in [OnFull::EvictLeastDebt, OnFull::Deny] {
        let make = |hook: fn(FullEvent)| {
            let builder: KeyedRateLimiterBuilder<u64, MockClock> = keyed(Quota::per_second(10).burst(5), 18);
            builder.hasher(Places::Same).on_full(on_full).on_full_hook(hook).build().unwrap()
        };
        let (quiet, panics) = (make(|_| {}), make(|event| panic!("{event:?}: a hook panics")));
        let (mut random, mut now, mut caught) = (Random::new(15), 0, 0);
        for step in 0..3_000 {
            now += random.below(SECOND / 50);
            let (key, cost) = (random.below(40), 1 + random.below(5) as u32);
            let events = quiet.evictions() + quiet.refusals();
            let quietly = quiet.key(&key).at(now).try_acquire_n(cost);
            let is_forced = quiet.evictions() + quiet.refusals() > events;
            let loudly = catch_unwind(|| panics.key(&key).at(now).try_acquire_n(cost));
            caught += u64::from(loudly.is_err());
            assert_eq!(loudly.is_err(), is_forced, "step {step}");
            assert!(is_forced || loudly.unwrap() == quietly, "step {step}");
            assert_eq!(seen(&quiet, now), seen(&panics, now), "step {step}, {on_full:?}");
        }
        println!("{on_full:?}: {caught} panics");
        assert!(caught > 100);
    }
}

/// A wait on a new key evicts another key, and the hook panics: the wait goes on, and is served.
#[test]
fn a_hook_that_panics_as_a_wait_begins_loses_no_waiter() {
    let panics = Arc::new(AtomicU64::new(0));
    let hook = {
        let panics = panics.clone();
        move |_| assert_eq!(panics.swap(0, Ordering::SeqCst), 0, "a hook panics")
    };
    let builder = keyed(Quota::per_second(10).burst(5), 16).hasher(Places::Same).on_full_hook(hook);
    let limiter = builder.build().unwrap();
    assert!((0..16).all(|key| limiter.key(&key).try_acquire_n(4).is_ok()));
    // A key that has one token left is evicted, and new keys start with that.
    assert!(limiter.try_acquire(&100).is_ok());
    let mut wait = limiter.acquire_n(&101, 3);
    panics.store(1, Ordering::SeqCst);
    assert!(catch_unwind(std::panic::AssertUnwindSafe(|| poll(&mut wait))).is_err());
    assert_eq!((limiter.evictions(), limiter.key(&101).waiters()), (2, 1));
    let mut second = limiter.acquire(&101);
    assert!(poll(&mut wait).is_none() && poll(&mut second).is_none());
    limiter.clock().advance(Duration::from_millis(300));
    assert!(matches!(poll(&mut wait), Some(Ok(granted)) if granted.granted_at() == SECOND / 5));
    assert!(matches!(poll(&mut second), Some(Ok(granted)) if granted.granted_at() == 3 * SECOND / 10));
}

//! The keys with the most denials: their counts keep the error bound, on any sequence of calls and with any number
//! of threads.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use brimful::{AllOf, Charge, KeyedRateLimiter, MockClock, OnFull, Quota, TopDenied};
use proptest::prelude::*;

type Limiter = KeyedRateLimiter<u32, MockClock>;

/// A limiter that names `keys` keys. A call for two tokens is always denied.
fn limiter(keys: usize) -> Limiter {
    let builder = KeyedRateLimiter::builder().quota(Quota::per_hour(1)).clock(MockClock::new()).max_keys(1_000);
    builder.top_denied(keys).build().unwrap()
}

fn deny(limiter: &Limiter, key: u32) {
    assert!(limiter.try_acquire_n(&key, 2).is_err());
}

/// Holds the counts against the exact ones. `places` is the number of places.
fn check(limiter: &Limiter, top: &TopDenied, exact: &BTreeMap<u32, u64>, places: u64) {
    let all: u64 = exact.values().sum();
    let skipped = top.skipped;
    let least = top.keys.iter().map(|found| found.denied).min().unwrap_or(0);
    assert!(top.keys.is_sorted_by(|one, next| one.denied >= next.denied), "{top:?}");
    for found in &top.keys {
        assert!(found.error <= found.denied && found.error <= all / places, "{found:?} of {all}");
        assert!(exact.keys().any(|key| limiter.key_id(key) == found.key), "{found:?} is no key's");
    }
    for (key, &exact) in exact {
        match top.keys.iter().find(|found| found.key == limiter.key_id(key)) {
            Some(found) => {
                assert!(found.denied - found.error <= exact + skipped, "{found:?}, exactly {exact}");
                assert!(exact <= found.denied + skipped, "{found:?}, exactly {exact}");
            }
            // It is not among the first; or it has no place.
            None => assert!(exact <= least.max(all / places) + skipped, "{key}: {exact} is missing in {top:?}"),
        }
    }
}

proptest! {
    /// Keys of small numbers are denied more often.
    #[test]
    fn counts_keep_the_bound(
        named in 1usize..6,
        calls in prop::collection::vec((0u32..8, 0u32..8, prop::num::u8::ANY), 0..600),
        reads in prop::collection::vec(0usize..600, 0..3),
    ) {
        let limiter = limiter(named);
        let mut exact = BTreeMap::new();
        for (nth, &(one, other, rare)) in calls.iter().enumerate() {
            if reads.contains(&nth) {
                check(&limiter, &limiter.take_top_denied().unwrap(), &exact, 4 * named as u64);
                exact.clear();
            }
            let key = if rare < 200 { one.min(other) } else { rare.into() };
            deny(&limiter, key);
            *exact.entry(key).or_default() += 1;
        }
        let top = limiter.top_denied().unwrap();
        prop_assert_eq!((top.skipped, top.keys.len()), (0, exact.len().min(named)));
        check(&limiter, &top, &exact, 4 * named as u64);
        // With no more keys than places, every count is exact.
        if exact.len() <= 4 * named {
            let mut counts: Vec<u64> = exact.values().copied().collect();
            counts.sort_by_key(|&count| std::cmp::Reverse(count));
            let found: Vec<u64> = top.keys.iter().map(|found| found.denied).collect();
            prop_assert_eq!(&counts[..found.len()], &found[..]);
            prop_assert!(top.keys.iter().all(|found| found.error == 0));
        }
        prop_assert_eq!(limiter.take_top_denied().unwrap(), top);
        prop_assert_eq!(limiter.top_denied(), Some(TopDenied::default()));
    }
}

/// Threads deny the same keys and further ones, while another thread reads.
#[test]
fn counts_of_many_threads_keep_the_bound() {
    const CALLS: u32 = 20_000;
    let limiter = limiter(3);
    let exact = thread::scope(|scope| {
        let deny = |thread: u32| {
            let mut exact = BTreeMap::<u32, u64>::new();
            for call in 0..CALLS {
                // A third of the denials are of key 7, and a third of keys of which there are many.
                let key = [7, 20 + thread, 100 + call % 150][(call % 3) as usize];
                deny(&limiter, key);
                *exact.entry(key).or_default() += 1;
            }
            exact
        };
        let workers: Vec<_> = (0..4).map(|thread| scope.spawn(move || deny(thread))).collect();
        scope.spawn(|| (0..100).for_each(|_| assert!(limiter.top_denied().unwrap().keys.len() <= 3)));
        workers.into_iter().fold(BTreeMap::new(), |mut sum: BTreeMap<u32, u64>, worker| {
            worker.join().unwrap().into_iter().for_each(|(key, n)| *sum.entry(key).or_default() += n);
            sum
        })
    });
    let top = limiter.top_denied().unwrap();
    check(&limiter, &top, &exact, 12);
    assert_eq!(exact.values().sum::<u64>(), 4 * u64::from(CALLS));
    assert_eq!(top.keys[0].key, limiter.key_id(&7), "{top:?}");
    assert_eq!(limiter.stats().unwrap().denied(), 4 * u64::from(CALLS));
}

/// Each verb counts a denial once, and nothing else.
#[test]
fn every_denial_counts_once() {
    let clock = MockClock::new();
    let builder = KeyedRateLimiter::<str>::builder().quota(Quota::per_hour(1)).clock(clock.clone());
    let limiter = builder.max_keys(100).max_waiters(1).top_denied(4).build().unwrap();
    let denied = |verb: &dyn Fn()| {
        verb();
        let top = limiter.take_top_denied().unwrap();
        assert!(top.keys.iter().all(|found| found.key == limiter.key_id("a") && found.error == 0));
        top.keys.first().map_or(0, |found| found.denied)
    };
    assert_eq!(denied(&|| assert!(limiter.allow("a"))), 0);
    assert_eq!(denied(&|| assert!(limiter.try_acquire_n("a", 0).is_ok())), 0);
    assert_eq!(denied(&|| assert!(!limiter.allow("a"))), 1);
    assert_eq!(denied(&|| assert!(!limiter.decide("a", 1).allowed())), 1);
    assert_eq!(denied(&|| assert!(limiter.key("a").at(0).try_acquire_n(2).is_err())), 1);
    assert_eq!(denied(&|| assert!(limiter.try_reserve_n_owned("a", 1).is_err())), 1);
    assert_eq!(denied(&|| _ = limiter.key("a").peek()), 0);
    let short = Duration::from_secs(1);
    assert_eq!(denied(&|| assert!(limiter.acquire("a").within(short).wait().is_err())), 1);
    assert_eq!(denied(&|| assert!(limiter.acquire("a").until(0).wait().is_err())), 1);
    let all = || AllOf::new([Charge::new("a", limiter.key("a"), 1)]);
    assert_eq!(denied(&|| assert!(all().try_acquire().is_err())), 1);
    {
        let mut first = pin!(limiter.acquire("a"));
        let mut context = Context::from_waker(Waker::noop());
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert_eq!(denied(&|| assert!(limiter.acquire("a").wait().is_err())), 1, "the queue is full");
        assert_eq!(denied(&|| assert!(!limiter.allow("a"))), 1, "behind a waiter");
        clock.advance(Duration::from_secs(3600));
        assert!(first.as_mut().poll(&mut context).is_ready());
    }
    assert_eq!(denied(&|| ()), 0);
    limiter.set_quota(Quota::per_hour(1).burst(1)).unwrap();
    assert_eq!(denied(&|| assert!(!limiter.allow("a"))), 1, "after a change");
}

#[test]
fn a_refusal_of_a_full_table_counts() {
    let builder = KeyedRateLimiter::<u32>::builder().quota(Quota::per_hour(1)).clock(MockClock::new());
    let limiter = builder.max_keys(1).on_full(OnFull::Deny).top_denied(1).build().unwrap();
    assert!(limiter.allow(&1) && !limiter.allow(&2));
    let top = limiter.top_denied().unwrap();
    assert_eq!((top.keys[0].key, top.keys[0].denied), (limiter.key_id(&2), 1));
}

#[test]
fn the_calls_of_a_batch_count() {
    let limiter = limiter(2);
    let mut out = Vec::new();
    limiter.try_acquire_many(&[1, 1, 2, 1, 2], &mut out);
    let top = limiter.top_denied().unwrap();
    assert_eq!(top.keys.iter().map(|found| found.denied).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn without_the_option_there_are_none() {
    let limiter = KeyedRateLimiter::<u32, _>::with_clock(Quota::per_hour(1), MockClock::new());
    assert!(limiter.allow(&1) && !limiter.allow(&1));
    assert_eq!((limiter.top_denied(), limiter.take_top_denied()), (None, None));
    let builder = KeyedRateLimiter::<u32>::builder().quota(Quota::per_hour(1)).clock(MockClock::new());
    assert_eq!(builder.stats().build().unwrap().top_denied(), None);
}

/// An id is a hash of the limiter: borrowed forms have the same one, and other limiters another.
#[test]
fn an_id_says_nothing_of_the_key() {
    let limiter = KeyedRateLimiter::<String>::new(Quota::per_hour(1));
    let id = limiter.key_id("alice");
    assert_eq!(id, limiter.key_id(&String::from("alice")));
    assert_ne!(id, limiter.key_id("bob"));
    assert_ne!(id, KeyedRateLimiter::<String>::new(Quota::per_hour(1)).key_id("alice"));
    assert_eq!((id.to_string().len(), format!("{id:?}")), (16, format!("KeyId({id})")));
}

#[test]
fn the_text_has_a_line_for_each_key() {
    let limiter = limiter(1);
    assert_eq!(limiter.top_denied().unwrap().to_string(), "");
    (0..5).for_each(|key| deny(&limiter, key));
    let id = |key| limiter.key_id(&key).to_string();
    let top = limiter.top_denied().unwrap();
    assert_eq!(top.to_string(), format!("{}           2  at most 1 less", id(4)));
}

//! The memory that a keyed limiter takes from the allocator is within its stated limit, with any
//! hasher. A separate binary, because the counter replaces the allocator of the whole binary.

#![allow(dead_code, reason = "shared with the other tests, which use the rest of it")]

use std::hash::BuildHasher;

use allocation_counter::measure;
use brimful::{KeyedRateLimiter, MockClock, OnFull, Quota, SipState};

#[path = "it/keyed_support.rs"]
mod keyed_support;
#[path = "it/support.rs"]
mod support;

use keyed_support::{Places, groups_of, keyed, mixed};
use support::Random;

type Limiter<S> = KeyedRateLimiter<u64, MockClock, S>;

fn build<S: BuildHasher>(max_keys: u64, hasher: S) -> Limiter<S> {
    keyed(Quota::per_hour(1).burst(2), max_keys).hasher(hasher).on_full(OnFull::Deny).build().unwrap()
}

/// The most bytes that a limiter has at once while `run` uses it, and the limit that it states.
#[track_caller]
fn within_limit<S: BuildHasher>(max_keys: u64, hasher: S, run: impl FnOnce(&Limiter<S>)) -> (u64, u64) {
    let mut limit = 0;
    let heap = measure(|| {
        let limiter = build(max_keys, hasher);
        limit = limiter.memory_limit() as u64;
        run(&limiter);
        assert!(limiter.memory_usage() as u64 <= limit, "{limiter:?} of {limit}");
    });
    assert_eq!(heap.bytes_current, 0, "all memory is freed");
    assert!(heap.bytes_max <= limit, "{} bytes of {limit}, for {max_keys} keys", heap.bytes_max);
    assert!(heap.bytes_max > 16 * max_keys, "{} bytes for {max_keys} keys are too few to be all", heap.bytes_max);
    (heap.bytes_max, limit)
}

/// More keys than the table may have.
fn crowd<S: BuildHasher>(limiter: &Limiter<S>) {
    let keys = limiter.max_keys() as u64;
    for key in 0..keys + keys / 4 + 100 {
        let _ = limiter.key(&key).at(0).try_acquire();
        assert!(limiter.memory_usage() <= limiter.memory_limit());
    }
}

#[test]
fn hashers_of_all_kinds_stay_within_the_limit() {
    for max_keys in [1, 7, 100, 819, 820, 5_000, 20_000, 100_000] {
        within_limit(max_keys, SipState::new(), crowd);
        within_limit(max_keys, Places::Anywhere, crowd);
    }
    for places in [Places::Same, Places::Few(2), Places::Few(5)] {
        for max_keys in [20, 60, 500, 800] {
            within_limit(max_keys, places, |limiter| {
                for key in 0..2_000 {
                    let _ = limiter.key(&(key % 4_096)).at(0).try_acquire();
                }
            });
        }
    }
}

/// Calls once for each key, and returns the number of admitted calls.
fn call<'a, S: BuildHasher>(limiter: &Limiter<S>, keys: impl IntoIterator<Item = &'a u64>) -> usize {
    keys.into_iter().filter(|&key| limiter.key(key).at(0).try_acquire().is_ok()).count()
}

/// Keys whose groups are among the same five, in a table of 2^`bits` groups and 16 stripes, in the
/// order of their fingerprints.
fn colliding(bits: u32, count: usize) -> Vec<u64> {
    let in_place = |&hash: &u64| {
        let (home, second) = groups_of(hash, bits, 16);
        home == 0 && second >> 4 < 8
    };
    let mut keys: Vec<u64> = (1u64..).filter(in_place).take(count).collect();
    keys.sort_unstable_by_key(|&key| mixed(key) & ((1 << 60) - 1));
    keys
}

/// Keys of the overflow are in trees, whose nodes become as empty as removals can make them.
#[test]
fn keys_without_a_slot_stay_within_the_limit_in_any_order() {
    const MAX_KEYS: u64 = 16_384;
    const MOST_WITHOUT: usize = MAX_KEYS as usize / 8;
    // The table has 4096 groups when it is full.
    let keys = colliding(12, MOST_WITHOUT + 40 + 200);
    let others: Vec<u64> = (1 << 40..).filter(|&key| groups_of(key, 12, 16).0 != 0).take(13_700).collect();
    let mut fullest = 0.0f64;
    for order in 0..3 {
        for every in 1..12 {
            let mut keys = keys.clone();
            match order {
                0 => {}
                1 => keys.reverse(),
                _ => {
                    let mut random = Random::new(every);
                    (1..keys.len()).for_each(|at| keys.swap(at, random.below(at as u64 + 1) as usize));
                }
            }
            let mut without = 0;
            let (most, limit) = within_limit(MAX_KEYS, Places::Anywhere, |limiter| {
                // The table doubles as far as it can first, so that it has its final slots.
                assert_eq!(call(limiter, &others), others.len());
                let before = limiter.memory_usage();
                let (first, rest) = keys.split_at(MOST_WITHOUT + 40);
                call(limiter, first);
                without = (limiter.memory_usage() - before) / 42;
                // Leaves lose keys until they are as empty as possible, and then the tree is filled
                // again.
                for round in 0..4 {
                    let thinned = first.iter().skip(round).step_by(every as usize + 1);
                    assert!(thinned.filter(|key| limiter.remove(key)).count() > 0 || round > 0);
                    call(limiter, rest);
                }
                call(limiter, first);
            });
            assert_eq!(without, MOST_WITHOUT, "keys were in no slot");
            fullest = fullest.max(most as f64 / limit as f64);
        }
    }
    println!("at most {:.1}% of the limit", 100.0 * fullest);
}

/// Some keys in the overflow of each stripe, which has its own tree.
#[test]
fn a_few_keys_without_a_slot_in_every_stripe_stay_within_the_limit() {
    // In a table of 2^10 groups and 16 stripes: 32 keys for the overflow of each stripe.
    let mut keys: Vec<Vec<u64>> = vec![Vec::new(); 16];
    for hash in 1u64.. {
        let (home, second) = groups_of(hash, 10, 16);
        if home < 16 && second & !15 == 16 && keys[home as usize].len() < 48 {
            keys[home as usize].push(hash);
            if keys.iter().all(|keys| keys.len() == 48) {
                break;
            }
        }
    }
    for each in 17..=48 {
        within_limit(4_096, Places::Anywhere, |limiter| {
            let others = (1 << 40..).filter(|&key| groups_of(key, 10, 16).0 >= 32).take(3_300);
            assert!(others.fold(0, |known, key| known + u64::from(limiter.key(&key).at(0).allow())) == 3_300);
            call(limiter, keys.iter().flat_map(|keys| &keys[..each]));
        });
    }
}

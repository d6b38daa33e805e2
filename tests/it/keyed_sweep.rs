//! The work of a new key at a full table is bounded: it looks at 32 groups besides its own. The
//! next new key continues from there, so every full bucket is found.

use brimful::{OnFull, Quota};

use crate::keyed_support::{Keyed, Places, groups_of, keyed};
use crate::support::{Random, SECOND};

/// The groups that a new key looks at besides its own.
const SWEPT: u64 = 32;

/// The slots of a group, and their bytes.
const SLOTS: u64 = 8;
const GROUP_BYTES: u64 = 128;

/// A table of exhausted keys, which both policies refuse to evict.
fn exhausted(keys: u64, on_full: OnFull) -> Keyed {
    let limiter = keyed(Quota::per_hour(1), keys).hasher(Places::Anywhere).on_full(on_full).build().unwrap();
    assert!((0..keys).all(|key| limiter.key(&key).at(SECOND).allow()));
    assert_eq!((limiter.len(), limiter.refusals()), (keys as usize, 0));
    limiter
}

/// The most groups that a table may have.
fn most_groups(keys: u64) -> u64 {
    (keys * 5).div_ceil(4).div_ceil(SLOTS).next_power_of_two()
}

/// The number of new keys that are refused until one is admitted, and the admitted key.
fn refused_until_admitted(limiter: &Keyed, newcomers: &mut impl Iterator<Item = u64>) -> (u64, u64) {
    let before = limiter.refusals();
    let admitted = newcomers.find(|key| limiter.key(key).at(SECOND).allow()).unwrap();
    (limiter.refusals() - before, admitted)
}

/// One bucket is full, at a known distance from the end of the last sweep. Exactly as many new keys
/// as that distance needs are refused.
#[test]
fn a_new_key_looks_at_no_more_and_no_fewer_than_32_groups() {
    for (keys, bits, stripes) in [(1_000, 8, 16), (20_000, 12, 16)] {
        for on_full in [OnFull::Deny, OnFull::EvictLeastDebt] {
            let (limiter, groups) = (exhausted(keys, on_full), 1 << bits);
            assert_eq!(groups, most_groups(keys));
            assert_eq!(
                limiter.memory_usage() / GROUP_BYTES as usize / groups as usize,
                1,
                "it has doubled as often as it can"
            );
            let (mut random, mut next) = (Random::new(keys), keys);
            // The groups in which the last full bucket may have been found.
            let mut last: Vec<u64> = Vec::new();
            let mut most = 0;
            let filled: Vec<u64> = (0..60).map(|nth| nth * (keys / 60) + random.below(keys / 60)).collect();
            for key in filled {
                let places = <[u64; 2]>::from(groups_of(key, bits, stripes));
                limiter.key(&key).at(SECOND).reset();
                // New keys with other groups, so that they have to sweep.
                let mut newcomers = (next..).filter(|&new| {
                    <[u64; 2]>::from(groups_of(new, bits, stripes)).into_iter().all(|group| !places.contains(&group))
                });
                let (refused, admitted) = refused_until_admitted(&limiter, &mut newcomers);
                next = admitted + 1;
                let distances = last.iter().flat_map(|from| places.map(|to| (to + groups - from - 1) % groups));
                let expected: Vec<u64> = distances.map(|distance| distance / SWEPT).collect();
                assert!(last.is_empty() || expected.contains(&refused), "{keys} keys: {refused} of {expected:?}");
                most = most.max(refused);
                last = places.to_vec();
            }
            println!("{keys} keys, {on_full:?}: at most {most} were refused, of {groups} groups");
            assert!(most >= groups / SWEPT / 2, "none of the full buckets was far away");
        }
    }
}

/// Some full buckets at random places, in a table of any size: each makes room for a new key within
/// one round of the sweep.
#[test]
fn every_full_bucket_is_found_within_one_round() {
    let mut random = Random::new(6);
    for keys in (1..=100).chain([103, 128, 205, 410, 819, 820, 1_000, 3_277, 5_000, 13_107, 20_000]) {
        let on_full = if keys % 2 == 0 { OnFull::Deny } else { OnFull::EvictLeastDebt };
        let limiter = exhausted(keys, on_full);
        let (mut known, mut newcomers) = ((0..keys).collect::<Vec<_>>(), keys..);
        for most in [1, 2, 5, 50] {
            // Refusing a few keys first lets the sweep start anywhere.
            assert!(newcomers.by_ref().take(random.below(8) as usize).all(|key| !limiter.key(&key).at(SECOND).allow()));
            let mut filled: Vec<usize> = (0..most.min(keys)).map(|_| random.below(keys) as usize).collect();
            filled.sort_unstable();
            filled.dedup();
            filled.iter().for_each(|&at| limiter.key(&known[at]).at(SECOND).reset());
            let before = limiter.refusals();
            for at in filled {
                known[at] = refused_until_admitted(&limiter, &mut newcomers).1;
                let refused = limiter.refusals() - before;
                assert!(refused <= (most_groups(keys) - 1) / SWEPT, "{keys} keys: {refused} were refused");
            }
            let round = 1 + most_groups(keys) / SWEPT;
            assert!(newcomers.by_ref().take(round as usize).all(|key| !limiter.key(&key).at(SECOND).allow()));
            assert_eq!((limiter.len(), limiter.evictions()), (keys as usize, 0));
        }
    }
}

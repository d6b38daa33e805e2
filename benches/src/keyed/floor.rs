//! The floor: the least work of a limiter that finds a word by a key and changes it.

use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicU64, Ordering};

use brimful::Clock;

use super::contenders::Keyed;

/// A bare open-addressing array of fingerprints and words, at a load of at most 0.6. It cannot grow,
/// forget or deny. One thread inserts.
#[derive(Debug)]
pub(super) struct Floor<S, C> {
    slots: Box<[[AtomicU64; 2]]>,
    hasher: S,
    clock: C,
}

impl<S: BuildHasher, C: Clock> Floor<S, C> {
    pub(super) fn new(keys: u64, hasher: S, clock: C) -> Self {
        let slots = (keys * 5).div_ceil(3).next_power_of_two();
        // Written one by one, so that the pages are resident before the first call.
        let slots = (0..slots).map(|_| [AtomicU64::new(0), AtomicU64::new(0)]).collect();
        Floor { slots, hasher, clock }
    }

    #[inline]
    fn word<K: Hash>(&self, key: &K) -> &AtomicU64 {
        let hash = self.hasher.hash_one(key);
        let (mask, print) = (self.slots.len() - 1, hash | 1);
        let mut place = (hash >> 1) as usize & mask;
        loop {
            let slot = &self.slots[place];
            match slot[0].load(Ordering::Relaxed) {
                found if found == print => return &slot[1],
                0 => {
                    slot[0].store(print, Ordering::Release);
                    return &slot[1];
                }
                _ => place = (place + 1) & mask,
            }
        }
    }
}

impl<K: Hash, S: BuildHasher + Send + Sync, C: Clock + Send + Sync> Keyed<K> for Floor<S, C> {
    #[inline]
    fn hit(&self, key: &K) -> bool {
        self.take(key, 1)
    }

    #[inline]
    fn take(&self, key: &K, n: u32) -> bool {
        let word = self.word(key);
        let mut seen = word.load(Ordering::Acquire);
        let now = self.clock.now().wrapping_mul(n.into());
        while let Err(current) =
            word.compare_exchange(seen, seen.wrapping_add(now), Ordering::AcqRel, Ordering::Relaxed)
        {
            seen = current;
        }
        true
    }
}

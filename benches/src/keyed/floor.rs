//! The machine's floor: what no limiter can do without that finds a word by a key.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use brimful::{Clock, QuantaClock};

use super::contenders::Keyed;

/// A plain open-addressing array of fingerprints and words, at a load of 0.6 at most, which can
/// neither grow nor forget.
#[derive(Debug)]
pub(super) struct Array<S> {
    slots: Box<[[AtomicU64; 2]]>,
    hasher: S,
}

impl<S: BuildHasher> Array<S> {
    pub(super) fn new(keys: u64, hasher: S) -> Self {
        // The first reading calibrates.
        let _ = QuantaClock.now();
        let slots = (keys * 5).div_ceil(3).next_power_of_two();
        // Each written here, so that no page is met for the first time while a key comes.
        let slots = (0..slots).map(|_| [AtomicU64::new(0), AtomicU64::new(0)]).collect();
        Array { slots, hasher }
    }

    #[inline]
    fn search<K: Hash>(&self, key: &K) -> Result<&AtomicU64, (&[AtomicU64; 2], u64)> {
        let hash = self.hasher.hash_one(key);
        let (mask, print) = (self.slots.len() - 1, hash | 1);
        let mut place = (hash >> 1) as usize & mask;
        loop {
            let slot = &self.slots[place];
            match slot[0].load(Ordering::Relaxed) {
                0 => return Err((slot, print)),
                found if found == print => return Ok(&slot[1]),
                _ => place = (place + 1) & mask,
            }
        }
    }

    /// Swaps a key's word for one with the time in it, or puts the key there.
    #[inline]
    fn swap<K: Hash>(&self, key: &K) -> bool {
        let word = match self.search(key) {
            Ok(word) => word,
            Err((slot, print)) => {
                slot[0].store(print, Ordering::Release);
                &slot[1]
            }
        };
        let mut seen = word.load(Ordering::Acquire);
        let now = QuantaClock.now();
        while let Err(current) =
            word.compare_exchange(seen, seen.wrapping_add(now), Ordering::AcqRel, Ordering::Relaxed)
        {
            seen = current;
        }
        true
    }
}

/// Finds a key, and no more.
#[derive(Debug)]
pub(super) struct Find<S>(pub(super) Arc<Array<S>>);

impl<K: Hash, S: BuildHasher + Send + Sync> Keyed<K> for Find<S> {
    #[inline]
    fn hit(&self, key: &K) -> bool {
        self.0.search(key).is_ok()
    }

    fn take(&self, key: &K, _: u32) -> bool {
        self.0.swap(key)
    }
}

/// Finds a key, reads the clock, loads the word, and swaps it.
#[derive(Debug)]
pub(super) struct Swap<S>(pub(super) Arc<Array<S>>);

impl<K: Hash, S: BuildHasher + Send + Sync> Keyed<K> for Swap<S> {
    #[inline]
    fn hit(&self, key: &K) -> bool {
        self.0.swap(key)
    }

    fn take(&self, key: &K, _: u32) -> bool {
        self.0.swap(key)
    }
}

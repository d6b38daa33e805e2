//! [`Shards`]: the data of many keys, in parts with a lock each.

use crossbeam_utils::CachePadded;

use super::locks::{Mutex, MutexGuard, lock};

/// The number of shards. In the models, all keys share one lock.
const SHARDS: usize = if cfg!(brimful_loom) { 1 } else { 64 };

/// The data of many keys, in parts with a lock each. The part of a key follows from its hash.
pub(crate) struct Shards<T>(Box<[CachePadded<Mutex<T>>]>);

impl<T: Default> Shards<T> {
    pub(crate) fn new() -> Self {
        Shards((0..SHARDS).map(|_| CachePadded::new(Mutex::new(T::default()))).collect())
    }

    /// Locks the part of a key.
    pub(crate) fn lock(&self, hash: u64) -> MutexGuard<'_, T> {
        // Hashers of the user may leave the upper or the lower bits alike.
        let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        lock(&self.0[mixed as usize % self.0.len()])
    }

    /// Locks the parts, one after the other.
    pub(crate) fn each(&self) -> impl Iterator<Item = MutexGuard<'_, T>> {
        self.0.iter().map(|shard| lock(shard))
    }
}

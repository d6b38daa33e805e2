//! [`KeyQueues`]: the queues of the keys that callers wait on.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::order::Queue;
use crate::sync::{AtomicU64, MutexGuard, Ordering, Shards};
use crate::table::Fingerprint;

type Shard = BTreeMap<Fingerprint, Arc<Queue>>;

/// The queues of the keys that callers wait on, or waited on a moment ago.
///
/// A key's queue is made and given up under the lock of its shard. So callers that come at the same time wait in one
/// queue. No thread waits for a queue's lock while it holds that of a shard.
pub(super) struct KeyQueues {
    shards: Shards<Shard>,
    /// The number of queues: while it is zero, no call looks for one. Raised before a queue is added.
    count: AtomicU64,
    /// The maximum number of queues.
    most: u64,
}

impl KeyQueues {
    pub(super) fn new(most: u64) -> Self {
        KeyQueues { shards: Shards::new(), count: AtomicU64::new(0), most }
    }

    #[inline]
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Returns the queue of a key.
    #[inline]
    pub(super) fn get(&self, key: Fingerprint) -> Option<Arc<Queue>> {
        if self.count() == 0 { None } else { self.find(key) }
    }

    #[cold]
    fn find(&self, key: Fingerprint) -> Option<Arc<Queue>> {
        self.shards.lock(key.bits()).get(&key).cloned()
    }

    /// Returns the queue of a key, which is made if it has none. `Err`: there is the maximum number of queues.
    pub(super) fn get_or_make(&self, key: Fingerprint, make: impl FnOnce() -> Arc<Queue>) -> Result<Arc<Queue>, u64> {
        let mut shard = self.shards.lock(key.bits());
        if let Some(queue) = shard.get(&key) {
            return Ok(queue.clone());
        }
        let one_more = |count| (count < self.most).then_some(count + 1);
        if self.count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_err() {
            return Err(self.most);
        }
        let queue = make();
        shard.insert(key, queue.clone());
        Ok(queue)
    }

    /// Takes the queue of a key out.
    pub(super) fn take_out(&self, key: Fingerprint) -> Option<Arc<Queue>> {
        let mut shard = self.shards.lock(key.bits());
        let queue = shard.remove(&key);
        self.uncount(usize::from(queue.is_some()));
        queue
    }

    /// Gives the queue of a key up if no caller waits there any longer.
    pub(super) fn tidy(&self, key: Fingerprint) {
        let mut shard = self.shards.lock(key.bits());
        let is_idle = shard.get(&key).is_some_and(|queue| queue.give_up_if_idle());
        let idle = if is_idle { shard.remove(&key) } else { None };
        self.uncount(usize::from(idle.is_some()));
        drop(shard);
        // It may have a timer, whose drop takes a lock.
        drop(idle);
    }

    /// Takes all queues out.
    pub(super) fn take_all(&self) -> Vec<Arc<Queue>> {
        let take = |mut shard: MutexGuard<'_, Shard>| {
            self.uncount(shard.len());
            std::mem::take(&mut *shard).into_values()
        };
        self.shards.each().flat_map(take).collect()
    }

    /// Returns all queues.
    pub(super) fn all(&self) -> Vec<Arc<Queue>> {
        self.shards.each().flat_map(|shard| shard.values().cloned().collect::<Vec<_>>()).collect()
    }

    fn uncount(&self, queues: usize) {
        self.count.fetch_sub(queues as u64, Ordering::SeqCst);
    }
}

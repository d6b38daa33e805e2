//! [`KeyedPermits`]: the permits of each of many keys.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;

use crate::queue::{TimeDriver, TimerFactory, WaitConfig, wake};
use crate::sync::{Mutex, MutexGuard, Shards, lock};

use super::cell::PermitCell;
use super::lone::{Permits, Unavailable};
use super::queue::{Entered, PermitRequest};
use super::word::PermitWord;

/// The keys of one shard, by their hashes.
type Shard = BTreeMap<u64, Permits>;

/// The permits of each key, by the hash of the key. A key is here for as long as it has permits out or waiters,
/// so there are at most as many keys as permits and waiters. A tree frees the memory of keys that go.
///
/// All takes and entries of a key are made under the lock of its shard. So a key that is found idle under that
/// lock can be removed: no call is about to use it. The queue's lock is taken within the shard's lock, never the
/// other way round.
pub(crate) struct KeyedPermits {
    shards: Shards<Shard>,
    /// The word of a new key. It is changed before the words of the keys.
    new_key: PermitCell,
    /// Held while the words of all keys are changed, so that such changes come one after the other.
    changes: Mutex<()>,
    config: Arc<WaitConfig>,
}

impl KeyedPermits {
    pub(crate) fn new(word: PermitWord, config: Arc<WaitConfig>) -> Self {
        KeyedPermits { shards: Shards::new(), new_key: PermitCell::new(word), changes: Mutex::new(()), config }
    }

    /// Returns the word of a key without permits: the limit, and whether it is closed.
    pub(crate) fn word(&self) -> PermitWord {
        self.new_key.word()
    }

    /// Returns the word of a key.
    pub(crate) fn word_of(&self, key: u64) -> PermitWord {
        self.shard(key).get(&key).map_or_else(|| self.word(), Permits::word)
    }

    /// Returns the number of waiters on a key.
    pub(crate) fn waiting_on(&self, key: u64) -> u32 {
        // The shard's lock is released before the queue is asked, because that may take a while.
        let queue = self.shard(key).get(&key).and_then(Permits::queue_if_made);
        queue.map_or(0, |queue| queue.waiting())
    }

    /// Returns the number of keys that have permits out or waiters.
    pub(crate) fn keys(&self) -> usize {
        self.shards.each().map(|shard| shard.len()).sum()
    }

    /// Returns the number of permits that are out.
    pub(crate) fn in_flight(&self) -> u64 {
        let in_flight = |permits: &Permits| permits.word().in_flight() as u64;
        self.shards.each().map(|shard| shard.values().map(in_flight).sum::<u64>()).sum()
    }

    fn shard(&self, key: u64) -> MutexGuard<'_, Shard> {
        self.shards.lock(key)
    }

    /// Takes a permit of a key, unless callers wait on it.
    pub(super) fn take(&self, key: u64) -> Result<(), Unavailable> {
        let mut shard = self.shard(key);
        if let Some(permits) = shard.get(&key) {
            return permits.take();
        }
        let permits = Permits::of_key(self.word());
        permits.take()?;
        shard.insert(key, permits);
        Ok(())
    }

    /// Takes a permit of a key or joins its queue, as [`Permits::enter`].
    pub(super) fn enter(&self, key: u64, request: &mut PermitRequest) -> (Entered, bool) {
        let mut shard = self.shard(key);
        let permits = shard.entry(key).or_insert_with(|| Permits::of_key(self.word()));
        let entered = permits.enter(|| self.config.clone(), request);
        let _idle = remove_if_idle(&mut shard, key);
        drop(shard);
        entered
    }

    /// Sets the clock and the timer of the queues, unless an earlier waiter has set them.
    pub(super) fn drive(&self, make: impl FnOnce(Option<&TimerFactory>) -> TimeDriver) {
        self.config.drive_all(make);
    }

    /// Gives a permit of a key back, and wakes the waiter that gets it.
    pub(super) fn give_back(&self, key: u64) {
        let mut shard = self.shard(key);
        let woken = shard.get(&key).map(Permits::give_back_apart).unwrap_or_default();
        let _idle = remove_if_idle(&mut shard, key);
        drop(shard);
        wake(woken);
    }

    /// Removes the key if it is idle, after a waiter has left without a permit.
    pub(super) fn left(&self, key: u64) {
        let mut shard = self.shard(key);
        let _idle = remove_if_idle(&mut shard, key);
        drop(shard);
    }

    /// Sets the limit of every key, and wakes the waiters that get a permit.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.change_all(|cell| _ = cell.set_limit(limit), |permits| permits.set_limit(limit));
    }

    /// Refuses every call on every key, now and later.
    pub(crate) fn close(&self) {
        self.change_all(PermitCell::close, |permits| permits.close_apart(|| self.config.clone()));
    }

    /// Changes the word of new keys, and then those of all keys. A key that comes meanwhile has the new word, or
    /// is in its shard when the shard is changed.
    fn change_all(&self, change_new: impl FnOnce(&PermitCell), change: impl Fn(&Permits) -> Vec<Waker>) {
        let changes = lock(&self.changes);
        change_new(&self.new_key);
        let mut woken = Vec::new();
        for shard in self.shards.each() {
            woken.extend(shard.values().flat_map(&change));
        }
        drop(changes);
        wake(woken);
    }
}

/// Removes and returns a key that has no permits out and no waiters. The caller drops it when it holds no lock,
/// because the drop of a timer takes a lock.
#[must_use = "it may have a timer, and is dropped when no lock is held"]
fn remove_if_idle(shard: &mut Shard, key: u64) -> Option<Permits> {
    if shard.get(&key).is_some_and(Permits::is_idle) { shard.remove(&key) } else { None }
}

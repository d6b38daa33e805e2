//! [`Lease`]: what a process knows about a key, beside the credit; and [`Leases`], of all keys.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use brimful::Tokens;
use crossbeam_utils::sync::ShardedLock;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use crate::shared::Wait;

/// A key whose tokens are leased. The credit is not here: it is a bucket of the core.
#[derive(Debug)]
pub(super) struct Lease {
    /// The key in the store.
    pub(super) key: String,
    /// The tokens of the next batch. Relaxed, as all of these: they are advice.
    batch: AtomicU32,
    /// Set while a renewal ahead of need is on its way.
    is_ahead: AtomicBool,
    /// Held by the one call that asks the store. Others wait for its answer.
    asking: Arc<tokio::sync::Mutex<()>>,
    /// Set when the first batch was taken.
    has_batch: AtomicBool,
    /// Set when the lease has ended, and the key may have another one.
    is_over: AtomicBool,
    /// The microseconds since the origin until which the store has no token.
    empty_until: AtomicU64,
    /// The index of the limit that has none.
    empty: AtomicUsize,
    /// The microseconds since the origin at which the store was asked last.
    renewed_at: AtomicU64,
    /// The credit that the last look for idle keys found; see [`Lease::is_idle`].
    found: AtomicU64,
}

impl Lease {
    fn new(key: String) -> Self {
        Lease {
            key,
            batch: AtomicU32::new(1),
            is_ahead: AtomicBool::new(false),
            asking: Arc::default(),
            has_batch: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            empty_until: AtomicU64::new(0),
            empty: AtomicUsize::new(0),
            renewed_at: AtomicU64::new(0),
            found: AtomicU64::new(u64::MAX),
        }
    }

    /// Waits until no other call asks the store about the key.
    pub(super) async fn asking(&self) -> OwnedMutexGuard<()> {
        self.asking.clone().lock_owned().await
    }

    /// The same, unless another call asks.
    pub(super) fn try_asking(&self) -> Option<OwnedMutexGuard<()>> {
        self.asking.clone().try_lock_owned().ok()
    }

    /// Returns whether no batch was taken before. `asking` is held, which orders the calls.
    pub(super) fn is_first_batch(&self) -> bool {
        !self.has_batch.swap(true, Ordering::Relaxed)
    }

    /// Ends the lease. `asking` is held.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Returns whether the lease has ended. `asking` is held, which orders the two.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    pub(super) fn batch(&self) -> u32 {
        self.batch.load(Ordering::Relaxed)
    }

    /// Returns the size of the batch to be taken now, which serves the demand for about `horizon`: twice the last one if
    /// that lasted for less than half of it, and half of the last one if it lasted for more than twice of it.
    pub(super) fn next_batch(&self, now: u64, horizon: Duration, most: u32) -> u32 {
        let horizon = horizon.as_micros() as u64;
        let before = self.renewed_at.swap(now, Ordering::Relaxed);
        let lasted = now.saturating_sub(before);
        let batch = self.batch();
        let next = match lasted {
            _ if before == 0 => batch,
            _ if lasted < horizon / 2 => batch.saturating_mul(2),
            _ if lasted > horizon * 2 => batch / 2,
            _ => batch,
        }
        .clamp(1, most);
        self.batch.store(next, Ordering::Relaxed);
        next
    }

    /// Returns whether the caller renews ahead of need: one at a time does.
    pub(super) fn begin_ahead(&self) -> bool {
        !self.is_ahead.load(Ordering::Relaxed) && !self.is_ahead.swap(true, Ordering::Relaxed)
    }

    pub(super) fn end_ahead(&self) {
        self.is_ahead.store(false, Ordering::Relaxed);
    }

    /// Returns the time for which the store has no token, as far as this process knows.
    pub(super) fn empty_for(&self, now: u64) -> Option<Wait> {
        let until = self.empty_until.load(Ordering::Relaxed);
        (now < until)
            .then(|| Wait { time: Duration::from_micros(until - now), limit: self.empty.load(Ordering::Relaxed) })
    }

    pub(super) fn set_empty(&self, now: u64, wait: Wait) {
        self.empty.store(wait.limit, Ordering::Relaxed);
        self.empty_until.store(now + wait.time.as_micros() as u64, Ordering::Relaxed);
    }

    /// Returns whether neither the credit nor the store was touched since the last call of this function.
    pub(super) fn is_idle(&self, credit: Tokens) -> bool {
        let credit = u64::from(credit.whole()) << 20 ^ credit.pico();
        let seen = credit ^ self.renewed_at.load(Ordering::Relaxed).rotate_left(32);
        self.found.swap(seen, Ordering::Relaxed) == seen
    }
}

/// The leases of all keys, by the keys' hashes.
#[derive(Debug)]
pub(super) struct Leases {
    origin: Instant,
    most: usize,
    by_id: ShardedLock<HashMap<u64, Arc<Lease>>>,
}

impl Leases {
    pub(super) fn new(most: usize) -> Self {
        Leases { origin: Instant::now(), most, by_id: ShardedLock::default() }
    }

    /// Returns the microseconds since the origin, which is in the past.
    pub(super) fn now(&self) -> u64 {
        self.origin.elapsed().as_micros() as u64 + 1
    }

    pub(super) fn get(&self, id: u64) -> Option<Arc<Lease>> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Returns the lease of a key, which is made if there is none; `None` if there are too many.
    pub(super) fn get_or_make(&self, id: u64, key: impl FnOnce() -> String) -> Option<Arc<Lease>> {
        if let Some(lease) = self.get(id) {
            return Some(lease);
        }
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        if by_id.len() >= self.most && !by_id.contains_key(&id) {
            return None;
        }
        Some(by_id.entry(id).or_insert_with(|| Arc::new(Lease::new(key()))).clone())
    }

    pub(super) fn all(&self) -> Vec<(u64, Arc<Lease>)> {
        let by_id = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        by_id.iter().map(|(&id, lease)| (id, lease.clone())).collect()
    }

    pub(super) fn remove(&self, id: u64) {
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HORIZON: Duration = Duration::from_micros(1000);

    #[test]
    fn a_batch_follows_the_demand() {
        let lease = Lease::new(String::new());
        // Renewed every 100 us: ten times the demand would last for the horizon.
        let batches: Vec<u32> = (1..12).map(|nth| lease.next_batch(nth * 100, HORIZON, 500)).collect();
        assert_eq!(batches, [1, 2, 4, 8, 16, 32, 64, 128, 256, 500, 500]);
        assert_eq!(lease.next_batch(2_100, HORIZON, 500), 500);
        assert_eq!(lease.next_batch(4_200, HORIZON, 500), 250);
        assert_eq!(lease.next_batch(4_200, HORIZON, 0x1000), 500);
    }

    #[test]
    fn a_key_is_idle_if_neither_credit_nor_store_was_touched() {
        let lease = Lease::new(String::new());
        assert!(!lease.is_idle(Tokens::new(5)));
        assert!(lease.is_idle(Tokens::new(5)));
        assert!(!lease.is_idle(Tokens::new(4)));
        lease.next_batch(7, HORIZON, 10);
        assert!(!lease.is_idle(Tokens::new(4)));
        assert!(lease.is_idle(Tokens::new(4)));
    }
}

//! [`Lease`]: the credit of a key, and what this process knows about it; and [`Leases`], of all keys.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use brimful::{MockClock, Quota, QuotaError, RateLimiter, Tokens};
use crossbeam_utils::sync::ShardedLock;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use crate::shared::Wait;

/// The longest time for which calls are refused without asking the store.
const KNOWN: Duration = Duration::from_secs(1);

/// A key whose tokens are leased.
#[derive(Debug)]
pub(super) struct Lease {
    /// The key in the store.
    pub(super) key: String,
    /// The tokens that the store has charged, and that are not used. A bucket of the core on a clock that stands still, so
    /// that it earns nothing.
    credit: RateLimiter<MockClock>,
    /// The tokens of the next batch. Relaxed, as all of these: they are advice.
    batch: AtomicU32,
    /// Set while a renewal ahead of need is on its way.
    is_ahead: AtomicBool,
    /// Held by the one renewal. Calls without credit wait for it.
    asking: Arc<tokio::sync::Mutex<()>>,
    /// Set when the lease has ended, and the key may have another one.
    is_over: AtomicBool,
    /// The microseconds since the origin until which the store has too few tokens, as far as this process knows.
    empty_until: AtomicU64,
    /// The microseconds since the origin until which it is not asked: others may give tokens back.
    unasked_until: AtomicU64,
    /// The index of the limit that is empty.
    empty: AtomicUsize,
    /// The microseconds since the origin at which the store was asked last.
    renewed_at: AtomicU64,
    /// Set by a call that was refused.
    was_refused: AtomicBool,
    /// The credit and the last renewal that the last look for idle keys found; see [`Lease::is_idle`].
    found: AtomicU64,
}

/// Returns the quota of a credit. Its rate does not matter.
pub(super) fn credit_quota() -> Result<Quota, QuotaError> {
    Ok(Quota::try_new(1, Duration::from_secs(1_000_000_000))?.try_burst(u32::MAX)?.initial(0))
}

impl Lease {
    fn new(key: String, credit: Quota) -> Self {
        Lease {
            key,
            credit: RateLimiter::with_clock(credit, MockClock::new()),
            batch: AtomicU32::new(1),
            is_ahead: AtomicBool::new(false),
            asking: Arc::default(),
            is_over: AtomicBool::new(false),
            empty_until: AtomicU64::new(0),
            unasked_until: AtomicU64::new(0),
            empty: AtomicUsize::new(0),
            renewed_at: AtomicU64::new(0),
            was_refused: AtomicBool::new(false),
            found: AtomicU64::new(u64::MAX),
        }
    }

    /// Takes from the credit, and returns the whole tokens that are left; `None` if it does not suffice.
    #[inline]
    pub(super) fn take(&self, n: Tokens) -> Option<u32> {
        let decision = self.credit.decide(n);
        decision.allowed().then(|| decision.remaining())
    }

    /// Adds tokens that the store has charged.
    pub(super) fn add(&self, n: Tokens) {
        self.credit.add_tokens(n);
    }

    /// Returns the credit.
    pub(super) fn held(&self) -> Tokens {
        Tokens::try_from(self.credit.available_tokens()).unwrap_or(Tokens::ZERO)
    }

    /// Waits until no renewal is on its way.
    pub(super) async fn asking(&self) -> OwnedMutexGuard<()> {
        self.asking.clone().lock_owned().await
    }

    /// The same, unless a renewal is on its way.
    pub(super) fn try_asking(&self) -> Option<OwnedMutexGuard<()>> {
        self.asking.clone().try_lock_owned().ok()
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

    /// Returns the time until the store has tokens, if it is known to have too few and is not asked now.
    pub(super) fn empty_for(&self, now: u64) -> Option<Wait> {
        if now >= self.unasked_until.load(Ordering::Relaxed) {
            return None;
        }
        let time = Duration::from_micros(self.empty_until.load(Ordering::Relaxed).saturating_sub(now));
        Some(Wait { time, limit: self.empty.load(Ordering::Relaxed) })
    }

    pub(super) fn set_empty(&self, now: u64, wait: Wait) {
        self.empty.store(wait.limit, Ordering::Relaxed);
        self.empty_until.store(now + wait.time.as_micros() as u64, Ordering::Relaxed);
        self.unasked_until.store(now + wait.time.min(KNOWN).as_micros() as u64, Ordering::Relaxed);
    }

    /// Called when a call was refused.
    pub(super) fn refused(&self) {
        if !self.was_refused.load(Ordering::Relaxed) {
            self.was_refused.store(true, Ordering::Relaxed);
        }
    }

    /// Returns whether no call was admitted or refused, and the store was not asked, since the last call of this function.
    pub(super) fn is_idle(&self) -> bool {
        let (held, renewed_at) = (self.held(), self.renewed_at.load(Ordering::Relaxed));
        let seen = (u64::from(held.whole()) << 20) ^ held.pico() ^ renewed_at.rotate_left(32);
        let was_refused = self.was_refused.swap(false, Ordering::Relaxed);
        self.found.swap(seen, Ordering::Relaxed) == seen && !was_refused
    }
}

/// The leases of all keys, by the keys' hashes.
#[derive(Debug)]
pub(super) struct Leases {
    origin: Instant,
    most: usize,
    credit: Quota,
    by_id: ShardedLock<HashMap<u64, Arc<Lease>>>,
}

impl Leases {
    pub(super) fn new(most: usize, credit: Quota) -> Self {
        Leases { origin: Instant::now(), most, credit, by_id: ShardedLock::default() }
    }

    /// Returns the microseconds since the origin, which is in the past.
    pub(super) fn now(&self) -> u64 {
        self.origin.elapsed().as_micros() as u64 + 1
    }

    #[inline]
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
        Some(by_id.entry(id).or_insert_with(|| Arc::new(Lease::new(key(), self.credit))).clone())
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

    fn lease() -> Lease {
        Lease::new(String::new(), credit_quota().unwrap())
    }

    #[test]
    fn a_credit_is_exactly_what_was_added() {
        let lease = lease();
        assert_eq!(lease.take(Tokens::ONE), None);
        lease.add(Tokens::new(3));
        assert_eq!(lease.take(Tokens::ONE), Some(2));
        assert_eq!(lease.take(Tokens::new(3)), None);
        assert_eq!(lease.take("0.5".parse().unwrap()), Some(1));
        assert_eq!(lease.held(), "1.5".parse().unwrap());
        lease.add(Tokens::new(1_000_000_000));
        assert_eq!(lease.take(Tokens::new(1_000_000_001)), Some(0));
        assert_eq!(lease.held(), "0.5".parse().unwrap());
    }

    #[test]
    fn a_batch_follows_the_demand() {
        let lease = lease();
        // Renewed every 100 us: ten times the demand would last for the horizon.
        let batches: Vec<u32> = (1..12).map(|nth| lease.next_batch(nth * 100, HORIZON, 500)).collect();
        assert_eq!(batches, [1, 2, 4, 8, 16, 32, 64, 128, 256, 500, 500]);
        assert_eq!(lease.next_batch(2_100, HORIZON, 500), 500);
        assert_eq!(lease.next_batch(4_200, HORIZON, 500), 250);
        assert_eq!(lease.next_batch(4_200, HORIZON, 0x1000), 500);
    }

    #[test]
    fn a_key_is_idle_if_nothing_happened() {
        let lease = lease();
        lease.add(Tokens::new(5));
        assert!(!lease.is_idle());
        assert!(lease.is_idle());
        lease.take(Tokens::ONE);
        assert!(!lease.is_idle());
        lease.next_batch(7, HORIZON, 10);
        assert!(!lease.is_idle());
        lease.refused();
        assert!(!lease.is_idle());
        assert!(lease.is_idle());
    }
}

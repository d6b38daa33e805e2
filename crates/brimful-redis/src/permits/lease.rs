//! [`Lease`]: a permit as this process knows it; and [`Held`], all of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// The end of a lease that was lost.
const LOST: u64 = 0;

/// The end of a lease that the policy granted, which the store does not know.
const ENDLESS: u64 = u64::MAX;

/// A permit as this process knows it.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) key: Arc<str>,
    pub(super) id: u128,
    /// The number that the store gave the permit; `None` if the policy granted it.
    pub(super) fence: Option<u64>,
    origin: Instant,
    /// The microseconds since the origin at which the lease ends, at the earliest. Relaxed: it orders nothing else.
    end: AtomicU64,
    /// Called when the end has changed.
    pub(super) changed: Notify,
}

impl Lease {
    /// Returns whether the lease goes on. Once it has not, it never does again.
    pub(super) fn is_valid(&self) -> bool {
        loop {
            let end = self.end.load(Ordering::Relaxed);
            if end == LOST || end == ENDLESS {
                return end == ENDLESS;
            }
            if since(self.origin, Instant::now()) < end {
                return true;
            }
            // Unless a renewal came first.
            if self.end.compare_exchange(end, LOST, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                self.changed.notify_waiters();
                return false;
            }
        }
    }

    /// Returns the instant at which the lease ends, as far as is known; `None` if it never does.
    pub(super) fn end(&self) -> Option<Instant> {
        let end = self.end.load(Ordering::Relaxed);
        (end != ENDLESS).then(|| self.origin + Duration::from_micros(end))
    }

    /// Called when the store has renewed the lease until this instant at least. Does nothing if the lease was lost.
    fn renew(&self, until: Instant) {
        let until = since(self.origin, until);
        let later = |end| (end != LOST).then_some(until.max(end));
        let _ = self.end.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    }

    fn lose(&self) {
        self.end.store(LOST, Ordering::Relaxed);
        self.changed.notify_waiters();
    }
}

fn since(origin: Instant, instant: Instant) -> u64 {
    instant.saturating_duration_since(origin).as_micros() as u64
}

/// The leases of a key, by their ids.
type Leases = HashMap<u128, Arc<Lease>>;

/// The permits that a process holds of a limit.
#[derive(Debug)]
pub(super) struct Held {
    origin: Instant,
    length: Duration,
    keys: Mutex<HashMap<Arc<str>, Leases>>,
}

impl Held {
    /// Returns the permits of a limit whose leases have this length.
    pub(super) fn new(length: Duration) -> Self {
        // An end is never zero, which means that the lease is lost.
        let origin = Instant::now();
        Held { origin, length, keys: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Leases>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the end of a lease for which the store was asked at this instant, or later, by a clock that may run faster
    /// than ours by a hundredth.
    fn end(&self, asked: Instant) -> Instant {
        asked + (self.length - self.length / 100)
    }

    /// Adds a lease that the store has granted with this number, and was asked for at this instant.
    pub(super) fn insert(&self, key: &Arc<str>, id: u128, fence: u64, asked: Instant) -> Arc<Lease> {
        let end = since(self.origin, self.end(asked));
        let lease = self.lease(key, id, Some(fence), end);
        self.lock().entry(key.clone()).or_default().insert(id, lease.clone());
        lease
    }

    /// Adds a lease that the policy has granted, if the key has fewer than `most`. The error is their number.
    pub(super) fn insert_below(&self, key: &Arc<str>, id: u128, most: usize) -> Result<Arc<Lease>, usize> {
        let mut keys = self.lock();
        let held = keys.get(key).map_or(0, HashMap::len);
        if held >= most {
            return Err(held);
        }
        let lease = self.lease(key, id, None, ENDLESS);
        keys.entry(key.clone()).or_default().insert(id, lease.clone());
        Ok(lease)
    }

    fn lease(&self, key: &Arc<str>, id: u128, fence: Option<u64>, end: u64) -> Arc<Lease> {
        let end = AtomicU64::new(end);
        Arc::new(Lease { key: key.clone(), id, fence, origin: self.origin, end, changed: Notify::new() })
    }

    pub(super) fn remove(&self, lease: &Lease) {
        let mut keys = self.lock();
        if let Some(leases) = keys.get_mut(&lease.key) {
            leases.remove(&lease.id);
            if leases.is_empty() {
                keys.remove(&lease.key);
            }
        }
    }

    /// Returns the leases that are to be renewed now, by their keys: those of which a third has passed.
    pub(super) fn due(&self) -> Vec<(Arc<str>, Vec<Arc<Lease>>)> {
        let before = since(self.origin, Instant::now() + self.length * 2 / 3);
        let is_due = |lease: &&Arc<Lease>| (LOST + 1..before).contains(&lease.end.load(Ordering::Relaxed));
        let keys = self.lock();
        let due = keys.iter().map(|(key, leases)| (key.clone(), leases.values().filter(is_due).cloned().collect()));
        due.filter(|(_, leases): &(_, Vec<_>)| !leases.is_empty()).collect()
    }

    /// Called when the store has answered to a renewal for which it was asked at this instant.
    pub(super) fn renewed(&self, leases: &[Arc<Lease>], went_on: &[bool], asked: Instant) {
        for (lease, &went_on) in leases.iter().zip(went_on) {
            if went_on { lease.renew(self.end(asked)) } else { lease.lose() }
        }
    }
}

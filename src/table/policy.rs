//! The policy for a new key at a full table.

use crate::sync::{AtomicU64, Ordering};

/// The policy for a new key if the table holds its maximum number of keys, and no full bucket was
/// found that can be forgotten. The search covers the two groups of the new key, and then 32 more
/// groups of the table.
///
/// So a key may be refused, or another key evicted, although a bucket elsewhere in a large table is
/// full. The search for the next new key goes on from the end of this search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFull {
    /// Forgets the bucket in the new key's groups that is closest to full. The debt of that bucket
    /// is kept in a bucket that all forgotten keys of its stripe share, and from which new keys
    /// start: no key is granted more than its exact bucket would have granted. A bucket that holds
    /// less than a token is never forgotten. If all candidates hold less, the new key is refused.
    ///
    /// In a lasting flood of new keys, the shared debt grows until new keys are denied. All the
    /// while, keys that have used up their quota stay exhausted.
    #[default]
    EvictLeastDebt,
    /// Refuses the new key.
    Deny,
}

/// A decision that a full table forced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FullEvent {
    /// A bucket in use was forgotten for a new key.
    Evicted,
    /// A new key was refused.
    Refused,
}

/// The number of events of each kind.
pub(super) struct Counters {
    evicted: AtomicU64,
    refused: AtomicU64,
}

impl Counters {
    pub(super) fn new() -> Self {
        Counters { evicted: AtomicU64::new(0), refused: AtomicU64::new(0) }
    }

    pub(super) fn count(&self, event: FullEvent) {
        self.of(event).fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self, event: FullEvent) -> u64 {
        self.of(event).load(Ordering::Relaxed)
    }

    fn of(&self, event: FullEvent) -> &AtomicU64 {
        match event {
            FullEvent::Evicted => &self.evicted,
            FullEvent::Refused => &self.refused,
        }
    }
}

//! What a full table does with a new key.

use crate::sync::{AtomicU64, Ordering};

/// What a table that holds all the keys that it may does with a new one, if it finds no full
/// bucket to forget: in the two groups of the new key, and then in 32 more of the table.
///
/// So a key may be refused, or another evicted, although a bucket elsewhere in a large table is
/// full. The search goes on with the next new key from where it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFull {
    /// The bucket in the new key's groups that is closest to full is forgotten. Its debt is kept
    /// in a bucket that all forgotten keys of its stripe share, and from which new keys start: no
    /// key is granted more than its exact bucket would have granted. A bucket that holds less
    /// than a token is never forgotten; if all candidates hold less, the new key is refused.
    ///
    /// In a lasting flood of new keys the shared debt grows until new keys are denied. Keys that
    /// have used up their quota stay so all the while.
    #[default]
    EvictLeastDebt,
    /// The new key is refused.
    Deny,
}

/// What a full table did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FullEvent {
    /// A bucket in use was forgotten for a new key.
    Evicted,
    /// A new key was refused.
    Refused,
}

/// How often a full table did what.
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

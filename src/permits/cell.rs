//! [`PermitCell`]: the atomic word of a concurrency limit.

use crate::sync::{AtomicU64, Ordering, const_unless_loom};

use super::word::PermitWord;

/// The word of a limit. Every change is one read-modify-write, so all changes are totally ordered, and each
/// one sees the last. The next taker acquires the release of the thread that gave a permit back, also if
/// other changes came between, because they all are read-modify-writes.
pub(super) struct PermitCell(AtomicU64);

/// The result of [`PermitCell::take_or_queue`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TakenOrQueued {
    Taken,
    /// There was no permit, and the word is queued.
    Queued,
    Closed,
}

impl PermitCell {
    const_unless_loom! {
        pub(super) const fn new(word: PermitWord) -> PermitCell {
            PermitCell(AtomicU64::new(word.bits()))
        }
    }

    /// Returns the word. All that was done before a permit was given back happens before a look that does
    /// not count it any longer.
    #[inline]
    pub(super) fn word(&self) -> PermitWord {
        PermitWord::from_bits(self.0.load(Ordering::Acquire))
    }

    /// Takes a permit, or returns the word that has none for a call that has not asked the queue.
    #[inline]
    pub(super) fn take(&self) -> Result<(), PermitWord> {
        // Relaxed: a swap that succeeds acquires.
        let mut word = PermitWord::from_bits(self.0.load(Ordering::Relaxed));
        while word.is_free() {
            match self.swap(word, word.with_one_more()) {
                Ok(()) => return Ok(()),
                Err(changed) => word = changed,
            }
        }
        Err(word)
    }

    /// Gives a permit back. Returns whether the word is queued: the caller then has to serve the queue.
    #[inline]
    #[must_use = "the queue may have to be served"]
    pub(super) fn give_back(&self) -> bool {
        // Release: for the next taker. Acquire: the queue was made before the word was queued.
        PermitWord::from_bits(self.0.fetch_sub(PermitWord::ONE, Ordering::AcqRel)).is_queued()
    }

    /// Changes nothing, but as a read-modify-write: the caller sees each permit that was given back before, and a thread
    /// that gives one back later sees all that the caller did before.
    pub(super) fn meet(&self) {
        self.0.fetch_or(0, Ordering::AcqRel);
    }

    /// Sets the limit. Returns whether the word is queued: the caller then has to serve the queue.
    #[must_use = "the queue may have to be served"]
    pub(super) fn set_limit(&self, limit: usize) -> bool {
        let mut word = self.word();
        while let Err(changed) = self.swap(word, word.with_limit(limit)) {
            word = changed;
        }
        word.is_queued()
    }

    /// Takes a permit or makes the word queued, in one step: a permit that is given back later is given back
    /// to a queued word. The caller holds the lock of the queue, in which no caller waits.
    pub(super) fn take_or_queue(&self) -> TakenOrQueued {
        let mut word = self.word();
        loop {
            let (next, result) = match word {
                word if word.is_closed() => return TakenOrQueued::Closed,
                word if word.has_permit() => (word.with_one_more().not_queued(), TakenOrQueued::Taken),
                word => (word.queued(), TakenOrQueued::Queued),
            };
            match self.swap(word, next) {
                Ok(()) => return result,
                Err(changed) => word = changed,
            }
        }
    }

    /// Takes a permit for the first waiter, if there is one. The caller holds the lock of the queue.
    pub(super) fn take_for_waiter(&self) -> bool {
        let mut word = self.word();
        while word.has_permit() {
            match self.swap(word, word.with_one_more()) {
                Ok(()) => return true,
                Err(changed) => word = changed,
            }
        }
        false
    }

    /// Makes the word not queued. The caller holds the lock of the queue, in which no caller waits.
    pub(super) fn unqueue(&self) {
        self.0.fetch_and(!PermitWord::QUEUED, Ordering::AcqRel);
    }

    /// Makes the word closed. The caller holds the lock of the queue.
    pub(super) fn close(&self) {
        self.0.fetch_or(PermitWord::CLOSED, Ordering::AcqRel);
    }

    #[inline]
    fn swap(&self, word: PermitWord, next: PermitWord) -> Result<(), PermitWord> {
        match self.0.compare_exchange(word.bits(), next.bits(), Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => Ok(()),
            Err(changed) => Err(PermitWord::from_bits(changed)),
        }
    }
}

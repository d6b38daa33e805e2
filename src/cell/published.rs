//! [`Published`]: words that calls copy while one thread replaces them.
//!
//! # Memory ordering
//!
//! The writer writes the words to the slot that calls do not read, and then raises the version, with release. A
//! call loads the version, copies that slot, and loads the version again. All loads of the slot acquire, and
//! all its stores release. So a call that copied a word of the next version but one also sees the version
//! between, and copies again.

use crate::sync::{AtomicU64, Ordering};

/// Words that calls copy while one thread replaces them. A call repeats its copy if it was replaced twice
/// meanwhile; it waits for no thread.
pub(super) struct Published<const WORDS: usize> {
    /// The number of times that the words were replaced.
    version: AtomicU64,
    /// The current words are in the slot of the version's parity.
    slots: [[AtomicU64; WORDS]; 2],
}

/// The words that are copied. They are torn if the version changes meanwhile.
pub(super) struct Words<'a, const WORDS: usize>(&'a [AtomicU64; WORDS]);

impl<const WORDS: usize> Words<'_, WORDS> {
    #[inline]
    pub(super) fn at(&self, place: usize) -> u64 {
        self.0[place].load(Ordering::Acquire)
    }
}

impl<const WORDS: usize> Published<WORDS> {
    pub(super) fn new() -> Self {
        let slot = || [(); WORDS].map(|()| AtomicU64::new(0));
        Published { version: AtomicU64::new(0), slots: [slot(), slot()] }
    }

    /// Returns whether words were ever published. Relaxed: a call that sees the old value overlaps the first
    /// time.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.version.load(Ordering::Relaxed) == 0
    }

    /// Returns what `copy` makes of the current words; `None` if there are none.
    #[inline]
    pub(super) fn read<T>(&self, copy: impl Fn(Words<'_, WORDS>) -> T) -> Option<T> {
        loop {
            let version = self.version.load(Ordering::Acquire);
            if version == 0 {
                return None;
            }
            let copied = copy(Words(&self.slots[(version & 1) as usize]));
            // Relaxed: see the memory ordering above.
            if self.version.load(Ordering::Relaxed) == version {
                return Some(copied);
            }
        }
    }

    /// Replaces the words. One thread at a time calls this.
    pub(super) fn publish(&self, words: impl IntoIterator<Item = u64>) {
        // Relaxed: this thread, or one that handed over to it, wrote the version.
        let version = self.version.load(Ordering::Relaxed) + 1;
        for (place, word) in self.slots[(version & 1) as usize].iter().zip(words) {
            place.store(word, Ordering::Release);
        }
        self.version.store(version, Ordering::Release);
    }
}

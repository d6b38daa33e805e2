//! [`Cells`]: the places of a lone limiter's word.

use super::word_cell::Cell;
use crate::sync::const_unless_loom;
use crate::word::Word;

/// The places of a lone limiter's word.
///
/// The word is in the first cell until the quota changes for the first time, and in the second from
/// then on; or it is with the queue. So a call that finds its word in the first cell need not look whether
/// the quota has changed, and no such call succeeds after the word has moved.
pub(crate) struct Cells {
    pub(crate) first: Cell,
    #[cfg(feature = "std")]
    pub(crate) second: Cell,
}

impl Cells {
    const_unless_loom! {
        pub(crate) const fn new(word: Word) -> Cells {
            Cells {
                first: Cell::new(word),
                #[cfg(feature = "std")]
                second: Cell::new(Word::IN_QUEUE),
            }
        }
    }

    /// Returns the cell that the word is in, or that it is handed back to. The caller holds the queue's
    /// lock, or the word may move.
    #[cfg(feature = "std")]
    pub(crate) fn current(&self) -> &Cell {
        if self.first.load() == Word::IN_SECOND { &self.second } else { &self.first }
    }

    /// Moves the word to the second cell, unless it is there. The caller holds the queue's lock. `home`
    /// makes the word of a bucket of a special word.
    ///
    /// The word is in the second cell before the first one says so: no call has to wait. From then on
    /// every compare-exchange on the first cell fails.
    #[cfg(feature = "std")]
    pub(crate) fn move_word(&self, home: impl Fn(Word) -> Word) {
        let mut word = self.first.load();
        while word != Word::IN_SECOND {
            self.second.put(if word == Word::IN_QUEUE { word } else { home(word) });
            match self.first.compare_exchange(word, Word::IN_SECOND) {
                Ok(()) => return,
                Err(current) => word = current,
            }
        }
    }
}

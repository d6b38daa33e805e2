//! The 64 bits of a bucket.

use core::fmt;

/// The whole state of a bucket.
///
/// ```text
///  63        62 …… B          B−1 …… 0
/// ┌─────────┬────────────────┬─────────────────────────────┐
/// │ special │ tick: 60−k bit │ count: B = k+3 bit          │
/// └─────────┴────────────────┴─────────────────────────────┘
/// tick   the last write, in steps of 2^k ns of the clock; never falls, except by a reset
/// count  (intercept + offset) mod 2^B, in units; see `Layout`
///
/// special, the rest 0:  in a table CLAIMED, a vacant or moving slot; in a lone cell NOT_STARTED
/// special, the rest 1:  in a lone cell IN_QUEUE, handed over to the wait queue
/// ```
///
/// The bits below the special bit have to be small, so that no reading takes a special word for a
/// word of its own time: see [`Layout::age`](super::Layout::age).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(u64);

impl Word {
    const SPECIAL: u64 = 1 << 63;

    /// There is no bucket yet. A limiter without a limit keeps this word for good. A limiter with
    /// initial tokens keeps it until the first call or look.
    pub(crate) const NOT_STARTED: Word = Word(Word::SPECIAL);

    /// The bucket's word is with the queue.
    #[cfg(feature = "std")]
    pub(crate) const IN_QUEUE: Word = Word(Word::SPECIAL | 1);

    /// Bit 63 alone, in a table: the slot is vacant, or its bucket is being moved.
    #[cfg(feature = "std")]
    pub(crate) const CLAIMED: Word = Word(Word::SPECIAL);

    #[inline]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Word(bits)
    }

    #[inline]
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// Returns whether the word has to take the cold path.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) const fn is_special(self) -> bool {
        self.0 & Word::SPECIAL != 0
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Word({:#018x})", self.0)
    }
}

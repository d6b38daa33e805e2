//! The 64 bits of a bucket.

use core::fmt;

/// The whole state of a bucket.
///
/// ```text
///  63        62 …… B          B−1 …… 0
/// ┌─────────┬────────────────┬─────────────────────────────┐
/// │ special │ tick: 60−k bit │ count: B = k+3 bit          │
/// └─────────┴────────────────┴─────────────────────────────┘
/// tick   the last write, in steps of 2^k ns of the clock; never falls, but by a reset
/// count  (intercept + offset) mod 2^B, in units; see `Layout`
///
/// special, with the rest intact:   WAITERS  somebody queues on this bucket
/// special, and all the rest zero:  in a table CLAIMED, a vacant or moving slot;
///                                  in a lone cell AWAY: unborn, or lent to the queue
/// ```
///
/// A word with tick 0 never has count 0 (the offset keeps the count of a fresh bucket above
/// zero), so WAITERS and bit 63 alone never meet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(u64);

impl Word {
    const SPECIAL: u64 = 1 << 63;

    /// Bit 63 alone: this cell's bucket is elsewhere. A limiter without a limit keeps it for
    /// good; one with initial tokens keeps it until the first call or look.
    pub(crate) const AWAY: Word = Word(Word::SPECIAL);

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

    /// Whether the word has to go the cold way.
    #[inline]
    pub(crate) const fn is_special(self) -> bool {
        self.0 & Word::SPECIAL != 0
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Word::AWAY { write!(f, "Word(AWAY)") } else { write!(f, "Word({:#018x})", self.0) }
    }
}

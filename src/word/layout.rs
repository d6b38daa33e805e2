//! The 64 bits of a bucket, the units that it earns, and the layout: how a quota's words are divided into
//! fields.

use core::fmt;

use super::{Intercept, Reading, Units};
use crate::tokens::{PICO, Tokens};

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
/// special, the rest 2:  in a lone limiter's first cell IN_SECOND, moved to its second cell
/// ```
///
/// The bits below the special bit have to be small, so that no reading takes a special word for a
/// word of its own time: see [`Layout::age`].
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

    /// The bucket's word has moved to the limiter's second cell, because its quota changed.
    #[cfg(feature = "std")]
    pub(crate) const IN_SECOND: Word = Word(Word::SPECIAL | 2);

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

/// `E(v)`, the units that a bucket has earned since the clock's origin, as a rate in binary:
/// `m / 2^(61+s)` units per nanosecond, with m in [2⁶³, 2⁶⁴) rounded *up*, so that the rate is high by
/// less than one part in 2⁶³.
///
/// All amounts that a bucket earns are differences of values of this one function, so rounding
/// errors never add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Earned {
    pub(super) m: u64,
    pub(super) s: u8,
}

impl Earned {
    /// Returns the rate of which [`to_words`](Earned::to_words) made these words. Torn words make any rate.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) const fn from_words([m, s]: [u64; 2]) -> Self {
        Earned { m, s: s as u8 }
    }

    #[cfg(feature = "std")]
    pub(crate) const fn to_words(self) -> [u64; 2] {
        [self.m, self.s as u64]
    }

    /// Returns `floor(v · m / 2^(61+s))`: one widening multiplication and a shift.
    #[inline]
    pub(crate) const fn at(self, now: Reading) -> Units {
        self.product(now).floor()
    }

    /// See [`Product::minus_near_ceil`].
    #[inline]
    pub(crate) const fn near_ceil(self, now: Reading) -> Units {
        Units(self.product(now).minus_near_ceil().wrapping_neg())
    }

    /// Returns `v · m`, from which both roundings are read.
    #[inline]
    pub(crate) const fn product(self, now: Reading) -> Product {
        let product = now.eighths_times(self.m);
        Product { high: (product >> 64) as u64, low: product as u64, eighths: now.eighths(), s: self.s }
    }
}

/// `8v · m`, in halves of 64 bits: the upper half is the units earned, times 2^s.
#[derive(Clone, Copy)]
pub(crate) struct Product {
    high: u64,
    low: u64,
    eighths: u64,
    s: u8,
}

impl Product {
    /// Returns the whole units.
    #[inline]
    pub(crate) const fn floor(self) -> Units {
        Units(self.high >> self.s)
    }

    /// Returns the ceiling, negated modulo 2⁶⁴, with one exception: an amount that lies within m's
    /// own rounding error above a whole unit counts as that unit. With the plain ceiling, a full
    /// bucket that is emptied at round instants would be denied at the next one.
    ///
    /// The result is computed as the floor of the negative, which is one step less for the
    /// processor.
    #[inline]
    pub(crate) const fn minus_near_ceil(self) -> u64 {
        let above = (self.low > self.eighths) as u64;
        (0u64.wrapping_sub(self.high).wrapping_sub(above) as i64 >> self.s) as u64
    }
}

/// The division of a quota's words into fields. [`internals::word`](crate::internals::word#the-layout)
/// gives the reason for each number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    // `Earned` in parts, so that the two bytes share one word.
    pub(super) m: u64,
    pub(super) s: u8,
    /// A tick is 2^k nanoseconds.
    pub(super) k: u8,
    /// The count's bits, 2^B − 1.
    pub(super) mask: u64,
    /// Units in a token, U.
    pub(super) per_token: u64,
    /// Keeps the count of every word that can occur from wrapping below zero.
    pub(super) offset: u64,
    /// The count, at the same instant, of a full bucket: the offset and the capacity.
    pub(super) full: u64,
    /// If `age` is at most this, the count is exactly the bucket's level.
    pub(super) horizon: u64,
}

/// The fewest bits a count has beside the tick's: `B = k + 3`.
pub(super) const SPARE: u32 = 3;

impl Layout {
    #[inline]
    pub(crate) const fn earned(&self) -> Earned {
        Earned { m: self.m, s: self.s }
    }

    #[inline]
    pub(crate) const fn capacity(&self) -> Units {
        Units(self.full - self.offset)
    }

    /// Units in a token.
    pub(crate) const fn per_token(&self) -> u64 {
        self.per_token
    }

    #[inline]
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    #[inline]
    pub(crate) const fn full(&self) -> u64 {
        self.full
    }

    /// The largest cost: 2⁶³ − 1, far above any capacity.
    pub(crate) const MOST_COST: Units = Units(i64::MAX as u64);

    /// Returns the units that `tokens` cost with `per_token` units to a token, rounded up;
    /// [`MOST_COST`](Layout::MOST_COST) if they are more.
    #[inline]
    pub(crate) const fn cost(tokens: Tokens, per_token: u64) -> Units {
        if tokens.pico() != 0 {
            let units = units_up(tokens, per_token);
            return if units > Layout::MOST_COST.0 as u128 { Layout::MOST_COST } else { Units(units as u64) };
        }
        match (tokens.whole() as i64).checked_mul(per_token as i64) {
            Some(units) => Units(units as u64),
            None => Layout::MOST_COST,
        }
    }

    /// Returns the units in `tokens`, rounded up, however many.
    pub(crate) const fn units_up(&self, tokens: Tokens) -> u128 {
        units_up(tokens, self.per_token)
    }

    /// Returns the units in `tokens`, rounded down, however many.
    pub(crate) const fn units_down(&self, tokens: Tokens) -> u128 {
        units_down(tokens, self.per_token)
    }

    /// Returns the units in `tokens`, rounded down, at most the capacity.
    pub(crate) const fn units_clipped(&self, tokens: Tokens) -> Units {
        let units = self.units_down(tokens);
        if units > self.capacity().0 as u128 { self.capacity() } else { Units(units as u64) }
    }

    /// Returns the tokens in `units`, rounded up to 10⁻¹² token and clipped at [`Tokens::MAX`].
    pub(crate) const fn tokens_up(&self, units: u128) -> Tokens {
        if units == 0 {
            return Tokens::ZERO;
        }
        let per_token = self.per_token as u128;
        let (whole, rest) = (units / per_token, units % per_token);
        if whole > u32::MAX as u128 {
            return Tokens::MAX;
        }
        // In parts: a large amount in units of a slow rate, times 10¹², does not fit.
        Tokens::from_pico(whole * PICO as u128 + (rest * PICO as u128).div_ceil(per_token))
    }

    /// Returns the tokens in `units`, rounded down to 10⁻¹² token.
    pub(crate) const fn tokens_down(&self, units: Units) -> Tokens {
        Tokens::from_pico(units.0 as u128 * PICO as u128 / self.per_token as u128)
    }

    /// The count's bits.
    #[inline]
    pub(crate) const fn mask(&self) -> u64 {
        self.mask
    }

    /// Returns the tick of a reading, in place. A tick of 2^k ns stands above k + 3 bits, the same
    /// position as in a reading in eighths of a nanosecond.
    #[inline]
    pub(crate) const fn tick(&self, now: Reading) -> u64 {
        now.eighths() & !self.mask
    }

    /// Returns the tick of a word that is not special, in place.
    #[inline]
    pub(crate) const fn tick_of(&self, word: Word) -> u64 {
        word.bits() & !self.mask
    }

    /// Returns the start of a word's tick.
    pub(crate) const fn start(&self, word: Word) -> Reading {
        Reading::from_nanos(self.tick_of(word) >> SPARE)
    }

    /// Returns the end of a word's tick. The word was written at that time or a little before.
    pub(crate) const fn end(&self, word: Word) -> Reading {
        Reading::from_nanos(self.start(word).nanos() + (1 << self.k) - 1)
    }

    /// Returns the first instant of a tick that is not before `at`.
    #[cfg(feature = "std")]
    pub(crate) const fn next_tick(&self, at: Reading) -> Reading {
        let tick = self.tick(at);
        if tick == at.eighths() { at } else { Reading::from_nanos((tick + self.mask + 1) >> SPARE) }
    }

    /// Returns the distance from a word to the end of a reading's tick, in eighths of a nanosecond
    /// and units mixed. One comparison distinguishes three cases:
    ///
    /// - at most [`horizon`](Layout::horizon): the word was written in the reading's tick or not
    ///   long before, and the count is exact;
    /// - at most [`OLDEST`](Layout::OLDEST): the word was written so long before that the bucket is
    ///   surely full;
    /// - above: the word is special, or was written in a later tick.
    #[inline]
    pub(crate) const fn age(&self, word: Word, now: Reading) -> u64 {
        (now.eighths() | self.mask).wrapping_sub(word.bits())
    }

    #[inline]
    pub(crate) const fn horizon(&self) -> u64 {
        self.horizon
    }

    /// The age of a word of tick 0 and count 0 at the last reading. Later words are younger. The
    /// ages of special words, and of words from a later tick, wrap around to more.
    pub(crate) const OLDEST: u64 = (1 << 62) - 1;

    /// Returns the word with this intercept and tick.
    #[inline]
    pub(crate) const fn word(&self, intercept: Intercept, tick: u64) -> Word {
        Word::from_bits(tick | (intercept.0.wrapping_add(self.offset as i64) as u64 & self.mask))
    }
}

/// The units in `tokens` with `per_token` to a token, rounded down.
pub(super) const fn units_down(tokens: Tokens, per_token: u64) -> u128 {
    let whole = tokens.whole() as u128 * per_token as u128;
    // A division of 128 bits takes longer than all the rest.
    if tokens.pico() == 0 { whole } else { whole + tokens.pico() as u128 * per_token as u128 / PICO as u128 }
}

const fn units_up(tokens: Tokens, per_token: u64) -> u128 {
    let whole = tokens.whole() as u128 * per_token as u128;
    if tokens.pico() == 0 { whole } else { whole + (tokens.pico() as u128 * per_token as u128).div_ceil(PICO as u128) }
}

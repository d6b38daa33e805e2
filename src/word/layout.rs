//! The layout: how a quota's words are divided into fields, derived once from its rate and
//! capacity.

use super::earned::Earned;
use super::{Intercept, Reading, Units, Word};
use crate::tokens::{PICO, Tokens};

/// The division of a quota's words into fields. [`internals`](crate::internals) gives the reason
/// for each number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    // `Earned` in parts, so that the two bytes share one word.
    m: u64,
    s: u8,
    /// A tick is 2^k nanoseconds.
    k: u8,
    /// The count's bits, 2^B − 1.
    mask: u64,
    /// Units in a token, U.
    per_token: u64,
    /// Keeps the count of every word that can occur from wrapping below zero.
    offset: u64,
    /// The count, at the same instant, of a full bucket: the offset and the capacity.
    full: u64,
    /// If `age` is at most this, the count is exactly the bucket's level.
    horizon: u64,
}

/// The bits by which a count is wider than the `k` of its tick: `B = k + 3`.
const SPARE: u32 = 3;

/// The most units in a token that are tried: 10¹⁵. A thousand times this is below 2⁶³.
const MOST_UNITS: u128 = 1_000_000_000_000_000;

impl Layout {
    /// Returns the layout for `tokens` per `nanos`, in lowest terms. It has the finest unit that
    /// earns at most one a nanosecond and whose counts fit.
    ///
    /// A full bucket loses less than a unit when it is first taken from, so with units this fine a
    /// burst finds all its tokens however fast it is taken. If one token takes a whole number of
    /// nanoseconds, the unit is the amount that one nanosecond earns, and nothing is ever rounded.
    /// Otherwise the unit is an everyday fraction of a token in which whole milliseconds earn whole
    /// units, if there is such a fraction. A capacity that is not a whole number of those units
    /// gets decimal units, so that 12 decimals show exactly the amount that the bucket holds.
    pub(crate) const fn derive(tokens: u64, nanos: u128, capacity: Tokens, debt: Tokens) -> Option<Self> {
        let wanted = Wanted { tokens, nanos, capacity, debt };
        if tokens == 1 && nanos <= MOST_UNITS && is_whole(capacity, nanos as u64) {
            if let Some(layout) = wanted.with_unit(nanos as u64) {
                return Some(layout);
            }
        }
        wanted.finest()
    }

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

    /// Returns the units that `tokens` cost, rounded up; [`MOST_COST`](Layout::MOST_COST) if they
    /// are more.
    #[inline]
    pub(crate) const fn cost(&self, tokens: Tokens) -> Units {
        if tokens.pico() != 0 {
            let units = self.units_up(tokens);
            return if units > Layout::MOST_COST.0 as u128 { Layout::MOST_COST } else { Units(units as u64) };
        }
        match (tokens.whole() as i64).checked_mul(self.per_token as i64) {
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

/// The quota that a layout is derived from.
#[derive(Clone, Copy)]
struct Wanted {
    /// The rate in lowest terms: `tokens` per `nanos`.
    tokens: u64,
    nanos: u128,
    capacity: Tokens,
    debt: Tokens,
}

impl Wanted {
    /// Returns the layout with the finest unit whose counts fit.
    const fn finest(self) -> Option<Layout> {
        match self.finest_of(odd_part(self.nanos)) {
            Some(layout) if is_whole(self.capacity, layout.per_token) => Some(layout),
            _ => self.finest_of(1),
        }
    }

    /// Returns the layout with the finest unit among 1/odd, 1/2odd, 1/5odd, 1/10odd, … token.
    const fn finest_of(self, odd: u64) -> Option<Layout> {
        let mut scale = MOST_UNITS as u64;
        let mut step = 0;
        loop {
            let per_token = scale * odd;
            if self.tokens as u128 * per_token as u128 <= self.nanos {
                let layout = self.with_unit(per_token);
                if layout.is_some() {
                    return layout;
                }
            }
            if scale == 1 {
                return None;
            }
            // 10 → 5 → 2 → 1 → …
            scale = if step == 1 { scale / 5 * 2 } else { scale / 2 };
            step = (step + 1) % 3;
        }
    }

    const fn with_unit(self, per_token: u64) -> Option<Layout> {
        let (capacity, debt) = (units_down(self.capacity, per_token), units_down(self.debt, per_token));
        // Counts have at most 62 bits.
        if capacity == 0 || (capacity + debt) >> 62 != 0 {
            return None;
        }
        let Some(earned) = Earned::new(self.tokens as u128 * per_token as u128, self.nanos) else { return None };
        let mut k = 0;
        while k <= Reading::BITS {
            let tick = earned.ceil(1 << k) + 1;
            let offset = 2 * tick + debt + 2;
            let refill = earned.steps(capacity + debt + tick + 2, k);
            let ticks = 1u64 << (Reading::BITS - k);
            let span = if refill + 1 < ticks { refill + 1 } else { ticks };
            // Beside the span, this includes the rest of the reader's own tick.
            let top = offset + capacity + earned.ceil(span << k) + 2 * tick + 3;
            if top < 1 << (k + SPARE) {
                return Some(Layout {
                    m: earned.m,
                    s: earned.s,
                    k: k as u8,
                    mask: (1 << (k + SPARE)) - 1,
                    per_token,
                    offset: offset as u64,
                    full: (offset + capacity) as u64,
                    horizon: (span << (k + SPARE)) - 1,
                });
            }
            k += 1;
        }
        None
    }
}

/// Returns a period without its factors of two and five: 3 for most rates per minute. With this
/// factor in the unit, whole milliseconds earn whole units. If the factor is large, there is no
/// such everyday instant; the result is 1, and the unit is decimal.
const fn odd_part(mut nanos: u128) -> u64 {
    while nanos.is_multiple_of(2) {
        nanos /= 2;
    }
    while nanos.is_multiple_of(5) {
        nanos /= 5;
    }
    if nanos < 1_000 { nanos as u64 } else { 1 }
}

/// Returns whether `tokens` are a whole number of units.
const fn is_whole(tokens: Tokens, per_token: u64) -> bool {
    (tokens.pico() as u128 * per_token as u128).is_multiple_of(PICO as u128)
}

const fn units_down(tokens: Tokens, per_token: u64) -> u128 {
    tokens.whole() as u128 * per_token as u128 + tokens.pico() as u128 * per_token as u128 / PICO as u128
}

const fn units_up(tokens: Tokens, per_token: u64) -> u128 {
    tokens.whole() as u128 * per_token as u128 + (tokens.pico() as u128 * per_token as u128).div_ceil(PICO as u128)
}

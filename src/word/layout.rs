//! The layout: how a quota's words are cut, derived once from its rate and capacity.

use super::earned::Earned;
use super::{Intercept, Reading, Units, Word};
use crate::tokens::{PICO, Tokens};

/// How the words of one quota are cut and read. `DERIVATION` in the module's documentation
/// says why each number is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    // `Earned` in parts, so that the two bytes share one word.
    m: u64,
    s: u8,
    /// A tick is 2^k nanoseconds.
    k: u8,
    /// Units in a token, U.
    per_token: u64,
    capacity: Units,
    /// How far below zero a commit may go.
    debt: Units,
    /// Keeps the count of every word that can occur from wrapping below zero.
    offset: u64,
    /// Where `age` is at most this, the count says exactly what the bucket holds.
    horizon: u64,
}

/// The fewest bits a count has beside the tick's: `B = k + 3`.
const SPARE: u32 = 3;

impl Layout {
    /// The layout with the finest useful unit for `tokens` per `nanos`: the largest of
    /// 1, 2, 5 × 10^j units a token, up to 10¹², that earns at most a unit a microsecond (but
    /// at least ten units a token up to 10⁷ tokens/s, one above) and whose counts fit.
    pub(crate) const fn derive(tokens: u64, nanos: u128, capacity: Tokens, debt: Tokens) -> Option<Self> {
        let mut per_token = PICO;
        let mut step = 0;
        loop {
            let fine = tokens as u128 * per_token as u128 * 1_000 > nanos;
            let least = if tokens as u128 * 100 <= nanos { 10 } else { 1 };
            if !fine || per_token <= least {
                if let Some(layout) = Layout::with_unit(tokens, nanos, capacity, debt, per_token) {
                    return Some(layout);
                }
            }
            if per_token == 1 {
                return None;
            }
            // 10 → 5 → 2 → 1 → …
            per_token = if step == 1 { per_token * 2 / 5 } else { per_token / 2 };
            step = (step + 1) % 3;
        }
    }

    const fn with_unit(tokens: u64, nanos: u128, capacity: Tokens, debt: Tokens, per_token: u64) -> Option<Self> {
        let (capacity, debt) = (units_down(capacity, per_token), units_down(debt, per_token));
        // Counts have at most 62 bits.
        if capacity == 0 || (capacity + debt) >> 62 != 0 {
            return None;
        }
        let Some(earned) = Earned::new(tokens as u128 * per_token as u128, nanos) else { return None };
        let mut k = 0;
        while k <= 59 {
            let tick = earned.ceil(1 << k) + 1;
            let offset = 2 * tick + debt + 2;
            let refill = earned.steps(capacity + debt + tick + 2, k);
            let ticks = 1u64 << (Reading::BITS - k);
            let span = if refill + 1 < ticks { refill + 1 } else { ticks };
            // The two: a word may stand one tick ahead of its reader.
            let top = offset + capacity + earned.ceil((span + 2) << k) + 3;
            if top < 1 << (k + SPARE) {
                let all = (1 << 62) + (1u64 << (k + SPARE));
                let horizon = if refill + 1 < ticks { (refill + 1) << (k + SPARE) } else { all };
                return Some(Layout {
                    m: earned.m,
                    s: earned.s,
                    k: k as u8,
                    per_token,
                    capacity: Units(capacity as u64),
                    debt: Units(debt as u64),
                    offset: offset as u64,
                    horizon: if horizon < all { horizon } else { all },
                });
            }
            k += 1;
        }
        None
    }

    #[inline]
    pub(crate) const fn earned(&self) -> Earned {
        Earned { m: self.m, s: self.s }
    }

    #[inline]
    pub(crate) const fn capacity(&self) -> Units {
        self.capacity
    }

    pub(crate) const fn debt(&self) -> Units {
        self.debt
    }

    /// Units in a token.
    pub(crate) const fn per_token(&self) -> u64 {
        self.per_token
    }

    #[inline]
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The units that `tokens` cost, rounded up; `None` where that is above the capacity.
    #[inline]
    pub(crate) const fn cost(&self, tokens: Tokens) -> Option<Units> {
        // Bounds `whole` by the capacity in tokens, so that the product does not overflow.
        let units = match (tokens.whole() as u64).checked_mul(self.per_token) {
            Some(units) => units,
            None => return None,
        };
        let units = if tokens.pico() == 0 { units } else { units_up(tokens, self.per_token) as u64 };
        if units > self.capacity.0 { None } else { Some(Units(units)) }
    }

    /// The units in `tokens`, rounded up, however many.
    pub(crate) const fn units_up(&self, tokens: Tokens) -> u128 {
        units_up(tokens, self.per_token)
    }

    /// The units in `tokens`, rounded down, however many.
    pub(crate) const fn units_down(&self, tokens: Tokens) -> u128 {
        units_down(tokens, self.per_token)
    }

    /// The units in `tokens`, rounded down, at most the capacity.
    pub(crate) const fn units_clipped(&self, tokens: Tokens) -> Units {
        let units = self.units_down(tokens);
        if units > self.capacity.0 as u128 { self.capacity } else { Units(units as u64) }
    }

    /// Exact, because U divides 10¹²; clipped at [`Tokens::MAX`].
    pub(crate) const fn tokens(&self, units: u128) -> Tokens {
        let pico_per_unit = (PICO / self.per_token) as u128;
        match units.checked_mul(pico_per_unit) {
            Some(pico) => Tokens::from_pico(pico),
            None => Tokens::MAX,
        }
    }

    /// 2^B.
    #[inline]
    pub(crate) const fn one_tick(&self) -> u64 {
        1 << (self.k as u32 + SPARE)
    }

    /// The count's bits.
    #[inline]
    pub(crate) const fn mask(&self) -> u64 {
        self.one_tick() - 1
    }

    /// The tick of a reading, in place. A tick of 2^k ns in a field above k + 3 bits is the
    /// reading shifted by three.
    #[inline]
    pub(crate) const fn tick(&self, now: Reading) -> u64 {
        (now.nanos() << SPARE) & !self.mask()
    }

    /// The tick of a word that is not special, in place.
    #[inline]
    pub(crate) const fn tick_of(&self, word: Word) -> u64 {
        word.bits() & !self.mask()
    }

    /// The start of a word's tick.
    pub(crate) const fn start(&self, word: Word) -> Reading {
        Reading::from_nanos(self.tick_of(word) >> SPARE)
    }

    /// The end of a word's tick: the word was written then or a little before.
    pub(crate) const fn end(&self, word: Word) -> Reading {
        Reading::from_nanos(self.start(word).nanos() + (1 << self.k) - 1)
    }

    /// The distance from a word to a reading, in eighths of a nanosecond, and 2^B more. One
    /// comparison of it tells the three cases apart:
    ///
    /// - at most [`horizon`](Layout::horizon): the count is exact;
    /// - at most [`oldest`](Layout::oldest): so long ago that the bucket is surely full;
    /// - above: the word is special, or written more than a tick after the reading.
    #[inline]
    pub(crate) const fn age(&self, word: Word, now: Reading) -> u64 {
        ((now.nanos() << SPARE) + self.one_tick()).wrapping_sub(word.bits())
    }

    #[inline]
    pub(crate) const fn horizon(&self) -> u64 {
        self.horizon
    }

    #[inline]
    pub(crate) const fn oldest(&self) -> u64 {
        (1 << 62) + self.one_tick()
    }

    /// The word with this intercept and tick.
    #[inline]
    pub(crate) const fn word(&self, intercept: Intercept, tick: u64) -> Word {
        Word::from_bits(tick | (intercept.0.wrapping_add(self.offset as i64) as u64 & self.mask()))
    }
}

const fn units_down(tokens: Tokens, per_token: u64) -> u128 {
    tokens.whole() as u128 * per_token as u128 + tokens.pico() as u128 * per_token as u128 / PICO as u128
}

const fn units_up(tokens: Tokens, per_token: u64) -> u128 {
    tokens.whole() as u128 * per_token as u128 + (tokens.pico() as u128 * per_token as u128).div_ceil(PICO as u128)
}

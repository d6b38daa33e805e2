//! The derivation of a layout from a rate and a capacity.

use super::layout::{Earned, Layout, SPARE, units_down};
use super::reading::Reading;
use crate::tokens::{PICO, Tokens};

/// The most units in a token that are tried: 10¹⁵, a thousand times which is below 2⁶³.
const MOST_UNITS: u64 = 1_000_000_000_000_000;

impl Layout {
    /// Returns the layout for `tokens` per `nanos`, in lowest terms. Its unit is the finest that
    /// earns at most one per nanosecond and whose counts fit; `None` if no unit fits.
    ///
    /// A full bucket loses less than a unit when it is first taken from. So with units this fine, a
    /// burst finds all its tokens however fast it is taken. If one token takes a whole number of
    /// nanoseconds, the unit is the amount that one nanosecond earns, and nothing is ever rounded. If
    /// not, the unit is an everyday fraction of a token in which whole milliseconds earn whole units,
    /// if there is one. A capacity that is not a whole number of those units gets decimal units, so
    /// that 12 decimals show exactly the amount that the bucket holds.
    pub(crate) const fn derive(tokens: u64, nanos: u128, capacity: Tokens, debt: Tokens) -> Option<Self> {
        let wanted = Wanted { tokens, nanos, capacity, debt };
        if tokens == 1 && nanos <= MOST_UNITS as u128 && is_whole(capacity, nanos as u64) {
            if let Some(layout) = wanted.with_unit(nanos as u64) {
                return Some(layout);
            }
        }
        wanted.finest()
    }
}

/// The rate and the amounts from which a layout is derived.
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
        let odd = odd_part(self.nanos);
        let finest = self.finest_of(odd);
        match finest {
            Some(layout) if is_whole(self.capacity, layout.per_token) => finest,
            _ if odd == 1 => finest,
            _ => self.finest_of(1),
        }
    }

    /// Returns the layout with the finest unit that fits among 1/odd, 1/2odd, 1/5odd, 1/10odd, … token.
    const fn finest_of(self, odd: u64) -> Option<Layout> {
        // The most units that earn at most one a nanosecond.
        let most = quotient(self.nanos, self.tokens as u128 * odd as u128);
        if most == 0 {
            return None;
        }
        let (mut digit, mut power) = leading(if most < MOST_UNITS as u128 { most as u64 } else { MOST_UNITS });
        loop {
            let layout = self.with_unit(digit * power * odd);
            if layout.is_some() {
                return layout;
            }
            (digit, power) = match digit {
                5 => (2, power),
                2 => (1, power),
                _ if power == 1 => return None,
                _ => (5, power / 10),
            };
        }
    }

    /// Returns the layout with `per_token` units to a token, and the shortest ticks whose counts fit.
    const fn with_unit(self, per_token: u64) -> Option<Layout> {
        let (capacity, debt) = (units_down(self.capacity, per_token), units_down(self.debt, per_token));
        // Counts have at most 62 bits.
        if capacity == 0 || (capacity + debt) >> 62 != 0 {
            return None;
        }
        let (capacity, debt) = (capacity as u64, debt as u64);
        let Some(earned) = Earned::new(self.tokens as u128 * per_token as u128, self.nanos) else { return None };
        let counts = Counts { earned, capacity, debt, all: earned.tick(Reading::BITS) };
        let mut k = counts.least();
        while k <= Reading::BITS {
            if counts.may_fit(k) {
                let span = counts.span(k);
                if counts.top(k, span) < 1 << (k + SPARE) {
                    let offset = counts.offset(k);
                    return Some(Layout {
                        m: earned.m,
                        s: earned.s,
                        k: k as u8,
                        mask: (1 << (k + SPARE)) - 1,
                        per_token,
                        offset,
                        full: offset + capacity,
                        horizon: (span << (k + SPARE)) - 1,
                    });
                }
            }
            k += 1;
        }
        None
    }
}

/// The counts of words whose ticks take 2^k nanoseconds, in units. The capacity and the debt are
/// below 2⁶² together, and a nanosecond earns at most one unit: no sum here reaches 2⁶⁴.
#[derive(Clone, Copy)]
struct Counts {
    earned: Earned,
    capacity: u64,
    debt: u64,
    /// The units that are earned in the whole range of readings.
    all: u64,
}

impl Counts {
    /// R of [`internals::word`](crate::internals::word#the-layout): more than a bucket earns in a tick.
    const fn tick(self, k: u32) -> u64 {
        self.earned.tick(k) + 1
    }

    /// Keeps the count of every word that can occur from wrapping below zero.
    const fn offset(self, k: u32) -> u64 {
        2 * self.tick(k) + self.debt + 2
    }

    /// The ticks in which a bucket is surely full, and one more; or all there are.
    const fn span(self, k: u32) -> u64 {
        let refill = self.earned.steps(self.capacity + self.debt + self.tick(k) + 2, k);
        let ticks = 1 << (Reading::BITS - k);
        if refill < ticks { refill + 1 } else { ticks }
    }

    /// The highest count that can occur: that of a full bucket, what it earns in the span, and,
    /// beside the span, in the rest of the reader's own tick.
    const fn top(self, k: u32, span: u64) -> u64 {
        self.offset(k) + self.capacity + self.earned.ticks(span, k) + 2 * self.tick(k) + 3
    }

    /// Returns a k below which no count fits: [`top`](Counts::top) is at least capacity + debt + 13.
    const fn least(self) -> u32 {
        let bits = u64::BITS - (self.capacity + self.debt + 13).leading_zeros();
        bits.saturating_sub(SPARE)
    }

    /// Returns false if the counts surely do not fit, by a lower bound of [`top`](Counts::top) that
    /// takes no division.
    const fn may_fit(self, k: u32) -> bool {
        let (held, tick) = (self.capacity + self.debt, self.tick(k));
        let refill = held + 2 * tick + 1;
        let span = if refill < self.all { refill } else { self.all };
        held + 4 * tick + 5 + span < 1 << (k + SPARE)
    }
}

/// Returns the leading digit, rounded down to 1, 2 or 5, and the power of ten of a number above
/// zero.
const fn leading(number: u64) -> (u64, u64) {
    let power = 10u64.pow(number.ilog10());
    let digit = match number / power {
        1 => 1,
        2..=4 => 2,
        _ => 5,
    };
    (digit, power)
}

/// Returns a period without its factors of two and five: 3 for most rates per minute. With this
/// factor in the unit, whole milliseconds earn whole units. If it is large, there is no such everyday
/// instant: the result is 1, and the unit is decimal.
const fn odd_part(nanos: u128) -> u64 {
    let mut rest = nanos >> nanos.trailing_zeros();
    while rest > u64::MAX as u128 {
        if !rest.is_multiple_of(5) {
            return 1;
        }
        rest /= 5;
    }
    let mut rest = rest as u64;
    // Most periods have nine or ten fives.
    while rest.is_multiple_of(625) {
        rest /= 625;
    }
    while rest.is_multiple_of(5) {
        rest /= 5;
    }
    if rest < 1_000 { rest } else { 1 }
}

/// Returns whether `tokens` are a whole number of units.
const fn is_whole(tokens: Tokens, per_token: u64) -> bool {
    tokens.pico() == 0 || (tokens.pico() as u128 * per_token as u128).is_multiple_of(PICO as u128)
}

/// Divides in 64 bits if they are enough, which takes a fraction of the time.
const fn quotient(number: u128, divisor: u128) -> u128 {
    if number <= u64::MAX as u128 && divisor <= u64::MAX as u128 {
        return (number as u64 / divisor as u64) as u128;
    }
    number / divisor
}

//! Limiter time: the time that a bucket's words count, which runs slower than the clock if the quota is
//! below the highest one.

use super::earned::{Due, first_after};
use super::reading::{Moment, Reading};

/// The straight line from readings to limiter time between two changes of a quota:
///
/// ```text
/// V(t) = at_start + (t − start) · slope / 2^63        from `start` on, rounded down, at most `last`
/// V(t) = at_start − (start − t)                       before `start`, at least zero
/// ```
///
/// Tokens are earned by this line. A full bucket that is taken from begins to refill at a limiter time that is
/// rounded up; before `start`, that is `at_start`.
///
/// A limiter at its highest quota has a slope of one, and V(t) = t if it has had no other. Before
/// `start` the limiter had other lines, none of them steeper than one. So the line there is a lower bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    pub(crate) start: Reading,
    /// The limiter time at `start`, a whole number of nanoseconds.
    pub(crate) at_start: Reading,
    /// In 2⁻⁶³, rounded up; at most 2⁶³.
    pub(crate) slope: u64,
    /// The limiter time at which the line ends, while an era begins.
    pub(crate) last: Reading,
}

impl Pace {
    /// The slope of a limiter at its highest quota.
    pub(crate) const FULL: u64 = 1 << 63;

    /// Returns the ratio of two rates as a slope; the first is not above the second. Each rate is
    /// in tokens per nanoseconds.
    pub(crate) fn slope_of(rate: (u64, u128), highest: (u64, u128)) -> u64 {
        // Both divisors are above zero, because rates are.
        let tokens = gcd(rate.0.into(), highest.0.into());
        let nanos = gcd(rate.1, highest.1);
        let (mut up, mut down) = (product(rate.0, tokens, highest.1, nanos), product(highest.0, tokens, rate.1, nanos));
        if up.is_none() || down.is_none() {
            // Rates with numbers this long are rounded up by less than one part in 2⁶⁰.
            let shift = |number: u128| number.ilog2().saturating_sub(62);
            let (numerator, denominator) = (shift(highest.1), shift(rate.1));
            let (long, short) = ((highest.1 >> numerator) + 1, rate.1 >> denominator);
            let common = numerator.max(denominator);
            up = product(rate.0, tokens, long, 1).map(|up| up >> (common - numerator));
            down = product(highest.0, tokens, short, 1).map(|down| down >> (common - denominator));
        }
        match (up, down) {
            (Some(up), Some(down)) if up < down => quotient(up, down),
            _ => Pace::FULL,
        }
    }

    /// Returns the limiter time of a reading.
    #[inline]
    pub(crate) fn at(self, now: Reading) -> Moment {
        if now < self.start {
            let before = self.start.nanos() - now.nanos();
            let floor = Reading::from_nanos(self.at_start.nanos().saturating_sub(before));
            return Moment { floor, near: self.at_start };
        }
        Moment { floor: self.floor(now), near: self.near(now) }
    }

    /// Returns the limiter time of a reading from `start` on, rounded down.
    #[inline]
    pub(crate) fn floor(self, now: Reading) -> Reading {
        let passed = u128::from(now.nanos() - self.start.nanos()) * u128::from(self.slope);
        self.after((passed >> 63) as u64)
    }

    /// Returns the same, rounded up.
    #[inline]
    pub(crate) fn near(self, now: Reading) -> Reading {
        let passed = u128::from(now.nanos() - self.start.nanos()) * u128::from(self.slope - 1);
        self.after(passed.div_ceil(1 << 63) as u64)
    }

    /// Returns the limiter time when this much has passed.
    #[inline]
    fn after(self, passed: u64) -> Reading {
        // The last one is in the range of readings.
        let at = self.at_start.nanos() + passed;
        if at < self.last.nanos() { Reading::from_valid(at) } else { self.last }
    }

    /// Returns the first reading at which limiter time has come to `at`, as if the line had no end; `None`
    /// if it is beyond the range of readings.
    pub(crate) fn first(self, at: Reading) -> Option<Reading> {
        let Some(ahead) = at.nanos().checked_sub(self.at_start.nanos()) else {
            let before = self.at_start.nanos() - at.nanos();
            return Some(Reading::from_nanos(self.start.nanos().saturating_sub(before)));
        };
        first_after(self.start, ahead, self.slope)
    }

    /// The same, as an instant that is seen at `now`.
    pub(crate) fn due(self, now: Reading, at: Reading) -> Due {
        if at < self.at_start { Due::at_reading(now, self.first(at)) } else { self.later(now, at) }
    }

    /// The same, if `at` is not before `at_start`.
    #[inline(always)]
    pub(crate) fn later(self, now: Reading, at: Reading) -> Due {
        Due::paced(now, self.start, at.nanos() - self.at_start.nanos(), self.slope)
    }
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Returns `tokens / tokens_divisor · nanos / nanos_divisor`; `None` if it has more than 126 bits.
fn product(tokens: u64, tokens_divisor: u128, nanos: u128, nanos_divisor: u128) -> Option<u128> {
    (u128::from(tokens) / tokens_divisor).checked_mul(nanos / nanos_divisor).filter(|product| product >> 126 == 0)
}

/// Returns `up / down` in 2⁻⁶³, rounded up. Needs `up < down < 2¹²⁶`.
fn quotient(up: u128, down: u128) -> u64 {
    let (mut slope, mut rest) = (0u64, up);
    for _ in 0..63 {
        rest <<= 1;
        slope <<= 1;
        if rest >= down {
            rest -= down;
            slope |= 1;
        }
    }
    slope + u64::from(rest != 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pace(start: u64, at_start: u64, slope: u64) -> Pace {
        let [start, at_start] = [start, at_start].map(Reading::from_nanos);
        Pace { start, at_start, slope, last: Reading::MAX }
    }

    #[test]
    fn simple_ratios_are_exact() {
        let second = 1_000_000_000;
        assert_eq!(Pace::slope_of((50, second), (100, second)), 1 << 62);
        assert_eq!(Pace::slope_of((6_000, 60 * second), (100, second)), Pace::FULL);
        assert_eq!(Pace::slope_of((1, second), (3, second)), (1u64 << 63).div_ceil(3));
        // A tenth of a rate, at round instants.
        let tenth = pace(5, 7, Pace::slope_of((1, second), (10, second)));
        for tens in [0, 1, 2, 1_000_000_007] {
            assert_eq!(tenth.at(Reading::from_nanos(5 + 10 * tens)), Moment::of(Reading::from_nanos(7 + tens)));
        }
    }

    proptest! {
        #[test]
        fn the_first_reading_is_the_first(
            start in 0u64..1 << 40, at_start in 0u64..1 << 40, slope in 1u64 << 40..=1 << 63, at in 0u64..1 << 41,
        ) {
            let pace = pace(start, at_start, slope);
            if let Some(first) = pace.first(Reading::from_nanos(at)) {
                prop_assert!(pace.at(first).floor.nanos() >= at);
                if first.nanos() > 0 {
                    prop_assert!(pace.at(Reading::from_nanos(first.nanos() - 1)).floor.nanos() < at);
                }
            }
        }

        #[test]
        fn limiter_time_never_falls_and_never_runs_ahead(
            start in 0u64..1 << 40, at_start in 0u64..1 << 40, slope in 1u64..=1 << 63, a in 0u64..1 << 58, more in 0u64..1 << 58,
        ) {
            let pace = pace(start, at_start, slope);
            let (a, b) = (pace.at(Reading::from_nanos(a)), pace.at(Reading::from_nanos(a + more)));
            prop_assert!(a.floor <= a.near && b.floor <= b.near);
            if b.floor.nanos() >= at_start {
                prop_assert!(b.near.nanos() <= b.floor.nanos() + 1);
            }
            prop_assert!(a.floor <= b.floor && a.near <= b.near);
            prop_assert!(b.floor.nanos() - a.floor.nanos() <= more + 1);
        }
    }
}

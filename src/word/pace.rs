//! Limiter time: the time that a bucket's words count, which runs slower than the clock if the quota is
//! below the highest one.

use super::earned::Due;
use super::layout::Earned;
use super::reading::{Moment, Reading};
use super::wide::Wide;

/// The straight line from readings to limiter time between two changes of a quota:
///
/// ```text
/// V(t) = at_start + (t − start) · slope        from `start` on, rounded down, at most `last`
/// V(t) = at_start − (start − t)                before `start`, at least zero
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
    /// The nanoseconds of limiter time that a nanosecond earns, at most one. A slope has as many bits as a rate,
    /// however small it is: its error, too, is less than 1/16 ns of the clock.
    pub(crate) slope: Earned,
    /// The limiter time at which the line ends, while an era begins.
    pub(crate) last: Reading,
}

impl Pace {
    /// The slope of a limiter at its highest quota.
    pub(crate) const FULL: Earned = Earned { m: 1 << 63, s: 2 };

    /// A slope by which less than a nanosecond passes in the whole range of readings.
    const LEAST: Earned = Earned { m: 1 << 63, s: 63 };

    /// Returns the ratio of two rates as a slope, rounded up; the first is not above the second. Each rate is
    /// in tokens per nanoseconds.
    pub(crate) fn slope_of(rate: (u64, u128), highest: (u64, u128)) -> Earned {
        let (up, down) = (Wide::product(rate.0, highest.1), Wide::product(highest.0, rate.1));
        if up >= down {
            return Pace::FULL;
        }
        let (mut rest, mut s) = (up, Pace::FULL.s);
        while rest < down {
            (rest, s) = (rest.twice(), s + 1);
            if s > Pace::LEAST.s {
                return Pace::LEAST;
            }
        }
        rest = rest.minus(down);
        let mut m = 1u64;
        for _ in 0..63 {
            (rest, m) = (rest.twice(), m << 1);
            if rest >= down {
                (rest, m) = (rest.minus(down), m | 1);
            }
        }
        match m.checked_add(u64::from(rest != Wide::ZERO)) {
            Some(m) => Earned { m, s },
            // 2⁶⁴ is 2⁶³ with one binary place less.
            None => Earned { m: 1 << 63, s: s - 1 },
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
        self.after(self.slope.at(self.since_start(now)).0)
    }

    /// Returns the same, rounded up.
    #[inline]
    pub(crate) fn near(self, now: Reading) -> Reading {
        self.after(self.slope.near_ceil(self.since_start(now)).0)
    }

    #[inline]
    fn since_start(self, now: Reading) -> Reading {
        Reading::from_valid(now.nanos() - self.start.nanos())
    }

    /// Returns the limiter time when this much has passed.
    #[inline]
    fn after(self, passed: u64) -> Reading {
        // The last one is in the range of readings.
        let at = self.at_start.nanos() + passed;
        if at < self.last.nanos() { Reading::from_valid(at) } else { self.last }
    }

    /// Returns the first reading at which limiter time has come to `at`, as if the line had no end, as an instant
    /// that is seen at `now`.
    pub(crate) fn due(self, now: Reading, at: Reading) -> Due {
        match self.at_start.nanos().checked_sub(at.nanos()) {
            None | Some(0) => self.later(now, at),
            Some(before) => Due::at_reading(now, Some(Reading::from_nanos(self.start.nanos().saturating_sub(before)))),
        }
    }

    /// The same, if `at` is not before `at_start`.
    #[inline(always)]
    pub(crate) fn later(self, now: Reading, at: Reading) -> Due {
        Due::paced(now, self.start, at.nanos() - self.at_start.nanos(), self.slope)
    }
}

#[cfg(test)]
mod tests {
    use ethnum::U256;
    use proptest::prelude::*;

    use super::*;

    /// A line from this start, and its slope's exact value as a fraction.
    fn pace(start: u64, at_start: u64, rate: (u64, u128), highest: (u64, u128)) -> (Pace, [U256; 2]) {
        let [start, at_start] = [start, at_start].map(Reading::from_nanos);
        let slope = Pace::slope_of(rate, highest);
        let wide = |tokens: u64, nanos: u128| U256::from(tokens) * U256::from(nanos);
        (Pace { start, at_start, slope, last: Reading::MAX }, [wide(rate.0, highest.1), wide(highest.0, rate.1)])
    }

    #[test]
    fn simple_ratios_are_exact() {
        let second = 1_000_000_000;
        assert_eq!(Pace::slope_of((50, second), (100, second)), Earned { m: 1 << 63, s: 3 });
        assert_eq!(Pace::slope_of((6_000, 60 * second), (100, second)), Pace::FULL);
        assert_eq!(Pace::slope_of((1, second), (3, second)), Earned { m: (1u128 << 65).div_ceil(3) as u64, s: 4 });
        // A tenth of a rate, at round instants.
        let (tenth, _) = pace(5, 7, (1, second), (10, second));
        for tens in [0, 1, 2, 1_000_000_007, 1 << 55] {
            assert_eq!(tenth.at(Reading::from_nanos(5 + 10 * tens)), Moment::of(Reading::from_nanos(7 + tens)));
        }
        // The slowest of all rates beside the fastest: nothing passes.
        let (slowest, _) = pace(0, 7, (1, 10_000 * 366 * 86_400 * second), (1, 1));
        let [at, after] = [7, 8].map(Reading::from_nanos);
        assert_eq!(slowest.at(Reading::MAX), Moment { floor: at, near: after });
        assert_eq!(slowest.due(at, after).at(), None);
    }

    /// Rates of all lengths: one token in up to 10 000 years, and up to one in a nanosecond.
    fn rate() -> impl Strategy<Value = (u64, u128)> {
        (any::<u64>(), 0..64u32, any::<u128>(), 0..94u32).prop_map(|(tokens, few, nanos, short)| {
            let (tokens, nanos) = ((tokens >> few).max(1), (nanos >> 34) >> short);
            (tokens, nanos.max(tokens.into()))
        })
    }

    fn two_rates() -> impl Strategy<Value = [(u64, u128); 2]> {
        (rate(), rate())
            .prop_map(|(a, b)| if Wide::product(a.0, b.1) < Wide::product(b.0, a.1) { [a, b] } else { [b, a] })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        /// In integers of 256 bits, at every distance: limiter time is exact to a sixteenth of a nanosecond of the
        /// clock, and exact wherever it is a whole number of nanoseconds.
        #[test]
        fn limiter_time_is_exact_for_years([rate, highest] in two_rates(), passed in 0..1u64 << 59, short in 0..59u32) {
            let (pace, [up, down]) = pace(0, 0, rate, highest);
            let passed = passed >> short;
            let at = pace.at(Reading::from_nanos(passed));
            let [floor, near] = [at.floor, at.near].map(|at| U256::from(at.nanos()));
            // In sixteenths.
            let exact = U256::from(passed) * 16 * up;
            prop_assert!(floor * 16 * down <= exact + up, "early");
            prop_assert!(floor == exact / (down * 16) || floor == (exact + up) / (down * 16), "late");
            prop_assert!(near * 16 * down + up >= exact, "begins to refill early");
            prop_assert!(floor <= near && near <= floor + 1);
            if exact % (down * 16) == U256::ZERO {
                prop_assert_eq!(floor, near);
            }
        }

        #[test]
        fn the_first_reading_is_the_first(
            start in 0u64..1 << 40, at_start in 0u64..1 << 58, [rate, highest] in two_rates(), at in 0u64..1 << 59, short in 0..59u32,
        ) {
            let (pace, _) = pace(start, at_start, rate, highest);
            let at = Reading::from_nanos(if short < 30 { at_start.saturating_sub(at >> short) } else { at_start + (at >> short) });
            match pace.due(pace.start, at).at() {
                Some(first) => {
                    prop_assert!(pace.at(first).floor >= at || first.nanos() == 0);
                    if first.nanos() > 0 {
                        prop_assert!(pace.at(Reading::from_nanos(first.nanos() - 1)).floor < at);
                    }
                }
                None => prop_assert!(pace.at(Reading::MAX).floor < at),
            }
        }

        #[test]
        fn limiter_time_never_falls_and_never_runs_ahead(
            start in 0u64..1 << 40, at_start in 0u64..1 << 40, [rate, highest] in two_rates(), a in 0u64..1 << 58, more in 0u64..1 << 58,
        ) {
            let (pace, _) = pace(start, at_start, rate, highest);
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

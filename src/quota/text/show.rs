//! Writes a quota as the shortest text that reads back exactly.

use core::fmt;

use crate::quota::rate::{Rate, SECOND, gcd};
use crate::quota::value::Quota;

/// The units of a rate, the smallest first: nanoseconds, the length that `/` and the name count
/// for, the name. `h` counts for as much as `min`; otherwise 15 a minute would be shown as 900 an
/// hour.
const PER: [(u64, usize, &str); 4] =
    [(SECOND, 2, "s"), (60 * SECOND, 4, "min"), (3_600 * SECOND, 4, "h"), (86_400 * SECOND, 4, "day")];

/// The units of a period, the largest first.
const PERIOD: [(u64, &str); 7] = [
    (86_400 * SECOND, "d"),
    (3_600 * SECOND, "h"),
    (60 * SECOND, "min"),
    (SECOND, "s"),
    (1_000_000, "ms"),
    (1_000, "us"),
    (1, "ns"),
];

/// A number with more digits than this was not written by a person.
const LONGEST: u128 = 1_000_000_000_000_000_000;

/// A short text that reads back as an equal quota: `100/s burst 200`.
///
/// The rate is shown in the unit that makes it shortest (`0.5/s`, `15/min`, `1000/day`). If no unit
/// makes it a decimal of a few digits, it is shown with its exact period (`1 per 3ns`). `initial`
/// and `debt` follow if they differ from the burst.
impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} burst {}", self.rate, self.burst)?;
        if !self.starts_full() {
            write!(f, " initial {}", self.initial)?;
        }
        match self.max_debt {
            Some(debt) if debt != self.burst => write!(f, " debt {debt}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quota(\"{self}\")")
    }
}

impl Rate {
    /// Returns the rate's count in `unit` nanoseconds, if that is a decimal of at most 18 digits.
    fn count(self, unit: u64) -> Option<Count> {
        let tokens = u128::from(self.tokens) * u128::from(unit);
        let divisor = gcd(tokens, self.nanos());
        let (tokens, mut rest) = (tokens / divisor, self.nanos() / divisor);
        let (mut twos, mut fives) = (0, 0);
        while rest.is_multiple_of(2) {
            (rest, twos) = (rest / 2, twos + 1);
        }
        while rest.is_multiple_of(5) {
            (rest, fives) = (rest / 5, fives + 1);
        }
        if rest != 1 {
            return None;
        }
        let decimals = twos.max(fives);
        let scale = if twos < fives { 2u128.checked_pow(fives - twos) } else { 5u128.checked_pow(twos - fives) };
        let digits = tokens.checked_mul(scale?).filter(|&digits| digits < LONGEST)?;
        Some(Count { digits, decimals })
    }

    /// Returns the largest unit that divides the period: the number of units, and the unit's name.
    fn whole_period(self) -> (u128, &'static str) {
        let nanos = self.nanos();
        let whole = PERIOD.iter().find(|unit| nanos.is_multiple_of(u128::from(unit.0)));
        let &(unit, name) = whole.unwrap_or(&(1, "ns"));
        (nanos / u128::from(unit), name)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (period, name) = self.whole_period();
        let spelled = length(self.tokens.into()) + " per ".len() + length(period) + name.len();
        let shortest = PER
            .iter()
            .filter_map(|&(unit, weight, name)| self.count(unit).map(|count| (count.length() + weight, count, name)))
            .min_by_key(|(length, count, _)| (*length, count.decimals > 0));
        // Whole numbers a second are how people think of rates, `1 per 1ns` is not.
        let plain = u128::from(SECOND).is_multiple_of(self.nanos());
        match shortest {
            Some((length, count, name)) if plain || length <= spelled => write!(f, "{count}/{name}"),
            _ => write!(f, "{} per {period}{name}", self.tokens),
        }
    }
}

/// `digits × 10^-decimals`, without zeros behind the point.
struct Count {
    digits: u128,
    decimals: u32,
}

impl Count {
    fn length(&self) -> usize {
        match self.decimals as usize {
            0 => length(self.digits),
            decimals => length(self.digits).max(decimals + 1) + ".".len(),
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.decimals == 0 {
            return write!(f, "{}", self.digits);
        }
        let width = self.decimals as usize;
        // `digits` is below 10¹⁸, so that a larger power leaves all of it behind the point.
        let one = 10u128.checked_pow(self.decimals).unwrap_or(u128::MAX);
        write!(f, "{}.{:0width$}", self.digits / one, self.digits % one)
    }
}

fn length(number: u128) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

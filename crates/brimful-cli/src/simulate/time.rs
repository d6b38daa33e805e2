//! Instants as logs write them.

use std::fmt;

use clap::ValueEnum;

use super::Malformed;

const SECOND: i64 = 1_000_000_000;

/// An instant in nanoseconds since 1970 in UTC, from 1677 to 2262.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(i64);

impl Stamp {
    /// `None` outside the years that a stamp reaches.
    pub(crate) fn from_unix(seconds: i64, nanos: u32) -> Option<Stamp> {
        seconds.checked_mul(SECOND)?.checked_add(i64::from(nanos)).map(Stamp)
    }

    /// The nanoseconds since `earlier`.
    pub(crate) fn since(self, earlier: Stamp) -> u64 {
        self.0.abs_diff(earlier.0)
    }

    /// The instant `nanos` later, or the last one.
    pub(crate) fn plus(self, nanos: u64) -> Stamp {
        Stamp(self.0.saturating_add_unsigned(nanos))
    }

    /// The first instant from this one on that is a whole number of `nanos` since 1970.
    pub(crate) fn next_multiple(self, nanos: u64) -> Stamp {
        let beyond = self.0.rem_euclid(i64::try_from(nanos).unwrap_or(i64::MAX)).unsigned_abs();
        self.plus(if beyond == 0 { 0 } else { nanos - beyond })
    }
}

/// As `2015-05-17T10:05:03.5Z`.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0.div_euclid(SECOND), self.0.rem_euclid(SECOND));
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if nanos > 0 {
            write!(f, ".{}", format!("{nanos:09}").trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

/// A date and a time of day, and by how many seconds their zone is ahead of UTC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
    pub(crate) zone: i64,
}

impl Civil {
    /// Seconds since 1970 in UTC; `None` for what is no date or no time of day. A leap second is
    /// the next minute's first.
    pub(crate) fn unix(self) -> Option<i64> {
        let Civil { year, month, day, hour, minute, second, zone } = self;
        if !(1..=12).contains(&month) || day == 0 || day > days_in(year, month) {
            return None;
        }
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        Some(days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - zone)
    }
}

/// Hours and minutes ahead of UTC, such as `+0200`, in seconds.
pub(crate) fn zone(sign: u8, hours: &[u8], minutes: &[u8]) -> Option<i64> {
    let sign = match sign {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let below = |text: &[u8], end: i64| digits(text).filter(|&number| text.len() == 2 && number < end);
    Some(sign * (below(hours, 24)? * 3_600 + below(minutes, 60)? * 60))
}

/// What a number of time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Unit {
    /// Seconds since 1970
    S,
    /// Milliseconds
    Ms,
    /// Microseconds
    Us,
    /// Nanoseconds
    Ns,
}

impl Unit {
    fn nanos(self) -> i128 {
        match self {
            Unit::S => 1_000_000_000,
            Unit::Ms => 1_000_000,
            Unit::Us => 1_000,
            Unit::Ns => 1,
        }
    }

    /// Why a number in this unit is not an instant.
    fn out_of_range(self) -> Malformed {
        Malformed(match self {
            Unit::S => "the time is out of range in seconds: see --time-unit",
            Unit::Ms => "the time is out of range in milliseconds: see --time-unit",
            Unit::Us => "the time is out of range in microseconds: see --time-unit",
            Unit::Ns => "the time is out of range in nanoseconds: see --time-unit",
        })
    }

    /// The unit in which a number that says when something happened lies between 1973 and 5138;
    /// seconds, where it is less in all.
    fn of(number: i128) -> Unit {
        match number.unsigned_abs() {
            0..100_000_000_000 => Unit::S,
            100_000_000_000..100_000_000_000_000 => Unit::Ms,
            100_000_000_000_000..100_000_000_000_000_000 => Unit::Us,
            _ => Unit::Ns,
        }
    }
}

/// Reads times: dates, and numbers in a unit that most of a log's first numbers decide if it is
/// not given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    said: bool,
    unit: Option<Unit>,
    /// The unit of most numbers at the beginning of the log.
    expected: Option<Unit>,
}

impl Times {
    pub(crate) fn new(unit: Option<Unit>) -> Self {
        Times { said: unit.is_some(), unit, expected: None }
    }

    /// Whether the unit was given, rather than told by a number.
    pub(crate) fn unit_was_said(&self) -> bool {
        self.said
    }

    /// What is finer than a nanosecond is cut off.
    pub(crate) fn read(&mut self, text: &[u8]) -> Result<Stamp, Malformed> {
        iso(text).map_or_else(|| self.number(text), Ok)
    }

    /// Takes note of the first times of a log, so that one strange number does not decide the
    /// unit of all.
    pub(crate) fn expect(&mut self, texts: impl Iterator<Item = Vec<u8>>) {
        let mut found: Vec<(Unit, u64)> = Vec::new();
        for number in texts.filter_map(|text| Number::read(&text).ok()) {
            let unit = Unit::of(number.whole);
            if number.is_above_zero() && number.stamp(unit).is_ok() {
                match found.iter_mut().find(|(known, _)| *known == unit) {
                    Some((_, times)) => *times += 1,
                    None => found.push((unit, 1)),
                }
            }
        }
        // Of several the last is found, so the first one is put there.
        self.expected = found.into_iter().rev().max_by_key(|&(_, times)| times).map(|(unit, _)| unit);
    }

    fn number(&mut self, text: &[u8]) -> Result<Stamp, Malformed> {
        let number = Number::read(text)?;
        let unit = match self.unit {
            Some(unit) => unit,
            // It is the same instant in any.
            None if number.is_zero() => return Ok(Stamp(0)),
            None if !number.is_above_zero() => {
                return Err(Malformed("the time is below zero, and no number before tells its unit: see --time-unit"));
            }
            None => self.expected.unwrap_or_else(|| Unit::of(number.whole)),
        };
        let stamp = number.stamp(unit)?;
        // What is no instant tells no unit.
        self.unit = Some(unit);
        Ok(stamp)
    }
}

/// A number of time.
struct Number {
    is_negative: bool,
    whole: i128,
    /// In billionths.
    part: u32,
}

impl Number {
    fn read(text: &[u8]) -> Result<Number, Malformed> {
        const NEITHER: Malformed = Malformed("the time is neither a date nor a number");
        let (is_negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        // More digits are no instant in any unit.
        if digits == 0 || digits > 20 {
            return Err(NEITHER);
        }
        let (digits, rest) = text.split_at(digits);
        let part = match rest {
            [] => 0,
            rest => fraction(rest).filter(|(_, rest)| rest.is_empty()).ok_or(NEITHER)?.0,
        };
        let whole = digits.iter().fold(0, |number, byte| number * 10 + i128::from(byte - b'0'));
        Ok(Number { is_negative, whole, part })
    }

    fn is_zero(&self) -> bool {
        self.whole == 0 && self.part == 0
    }

    fn is_above_zero(&self) -> bool {
        !self.is_negative && !self.is_zero()
    }

    fn stamp(&self, unit: Unit) -> Result<Stamp, Malformed> {
        let nanos = self.whole * unit.nanos() + i128::from(self.part) * unit.nanos() / i128::from(SECOND);
        i64::try_from(if self.is_negative { -nanos } else { nanos }).map(Stamp).map_err(|_| unit.out_of_range())
    }
}

/// `2023-11-16 18:17:03.9799600`, with a `T` or a space, perhaps a fraction, and perhaps a zone:
/// `Z`, `+01:00`, `+0100`. Without one it is UTC.
pub(crate) fn iso(text: &[u8]) -> Option<Stamp> {
    let (date, rest) = text.split_at_checked(19)?;
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if separators.iter().any(|&(at, byte)| date[at] != byte) || !matches!(date[10], b'T' | b't' | b' ') {
        return None;
    }
    let number = |from: usize, to: usize| digits(&date[from..to]);
    let (nanos, rest) = if rest.starts_with(b".") { fraction(rest)? } else { (0, rest) };
    let zone = match rest {
        [] | [b'Z' | b'z'] => 0,
        [sign, hours @ .., b':', tens, ones] => zone(*sign, hours, &[*tens, *ones])?,
        [sign, a, b, c, d] => zone(*sign, &[*a, *b], &[*c, *d])?,
        _ => return None,
    };
    let civil = Civil {
        year: number(0, 4)?,
        month: number(5, 7)?,
        day: number(8, 10)?,
        hour: number(11, 13)?,
        minute: number(14, 16)?,
        second: number(17, 19)?,
        zone,
    };
    Stamp::from_unix(civil.unix()?, nanos)
}

/// The billionths that a point and the digits behind it say, and what follows them.
fn fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let text = text.strip_prefix(b".")?;
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (fraction, rest) = text.split_at(length);
    let nanos = (0..9).fold(0, |nanos, at| nanos * 10 + fraction.get(at).map_or(0, |byte| u32::from(byte - b'0')));
    (length > 0).then_some((nanos, rest))
}

/// A few digits as a number.
pub(crate) fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0i64, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar. Years are counted from March, so that the
/// leap day is the last; <https://howardhinnant.github.io/date_algorithms.html>.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(unit: Option<Unit>, text: &str) -> Option<String> {
        Times::new(unit).read(text.as_bytes()).ok().map(|stamp| stamp.to_string())
    }

    #[test]
    fn dates_are_instants() {
        for (text, expected) in [
            ("2023-11-16 18:17:03.9799600", "2023-11-16T18:17:03.97996Z"),
            ("2023-11-16T18:17:03Z", "2023-11-16T18:17:03Z"),
            ("2023-11-16t18:17:03z", "2023-11-16T18:17:03Z"),
            ("2023-11-16T18:17:03.000000001999+01:30", "2023-11-16T16:47:03.000000001Z"),
            ("2023-11-16T18:17:03-0130", "2023-11-16T19:47:03Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
            ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.5Z"),
        ] {
            assert_eq!(shown(None, text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn numbers_are_instants_in_the_unit_that_their_size_says() {
        let instant = "2023-11-16T18:17:03.5Z";
        for text in ["1700158623.5", "1700158623500", "1700158623500.000", "1700158623500000", "1700158623500000000"] {
            assert_eq!(shown(None, text).as_deref(), Some(instant), "{text}");
        }
        assert_eq!(shown(None, "0.5").as_deref(), Some("1970-01-01T00:00:00.5Z"));
        assert_eq!(shown(Some(Unit::S), "0").as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(shown(Some(Unit::S), "-0.5").as_deref(), Some("1969-12-31T23:59:59.5Z"));
        assert_eq!(shown(Some(Unit::Ms), "1500").as_deref(), Some("1970-01-01T00:00:01.5Z"));
        assert_eq!(shown(Some(Unit::Ns), "1.9").as_deref(), Some("1970-01-01T00:00:00.000000001Z"));
    }

    #[test]
    fn the_first_number_that_is_an_instant_above_zero_decides_the_unit_of_all() {
        let at = |seconds, nanos| Ok(Stamp::from_unix(seconds, nanos).unwrap());
        let mut times = Times::new(None);
        assert_eq!(times.read(b"5"), at(5, 0));
        assert_eq!(times.read(b"9000000000"), at(9_000_000_000, 0));
        assert_eq!(
            times.read(b"1700158623500"),
            Err(Malformed("the time is out of range in seconds: see --time-unit"))
        );
        let mut times = Times::new(None);
        for text in ["99999999999999999999", "-1", "-0.5", "5x", "0", "0.0", "2023-11-16T18:17:03Z"] {
            assert_eq!(times.read(text.as_bytes()).is_ok(), text.starts_with(['0', '2']), "{text}");
            assert_eq!(times.unit, None, "{text}");
        }
        assert_eq!(times.read(b"1700158623500"), at(1_700_158_623, 500_000_000));
        assert_eq!(times.read(b"1500"), at(1, 500_000_000));
        assert_eq!(times.read(b"0"), at(0, 0));
    }

    #[test]
    fn everything_else_is_not_a_time() {
        for text in [
            "",
            "-",
            ".5",
            "1.",
            "1.5s",
            "1e9",
            "+1",
            "123456789012345678901",
            "99999999999999999999",
            "2023-11-16",
            "2023-11-16 18:17",
            "2023-11-16 18:17:03.",
            "2023-11-16 18:17:03 ",
            "2023-11-16 18:17:03+1",
            "2023-11-16 18:17:03+24:00",
            "2023-11-16 18:17:03+01:60",
            "2023-11-16 18:17:03+001:00",
            "2023-11-16 24:17:03",
            "2023-02-29 18:17:03",
            "2023-13-01 18:17:03",
            "2023-00-01 18:17:03",
            "2023/11/16 18:17:03",
            "2500-11-16 18:17:03",
        ] {
            assert_eq!(shown(None, text), None, "{text}");
        }
    }

    #[test]
    fn days_count_up_one_by_one_over_four_centuries() {
        let mut expected = days_from_civil(1_899, 12, 31);
        for year in 1_900..2_301 {
            for month in 1..=12 {
                for day in 1..=days_in(year, month) {
                    expected += 1;
                    assert_eq!(days_from_civil(year, month, day), expected);
                    assert_eq!(civil_from_days(expected), (year, month, day));
                }
            }
        }
        assert_eq!(days_from_civil(1_970, 1, 1), 0);
        assert_eq!(days_from_civil(2_000, 3, 1), 11_017);
    }
}

//! Instants, as logs write them.

use std::borrow::Cow;
use std::fmt;

use clap::ValueEnum;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;

use super::Malformed;

const SECOND: i64 = 1_000_000_000;

/// An instant in nanoseconds since 1970 in UTC, from 1677 to 2262.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(i64);

impl Stamp {
    /// Reads the date of an access log, such as `17/May/2015:10:05:03 +0000`.
    pub(crate) fn read_access(text: &[u8]) -> Option<Stamp> {
        let date = strtime::parse("%d/%b/%Y:%H:%M:%S %z", text).ok()?;
        Stamp::new(date.to_datetime().ok()?, date.offset()?, is_leap(text.get(18..20)))
    }

    /// Reads a date such as `2023-11-16 18:17:03.9799600`: with a `T` or a space, perhaps a
    /// fraction, and perhaps a zone such as `Z`, `+01:00` or `+0100`. Without a zone it is UTC.
    /// Decimals below a nanosecond are cut off.
    pub(crate) fn read_iso(text: &[u8]) -> Option<Stamp> {
        // jiff also reads a date alone, and a time without seconds.
        if text.get(16) != Some(&b':') {
            return None;
        }
        let date = without_fine_decimals(text);
        let date = Pieces::parse(&*date).ok()?;
        // The rules of a named zone are not read.
        if date.time_zone_annotation().is_some() {
            return None;
        }
        let offset = date.to_numeric_offset().unwrap_or(Offset::UTC);
        Stamp::new(date.date().to_datetime(date.time()?), offset, is_leap(text.get(17..19)))
    }

    /// Returns `None` for an offset of a day or more, and outside the years that a stamp reaches.
    fn new(time: DateTime, offset: Offset, leap: bool) -> Option<Stamp> {
        const DAY: i32 = 86_400;
        if offset.seconds().abs() >= DAY {
            return None;
        }
        let instant = offset.to_timestamp(time).ok()?.as_nanosecond();
        let second = if leap { SECOND } else { 0 };
        i64::try_from(instant).ok()?.checked_add(second).map(Stamp)
    }

    /// Returns the nanoseconds between the two stamps.
    pub(crate) fn since(self, earlier: Stamp) -> u64 {
        self.0.abs_diff(earlier.0)
    }

    /// Returns the stamp `nanos` later, or the last one.
    pub(crate) fn plus(self, nanos: u64) -> Stamp {
        Stamp(self.0.saturating_add_unsigned(nanos))
    }

    /// Returns the first stamp from this one on that is a whole number of `nanos` since 1970.
    pub(crate) fn next_multiple(self, nanos: u64) -> Stamp {
        let beyond = self.0.rem_euclid(i64::try_from(nanos).unwrap_or(i64::MAX)).unsigned_abs();
        self.plus(if beyond == 0 { 0 } else { nanos - beyond })
    }

    /// Writes the stamp in UTC, in a format of `strftime`.
    pub(crate) fn format(self, format: &str) -> String {
        self.timestamp().strftime(format).to_string()
    }

    fn timestamp(self) -> Timestamp {
        Timestamp::from_nanosecond(self.0.into()).expect("jiff's years include a stamp's")
    }
}

#[cfg(test)]
impl Stamp {
    pub(crate) fn from_unix(seconds: i64, nanos: i32) -> Option<Stamp> {
        let instant = Timestamp::new(seconds, nanos).ok()?;
        i64::try_from(instant.as_nanosecond()).ok().map(Stamp)
    }
}

/// Writes a stamp such as `2015-05-17T10:05:03.5Z`.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.timestamp().fmt(f)
    }
}

/// Whether a leap second is written. It is the first second of the next minute, and jiff reads it
/// as the second before.
fn is_leap(second: Option<&[u8]>) -> bool {
    second == Some(b"60")
}

/// A date as [`Stamp::read_iso`] reads it, without the decimals below a nanosecond, which jiff
/// refuses.
fn without_fine_decimals(text: &[u8]) -> Cow<'_, [u8]> {
    const DECIMALS: usize = "2023-11-16 18:17:03.".len();
    const NANOS: usize = DECIMALS + 9;
    let decimals = text.iter().skip(DECIMALS).take_while(|byte| byte.is_ascii_digit()).count();
    match text.get(DECIMALS + decimals..) {
        Some(rest) if decimals > 9 => [&text[..NANOS], rest].concat().into(),
        _ => text.into(),
    }
}

/// The unit of a number of time.
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

    /// Returns the unit in which a number is a time between 1973 and 5138, or seconds for smaller
    /// numbers.
    fn of(number: i128) -> Unit {
        match number.unsigned_abs() {
            0..100_000_000_000 => Unit::S,
            100_000_000_000..100_000_000_000_000 => Unit::Ms,
            100_000_000_000_000..100_000_000_000_000_000 => Unit::Us,
            _ => Unit::Ns,
        }
    }
}

/// Reads times: dates and numbers. If the unit of the numbers is not given, most of the first
/// numbers of the log decide it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    is_given: bool,
    unit: Option<Unit>,
    /// The unit of most numbers at the beginning of the log.
    expected: Option<Unit>,
}

impl Times {
    pub(crate) fn new(unit: Option<Unit>) -> Self {
        Times { is_given: unit.is_some(), unit, expected: None }
    }

    /// Whether the unit was given, rather than found from the numbers.
    pub(crate) fn unit_is_given(&self) -> bool {
        self.is_given
    }

    /// Returns the instant of a time. The times of a log come in the order of its lines.
    pub(crate) fn stamp(&mut self, time: Time) -> Result<Stamp, Malformed> {
        match time {
            Time::Date(stamp) => Ok(stamp),
            Time::Number(number) => self.number(number),
        }
    }

    /// Finds the unit of most of the first times of a log, so that one strange number does not
    /// decide the unit of all.
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
        // `max_by_key` returns the last of several units with as many times: reversed, the first.
        self.expected = found.into_iter().rev().max_by_key(|&(_, times)| times).map(|(unit, _)| unit);
    }

    fn number(&mut self, number: Number) -> Result<Stamp, Malformed> {
        let unit = match self.unit {
            Some(unit) => unit,
            // Zero is the same instant in each unit.
            None if number.is_zero() => return Ok(Stamp(0)),
            None if !number.is_above_zero() => {
                return Err(Malformed(
                    "the time is below zero, and no number before it shows its unit: see --time-unit",
                ));
            }
            None => self.expected.unwrap_or_else(|| Unit::of(number.whole)),
        };
        let stamp = number.stamp(unit)?;
        // A number that is not an instant decides no unit.
        self.unit = Some(unit);
        Ok(stamp)
    }
}

/// A date, or a number whose unit the log decides.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Time {
    Date(Stamp),
    Number(Number),
}

impl Time {
    /// Reads a date or a number. Parts below a nanosecond are cut off.
    pub(crate) fn read(text: &[u8]) -> Result<Time, Malformed> {
        Stamp::read_iso(text).map_or_else(|| Number::read(text).map(Time::Number), |stamp| Ok(Time::Date(stamp)))
    }
}

/// A number of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number {
    is_negative: bool,
    whole: i128,
    /// In billionths of the unit.
    part: u32,
}

impl Number {
    fn read(text: &[u8]) -> Result<Number, Malformed> {
        const NEITHER: Malformed = Malformed("the time is neither a date nor a number");
        let (is_negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        // A number of more digits is not an instant in any unit.
        if digits == 0 || digits > 20 {
            return Err(NEITHER);
        }
        let (digits, rest) = text.split_at(digits);
        let part = match rest {
            [] => 0,
            rest => billionths(rest).ok_or(NEITHER)?,
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

/// Reads a point and decimals, in billionths. Further decimals are cut off.
fn billionths(text: &[u8]) -> Option<u32> {
    let decimals = text.strip_prefix(b".")?;
    let are_digits = !decimals.is_empty() && decimals.iter().all(u8::is_ascii_digit);
    let decimal = |at| decimals.get(at).map_or(0, |byte| u32::from(byte - b'0'));
    are_digits.then(|| (0..9).fold(0, |part, at| part * 10 + decimal(at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Times {
        fn read(&mut self, text: &[u8]) -> Result<Stamp, Malformed> {
            self.stamp(Time::read(text)?)
        }
    }

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
        let days_in = |year: i64, month: usize| {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
        };
        let read = |year, month, day| {
            let text = format!("{year:04}-{month:02}-{day:02}T00:00:00Z");
            let stamp = Stamp::read_iso(text.as_bytes());
            assert_eq!(stamp.map(|stamp| stamp.to_string()), stamp.map(|_| text));
            stamp
        };
        let mut expected = read(1_799, 12, 31).unwrap();
        for year in 1_800..2_201 {
            for month in 1..=12 {
                for day in 1..=days_in(year, month) {
                    expected = expected.plus(86_400 * SECOND.unsigned_abs());
                    assert_eq!(read(year, month, day), Some(expected));
                }
                assert_eq!(read(year, month, days_in(year, month) + 1), None);
            }
        }
        assert_eq!(read(1_970, 1, 1), Some(Stamp(0)));
        assert_eq!(read(2_000, 3, 1), Stamp::from_unix(11_017 * 86_400, 0));
    }
}

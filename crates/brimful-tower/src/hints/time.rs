//! Times as servers write them. All are times from 1970 or from now, in UTC.

use std::time::{Duration, UNIX_EPOCH};

/// The longest time that is believed. It is also the longest pause of a `ModelLimiter`.
const LONGEST: Duration = Duration::from_secs(86_400);

/// A number of seconds from which it is not a time from now, but a time since 1970: 2001-09-09.
const FIRST_EPOCH: u64 = 1_000_000_000;

/// Reads the time of `Retry-After`, from now: a number of seconds, from now or since 1970, or a date of HTTP. A date in the
/// past is no time.
pub(super) fn retry_after(text: &str, now: Duration) -> Option<Duration> {
    let since_1970 = number_since_1970(text).or_else(|| date(text));
    let time = since_1970.map(|time| time.saturating_sub(now)).or_else(|| duration(text))?;
    Some(time.min(LONGEST))
}

/// Reads a date of HTTP, as the time since 1970.
pub(super) fn date(text: &str) -> Option<Duration> {
    httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()
}

/// Returns the time of the server's clock, by the `Date` of a response, and its `Age` in seconds if a cache kept it. A date
/// before 2001 is that of a server without a clock.
pub(super) fn of_response(date_text: &str, age: Option<&str>) -> Option<Duration> {
    let date = date(date_text).filter(|date| date.as_secs() >= FIRST_EPOCH)?;
    Some(date.saturating_add(Duration::from_secs(age.and_then(number).unwrap_or(0))))
}

/// Reads a number of milliseconds.
pub(super) fn milliseconds(text: &str) -> Option<Duration> {
    Some(Duration::from_millis(number(text)?).min(LONGEST))
}

/// Returns a number of seconds as a time.
pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(LONGEST)
}

/// Reads the time at which a limit is reset, from now: seconds, perhaps with a fraction, or milliseconds, since 1970; a
/// date of RFC 3339; a number of seconds; or a duration such as `6m0s`.
pub(super) fn reset(text: &str, now: Duration) -> Option<Duration> {
    let since_1970 = number_since_1970(text).or_else(|| rfc3339(text));
    let time = since_1970.map(|time| time.saturating_sub(now)).or_else(|| duration(text))?;
    Some(time.min(LONGEST))
}

/// Reads a number that is too large to be of seconds from now: one of seconds or milliseconds since 1970.
fn number_since_1970(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_decimal = fraction.bytes().all(|byte| byte.is_ascii_digit());
    match number(whole).filter(|_| is_decimal)? {
        millis if millis >= FIRST_EPOCH * 1_000 => Some(epoch(millis, fraction, 1_000_000)),
        seconds if seconds >= FIRST_EPOCH => Some(epoch(seconds, fraction, 1_000_000_000)),
        _ => None,
    }
}

/// Returns a number of units, in nanoseconds, and a fraction of one.
fn epoch(whole: u64, fraction: &str, unit: u64) -> Duration {
    let per_second = 1_000_000_000 / unit;
    let nanos = whole % per_second * unit + part_of(fraction, unit);
    Duration::from_secs(whole / per_second).saturating_add(Duration::from_nanos(nanos))
}

/// Reads a whole number. One that is too large is the largest.
pub(super) fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// The units of a duration, in nanoseconds. `ms` comes before `m`.
const UNITS: [(&str, u64); 9] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Reads a duration such as `6m0s`, `1h2m3.5s` or `12ms`, or a number of seconds, perhaps with a fraction. Rounded up to
/// the nanosecond.
fn duration(text: &str) -> Option<Duration> {
    let (mut nanos, mut rest) = (0u64, text);
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        let (unit, after) = match UNITS.iter().find_map(|(name, unit)| Some((*unit, after.strip_prefix(name)?))) {
            Some(found) => found,
            // Seconds alone.
            None if after.is_empty() && rest.len() == text.len() => (1_000_000_000, after),
            None => return None,
        };
        let part = number(whole)?.saturating_mul(unit);
        nanos = nanos.saturating_add(part).saturating_add(part_of(fraction, unit));
        rest = after;
    }
    (!text.is_empty()).then(|| Duration::from_nanos(nanos))
}

/// Returns the part of a unit that the digits after a point are, rounded up.
fn part_of(fraction: &str, unit: u64) -> u64 {
    // More digits make no difference of a nanosecond, but for the rounding.
    let (kept, more) = fraction.split_at(fraction.len().min(18));
    let rounded = u64::from(more.bytes().any(|digit| digit != b'0'));
    let part = u128::from(number(kept).unwrap_or(0) + rounded) * u128::from(unit);
    u64::try_from(part.div_ceil(10u128.pow(kept.len() as u32))).unwrap_or(u64::MAX)
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len()))
}

/// Reads a date of RFC 3339, such as `2024-05-17T10:05:00.5+02:00`, as the time since 1970. The reader is here, because the
/// dates of one vendor do not justify a dependency of every user. Tests compare it with jiff.
fn rfc3339(text: &str) -> Option<Duration> {
    let mut fields = Fields(text);
    let (year, month, day) = (fields.number(4)?, fields.after(b"-")?, fields.after(b"-")?);
    let (hour, minute, second) = (fields.after(b"Tt ")?, fields.after(b":")?, fields.after(b":")?);
    let is_date = (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
    // Second 60 is a leap second.
    if !is_date || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let fraction = match fields.0.strip_prefix('.') {
        Some(after) => {
            let (fraction, after) = digits(after);
            fields.0 = after;
            Some(fraction).filter(|fraction| !fraction.is_empty())?
        }
        None => "",
    };
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - fields.offset()?;
    let nanos = part_of(fraction, 1_000_000_000);
    u64::try_from(seconds).ok().map(|seconds| Duration::from_secs(seconds) + Duration::from_nanos(nanos))
}

/// The rest of a date, from which fields are taken.
struct Fields<'a>(&'a str);

impl Fields<'_> {
    /// Takes a number of this many digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (field, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        number(field)?.try_into().ok()
    }

    /// Takes one of the separators, and a number of two digits.
    fn after(&mut self, separators: &[u8]) -> Option<i64> {
        let (separator, rest) = self.0.split_at_checked(1)?;
        self.0 = rest;
        separators.contains(&separator.as_bytes()[0]).then(|| self.number(2))?
    }

    /// Takes the offset from UTC, in seconds, which ends a date.
    fn offset(&mut self) -> Option<i64> {
        if self.0.eq_ignore_ascii_case("z") {
            return Some(0);
        }
        let sign = if self.0.starts_with('-') { -1 } else { 1 };
        let (hours, minutes) = (self.after(b"+-")?, self.after(b":")?);
        (self.0.is_empty() && hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
    }
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Returns the days from 1970-01-01 to a date of the Gregorian calendar. The year begins in March, so that a leap day is
/// its last one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // Months of 31, 30, 31, 30, 31 days, twice, and the rest.
    let days_before = (153 * month + 2) / 5;
    // 719 468 days from 0000-03-01 to 1970-01-01.
    365 * year + leap_days + days_before + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::Offset;
    use proptest::prelude::*;

    use super::*;

    const NOW: Duration = Duration::from_secs(1_715_940_300);

    fn millis(millis: u64) -> Option<Duration> {
        Some(Duration::from_millis(millis))
    }

    #[test]
    fn durations_are_read() {
        for (text, expected) in [
            ("6m0s", millis(360_000)),
            ("12ms", millis(12)),
            ("1h30m0s", millis(5_400_000)),
            ("2m59.56s", millis(179_560)),
            ("7.66s", millis(7_660)),
            ("1d", millis(86_400_000)),
            ("0s", millis(0)),
            ("20", millis(20_000)),
            ("0.25", millis(250)),
            ("1µs", Some(Duration::from_micros(1))),
            ("1us1ns", Some(Duration::from_nanos(1_001))),
            ("0.1ns", Some(Duration::from_nanos(1))),
            ("0.0000000000000000000001s", Some(Duration::from_nanos(1))),
            ("1.s", millis(1_000)),
            ("99999999999999999999999h", Some(Duration::from_nanos(u64::MAX))),
            ("", None),
            ("s", None),
            (".5s", None),
            ("-1s", None),
            ("+1s", None),
            ("1 s", None),
            ("1m 2s", None),
            ("1m2", None),
            ("1x", None),
            ("1,000", None),
            ("1e3", None),
        ] {
            assert_eq!(duration(text), expected, "{text}");
        }
    }

    #[test]
    fn retry_times_are_read() {
        for (text, expected) in [
            ("20", millis(20_000)),
            ("0", millis(0)),
            ("1.5", millis(1_500)),
            ("1715940360", millis(60_000)),
            ("1715940301250", millis(1_250)),
            ("1715940299", millis(0)),
            ("999999999", Some(LONGEST)),
            ("99999999999999999999", Some(LONGEST)),
            ("Fri, 17 May 2024 10:05:30 GMT", millis(30_000)),
            ("Friday, 17-May-24 10:05:30 GMT", millis(30_000)),
            ("Fri May 17 10:05:30 2024", millis(30_000)),
            ("Fri, 17 May 2024 10:04:59 GMT", millis(0)),
            ("Wed, 17 May 2034 10:05:30 GMT", Some(LONGEST)),
            ("Fri, 17 May 2024 10:05:30 CEST", None),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(retry_after(text, NOW), expected, "{text}");
        }
    }

    #[test]
    fn reset_times_are_read() {
        for (text, expected) in [
            ("1715940360", millis(60_000)),
            ("1715940360250", millis(60_250)),
            ("1715940301.250", millis(1_250)),
            ("1715940301.0000000001", Some(Duration::from_nanos(1_000_000_001))),
            ("1715940301.", millis(1_000)),
            ("1715940301250.5", Some(Duration::from_micros(1_250_500))),
            ("99999999999999999999.9", Some(LONGEST)),
            ("1.5", millis(1_500)),
            ("1715940299", millis(0)),
            ("1715940300", millis(0)),
            ("60", millis(60_000)),
            ("999999999", Some(LONGEST)),
            ("6m0s", millis(360_000)),
            ("2024-05-17T10:06:00Z", millis(60_000)),
            ("2024-05-17t12:06:00.25+02:00", millis(60_250)),
            ("2024-05-17 09:06:00-01:00", millis(60_000)),
            ("2024-05-17T10:04:59Z", millis(0)),
            ("2000-02-29T10:06:00Z", millis(0)),
            ("9999-12-31T23:59:59Z", Some(LONGEST)),
            ("18446744073709551615", Some(LONGEST)),
            ("99999999999999999999", Some(LONGEST)),
        ] {
            assert_eq!(reset(text, NOW), expected, "{text}");
        }
        for text in [
            "",
            "Z",
            "2024-05-17",
            "2024-05-17T10:06Z",
            "2024-05-17T10:06:00",
            "2024-13-17T10:06:00Z",
            "2024-00-17T10:06:00Z",
            "2024-04-31T10:06:00Z",
            "2023-02-29T10:06:00Z",
            "2100-02-29T10:06:00Z",
            "2024-05-00T10:06:00Z",
            "2024-05-17T24:06:00Z",
            "2024-05-17T10:60:00Z",
            "2024-05-17T10:06:61Z",
            "2024-05-17T10:06:00.Z",
            "2024-05-17T10:06:00+2:00",
            "2024-05-17T10:06:00+24:00",
            "2024-05-17T10:06:00+02:60",
            "2024-05-17T10:06:00Zx",
            "2024-05-17T10:06:00+02:00x",
            "2024-5-17T10:06:00Z",
            "-024-05-17T10:06:00Z",
            "2024-05-17T10:06:0ü",
            "1e9",
            "Fri, 17 May 2024 10:05:30 GMT",
            "1969-12-31T23:59:59Z",
        ] {
            assert_eq!(reset(text, NOW), None, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn dates_are_read_as_jiff_writes_them(
            seconds in 0..253_402_000_000i64, nanos in 0..1_000_000_000i32, minutes in -1_439..1_440i32,
        ) {
            let time = Timestamp::new(seconds, nanos).unwrap();
            let expected = Duration::new(seconds as u64, nanos as u32);
            prop_assert_eq!(rfc3339(&time.to_string()), Some(expected));
            let local = time.display_with_offset(Offset::from_seconds(minutes * 60).unwrap()).to_string();
            prop_assert_eq!(rfc3339(&local), Some(expected), "{}", local);
        }

        #[test]
        fn no_text_panics(text in ".{0,40}", near in "[0-9]{1,22}[-:.TZ+dhmsunµ0-9]{0,20}") {
            for text in [text, near] {
                for read in [reset, retry_after] {
                    let time = read(&text, NOW);
                    prop_assert!(time.is_none_or(|time| time <= LONGEST), "{} {:?}", text, time);
                }
                let _ = milliseconds(&text);
            }
        }
    }
}

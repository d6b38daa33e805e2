//! Lines of an access log in the common or combined format, as Apache and nginx write it:
//!
//! ```text
//! host ident user [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 2326 "referer" "agent"
//! ```

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

/// What a replay needs of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// The client: an address, or a name where the server looks them up.
    pub(crate) host: &'a [u8],
    /// The stamp in seconds since 1970 in UTC.
    pub(crate) unix: i64,
}

/// Why a line is not an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(&'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A line without its end, as an entry. What follows the size (referer, agent, whatever the
/// server was told to add) is not looked at.
pub(crate) fn parse(line: &[u8]) -> Result<Entry<'_>, Malformed> {
    let host_end = find(line, b' ').filter(|&end| end > 0).ok_or(Malformed("no host"))?;
    let (host, rest) = line.split_at(host_end);
    // A user's name may have spaces; it cannot have a bracket, or its server would be fooled too.
    let open = find(rest, b'[').ok_or(Malformed("no [date]"))?;
    let (names, date) = (&rest[..open], &rest[open + 1..]);
    // " ident user "
    if names.len() < 5 || !names.ends_with(b" ") || find(&names[1..names.len() - 1], b' ').is_none() {
        return Err(Malformed("no ident and user before the [date]"));
    }
    let (stamp, rest) = date.split_at_checked(STAMP).ok_or(Malformed("the [date] is cut short"))?;
    let unix = unix_seconds(stamp)?;
    let request = rest.strip_prefix(b"] \"").ok_or(Malformed("no \"request\" after the [date]"))?;
    let close = closing_quote(request).ok_or(Malformed("the \"request\" is not closed"))?;
    let rest = request[close + 1..].strip_prefix(b" ").ok_or(Malformed("no status after the \"request\""))?;
    let (status, rest) = field(rest);
    if !(status == b"-" || (status.len() == 3 && digits(status).is_some())) {
        return Err(Malformed("the status is not a number of three digits"));
    }
    let (size, _) = field(rest);
    if !(size == b"-" || (!size.is_empty() && size.iter().all(u8::is_ascii_digit))) {
        return Err(Malformed("the size is not a number"));
    }
    Ok(Entry { host, unix })
}

/// The length of `17/May/2015:10:05:03 +0000`.
const STAMP: usize = 26;

/// Seconds since 1970 in UTC, the zone's offset taken off.
fn unix_seconds(stamp: &[u8]) -> Result<i64, Malformed> {
    const SHAPE: Malformed = Malformed("the [date] is not of the form 17/May/2015:10:05:03 +0000");
    const NONE: Malformed = Malformed("the [date] is none that exists");
    let separators = [(2, b'/'), (6, b'/'), (11, b':'), (14, b':'), (17, b':'), (20, b' ')];
    if stamp.len() != STAMP || separators.iter().any(|&(at, byte)| stamp[at] != byte) {
        return Err(SHAPE);
    }
    let number = |from: usize, to: usize| digits(&stamp[from..to]).ok_or(SHAPE);
    let (day, year) = (number(0, 2)?, number(7, 11)?);
    let month = MONTHS.iter().position(|name| *name == &stamp[3..6]).ok_or(SHAPE)? as i64 + 1;
    let (hour, minute, second) = (number(12, 14)?, number(15, 17)?, number(18, 20)?);
    let sign = match stamp[21] {
        b'+' => 1,
        b'-' => -1,
        _ => return Err(SHAPE),
    };
    let (zone_hours, zone_minutes) = (number(22, 24)?, number(24, 26)?);
    // A leap second is the one before the next minute's first.
    if day == 0 || day > days_in(year, month) || hour > 23 || minute > 59 || second > 60 {
        return Err(NONE);
    }
    if zone_hours > 23 || zone_minutes > 59 {
        return Err(NONE);
    }
    let local = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Ok(local - sign * (zone_hours * 3_600 + zone_minutes * 60))
}

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

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

/// Seconds since 1970 as `2015-05-17T10:05:03Z`.
pub(crate) fn utc(unix: i64) -> String {
    let (days, second) = (unix.div_euclid(86_400) + 719_468, unix.rem_euclid(86_400));
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0i64, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

fn find(text: &[u8], byte: u8) -> Option<usize> {
    text.iter().position(|&at| at == byte)
}

/// Up to the next space, and what follows it.
fn field(text: &[u8]) -> (&[u8], &[u8]) {
    match find(text, b' ') {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &[]),
    }
}

/// The first quote that no backslash escapes.
fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|&byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

/// A log, line by line, in one buffer.
pub(crate) struct Reader<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    number: u64,
}

/// A line of the log.
pub(crate) struct Line<'a> {
    /// Counted from one.
    pub(crate) number: u64,
    pub(crate) text: &'a [u8],
    pub(crate) entry: Result<Entry<'a>, Malformed>,
}

/// Longer than any server writes, and short enough to read what is not a log at all.
const LONGEST: usize = 1 << 20;

impl<R: Read> Reader<R> {
    pub(crate) fn new(input: R) -> Self {
        Reader { input: BufReader::with_capacity(1 << 16, input), line: Vec::new(), number: 0 }
    }

    /// The next line that is not blank; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let length = loop {
            self.line.clear();
            if self.input.by_ref().take(LONGEST as u64).read_until(b'\n', &mut self.line)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if self.line.len() == LONGEST && self.line[LONGEST - 1] != b'\n' {
                self.input.skip_until(b'\n')?;
            }
            let length = self.line.trim_ascii_end().len();
            if length > 0 {
                break length;
            }
        };
        let text = &self.line[..length];
        let entry = if self.line.len() == LONGEST { Err(Malformed("longer than a megabyte")) } else { parse(text) };
        Ok(Some(Line { number: self.number, text, entry }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMBINED: &[u8] =
        br#"83.149.9.216 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 203023 "http://b/" "Mozilla/5.0""#;

    #[test]
    fn common_and_combined_lines_are_entries() {
        let entry = Entry { host: b"83.149.9.216", unix: 1_431_857_103 };
        assert_eq!(parse(COMBINED), Ok(entry));
        for line in [
            &br#"83.149.9.216 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 203023"#[..],
            br#"83.149.9.216 - - [17/May/2015:12:05:03 +0200] "GET /a HTTP/1.1" 304 -"#,
            br#"83.149.9.216 - - [17/May/2015:04:35:03 -0530] "" 400 0 "-" "-" 0.002 extra"#,
            br#"83.149.9.216 - Jo Doe [17/May/2015:10:05:03 +0000] "\"\\" 400 226"#,
            b"83.149.9.216 - - [17/May/2015:10:05:03 +0000] \"GET /\xff\xfe HTTP/1.0\" - -",
        ] {
            assert_eq!(parse(line), Ok(entry), "{}", line.escape_ascii());
        }
        let v6 = br#"[2001:db8::1] - - [17/May/2015:10:05:03 +0000] "GET / HTTP/2.0" 200 1"#;
        assert_eq!(parse(v6), Ok(Entry { host: b"[2001:db8::1]", unix: 1_431_857_103 }));
    }

    #[test]
    fn every_other_line_says_what_is_wrong_with_it() {
        for (line, reason) in [
            ("", "no host"),
            (" - - [17/May/2015:10:05:03 +0000] \"\" 200 1", "no host"),
            ("host", "no host"),
            ("h - -", "no [date]"),
            ("h - [17/May/2015:10:05:03 +0000] \"\" 200 1", "no ident and user before the [date]"),
            ("h [17/May/2015:10:05:03 +0000] \"\" 200 1", "no ident and user before the [date]"),
            ("h - - [17/May/2015:10:05", "the [date] is cut short"),
            (
                "h - - [17/05/2015:10:05:03 +0000] \"\" 200 1",
                "the [date] is not of the form 17/May/2015:10:05:03 +0000",
            ),
            (
                "h - - [17/May/2015:10:05:03 00000] \"\" 200 1",
                "the [date] is not of the form 17/May/2015:10:05:03 +0000",
            ),
            (
                "h - - [-7/May/2015:10:05:03 +0000] \"\" 200 1",
                "the [date] is not of the form 17/May/2015:10:05:03 +0000",
            ),
            ("h - - [30/Feb/2016:10:05:03 +0000] \"\" 200 1", "the [date] is none that exists"),
            ("h - - [29/Feb/1900:10:05:03 +0000] \"\" 200 1", "the [date] is none that exists"),
            ("h - - [00/May/2015:10:05:03 +0000] \"\" 200 1", "the [date] is none that exists"),
            ("h - - [17/May/2015:24:05:03 +0000] \"\" 200 1", "the [date] is none that exists"),
            ("h - - [17/May/2015:10:05:03 +2460] \"\" 200 1", "the [date] is none that exists"),
            ("h - - [17/May/2015:10:05:03 +0000] GET 200 1", "no \"request\" after the [date]"),
            ("h - - [17/May/2015:10:05:03 +0000] \"GET \\\" 200 1", "the \"request\" is not closed"),
            ("h - - [17/May/2015:10:05:03 +0000] \"GET\"", "no status after the \"request\""),
            ("h - - [17/May/2015:10:05:03 +0000] \"GET\" 2000 1", "the status is not a number of three digits"),
            ("h - - [17/May/2015:10:05:03 +0000] \"GET\" 200", "the size is not a number"),
            ("h - - [17/May/2015:10:05:03 +0000] \"GET\" 200 1k", "the size is not a number"),
        ] {
            assert_eq!(parse(line.as_bytes()), Err(Malformed(reason)), "{line}");
        }
    }

    #[test]
    fn no_piece_of_a_line_and_no_changed_byte_panics() {
        for end in 0..COMBINED.len() {
            let _ = parse(&COMBINED[..end]);
            let _ = parse(&COMBINED[end..]);
            for byte in [0, b' ', b'"', b'[', b'9', 0xff] {
                let mut line = COMBINED.to_vec();
                line[end] = byte;
                let _ = parse(&line);
            }
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
                    assert_eq!(utc(expected * 86_400), format!("{year:04}-{month:02}-{day:02}T00:00:00Z"));
                }
            }
        }
        assert_eq!(days_from_civil(1_970, 1, 1), 0);
        assert_eq!(days_from_civil(2_000, 3, 1), 11_017);
        assert_eq!(utc(1_431_857_103), "2015-05-17T10:05:03Z");
        assert_eq!(utc(-1), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn a_leap_second_is_the_next_minutes_first() {
        let leap = unix_seconds(b"30/Jun/2015:23:59:60 +0000");
        assert_eq!(leap, unix_seconds(b"01/Jul/2015:00:00:00 +0000"));
    }

    #[test]
    fn the_reader_skips_blank_lines_counts_them_and_bounds_the_long_ones() {
        let mut log = b"\n  \r\n".to_vec();
        log.extend(std::iter::repeat_n(b'x', 3 * LONGEST));
        log.push(b'\n');
        log.extend(COMBINED);
        log.extend(b"\r\nlast");
        let mut reader = Reader::new(&log[..]);
        let long = reader.next().unwrap().unwrap();
        assert_eq!((long.number, long.entry), (3, Err(Malformed("longer than a megabyte"))));
        let line = reader.next().unwrap().unwrap();
        assert_eq!((line.number, line.text), (4, COMBINED));
        assert!(line.entry.is_ok());
        let last = reader.next().unwrap().unwrap();
        assert_eq!((last.number, last.entry), (5, Err(Malformed("no host"))));
        assert!(reader.next().unwrap().is_none());
    }
}

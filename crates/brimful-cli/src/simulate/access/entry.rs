//! Lines of an access log in the common or combined format, as Apache and nginx write it:
//!
//! ```text
//! host ident user [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 2326 "referer" "agent"
//! ```

use memchr::{memchr, memchr_iter, memchr2};

use super::client;
use crate::simulate::Malformed;
use crate::simulate::time::Stamp;

/// The fields of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// An address, or a host name if the server looks up names.
    pub(super) client: &'a [u8],
    pub(super) user: &'a [u8],
    pub(super) stamp: Stamp,
    /// Such as `GET / HTTP/1.1`, if it is well-formed.
    pub(super) request: &'a [u8],
    pub(super) status: &'a [u8],
}

/// Reads a line without its end. An address is written to `scratch` if the line has it in another
/// than its usual form. The text after the size (referer, agent, other fields) is not read.
pub(crate) fn parse<'a>(line: &'a [u8], scratch: &'a mut Scratch) -> Result<Entry<'a>, Malformed> {
    let open = find_date(line).ok_or_else(|| without_date(line))?;
    let (names, date) = line.split_at(open);
    let stamp = scratch.read_stamp(&date[1..=STAMP])?;
    let Answered { request, status, rest } = read_request(&date[DATE..])?;
    if has_date_unquoted(rest) {
        return Err(TWO_DATES);
    }
    let (client, user) = client::names(names, &mut scratch.client)?;
    Ok(Entry { client, user, stamp, request, status })
}

/// A server that escapes quotes writes no such line, whatever its clients send.
const TWO_DATES: Malformed = Malformed("two [date]s with a \"request\": a field has quotes that are not escaped");

/// Returns the index of the first text of the form `[17/May/2015:10:05:03 +0000] "`. A user name
/// may have brackets and even such a date, but no quote that is not escaped.
fn find_date(line: &[u8]) -> Option<usize> {
    memchr_iter(b'[', line).find(|&open| {
        let date = line.get(open + 1..open + DATE);
        date.is_some_and(|date| date.ends_with(b"] \"") && has_separators(&date[..STAMP]))
    })
}

/// Why a line has no date.
#[cold]
fn without_date(line: &[u8]) -> Malformed {
    if memchr(b' ', line).is_none() {
        return Malformed("no host");
    }
    let Some(open) = memchr(b'[', line) else { return Malformed("no [date]") };
    match line[open + 1..].split_at_checked(STAMP) {
        None => Malformed("the [date] is cut short"),
        Some((stamp, _)) if has_separators(stamp) => Malformed("no \"request\" after the [date]"),
        Some(_) => SHAPE,
    }
}

/// Whether `text` has a date outside its quoted fields.
fn has_date_unquoted(text: &[u8]) -> bool {
    find_date(text).is_some_and(|open| quotes(&text[..open]).count().is_multiple_of(2))
}

/// A request and its status.
struct Answered<'a> {
    request: &'a [u8],
    status: &'a [u8],
    /// The text after the size.
    rest: &'a [u8],
}

/// Reads the text after the quote that opens the request.
fn read_request(text: &[u8]) -> Result<Answered<'_>, Malformed> {
    let mut ends = quotes(text);
    let end = ends.next().ok_or(Malformed("the \"request\" is not closed"))?;
    let read = |end: usize| {
        read_status(&text[end + 1..]).map(|(status, rest)| Answered { request: &text[..end], status, rest })
    };
    let reason = match read(end) {
        Ok(answered) => return Ok(answered),
        Err(reason) => reason,
    };
    // A request may have quotes that are not escaped. If it also has a date, either date may be
    // the server's.
    if find_date(text).is_some() {
        return Err(TWO_DATES);
    }
    ends.find_map(|end| read(end).ok()).ok_or(reason)
}

/// Returns the status in ` 200 2326`, and the text after the size.
fn read_status(text: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let rest = text.strip_prefix(b" ").ok_or(Malformed("no status after the \"request\""))?;
    let (status, rest) = field(rest);
    if !(status == b"-" || (status.len() == 3 && is_number(status))) {
        return Err(Malformed("the status is not a number of three digits"));
    }
    let (size, rest) = field(rest);
    if !(size == b"-" || is_number(size)) {
        return Err(Malformed("the size is not a number"));
    }
    Ok((status, rest))
}

/// The length of `17/May/2015:10:05:03 +0000`.
const STAMP: usize = 26;

/// The length of the date with its brackets and the space and quote after it.
const DATE: usize = STAMP + 4;

const SHAPE: Malformed = Malformed("the [date] is not of the form 17/May/2015:10:05:03 +0000");

fn has_separators(stamp: &[u8]) -> bool {
    let separators = [(2, b'/'), (6, b'/'), (11, b':'), (14, b':'), (17, b':'), (20, b' ')];
    stamp.len() == STAMP && separators.iter().all(|&(at, byte)| stamp[at] == byte)
}

/// Memory for the parsing of lines.
#[derive(Default)]
pub(crate) struct Scratch {
    client: Vec<u8>,
    /// The last date and its instant. Most logs have several lines a second, and without this a
    /// replay of such a log takes a third longer.
    date: [u8; STAMP],
    stamp: Stamp,
}

impl Scratch {
    /// Reads a date that has its separators.
    fn read_stamp(&mut self, date: &[u8]) -> Result<Stamp, Malformed> {
        if self.date != date {
            // jiff also reads numbers with blanks or signs before them.
            if !has_fields(date) {
                return Err(SHAPE);
            }
            self.stamp = Stamp::read_access(date).ok_or(Malformed("the [date] does not exist"))?;
            self.date.copy_from_slice(date);
        }
        Ok(self.stamp)
    }
}

/// Whether a date that has its separators has numbers, a word and a sign between them.
fn has_fields(date: &[u8]) -> bool {
    let numbers = [0..2, 7..11, 12..14, 15..17, 18..20, 22..26];
    let has_month = date[3..6].iter().all(u8::is_ascii_alphabetic);
    let has_sign = matches!(date[21], b'+' | b'-');
    has_month && has_sign && numbers.into_iter().all(|number| is_number(&date[number]))
}

/// Whether `text` has digits only, and at least one.
pub(super) fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

/// Returns the text up to the next space, and the text after it.
pub(super) fn field(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b' ', text) {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, b""),
    }
}

/// Returns the indices of the quotes that no backslash escapes.
fn quotes(text: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let at = from + memchr2(b'"', b'\\', text.get(from..)?)?;
            if text[at] == b'"' {
                from = at + 1;
                return Some(at);
            }
            from = at + 2;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMBINED: &[u8] =
        br#"83.149.9.216 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 203023 "http://b/" "Mozilla/5.0""#;

    #[test]
    fn common_and_combined_lines_are_entries() {
        let seen = |line| parse(line, &mut Scratch::default()).map(|entry| (entry.client.to_vec(), entry.stamp));
        let stamp = Stamp::from_unix(1_431_857_103, 0).unwrap();
        let expected = Ok((b"83.149.9.216".to_vec(), stamp));
        assert_eq!(seen(COMBINED), expected);
        for line in [
            &br#"83.149.9.216 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 203023"#[..],
            br#"83.149.9.216 - - [17/May/2015:12:05:03 +0200] "GET /a HTTP/1.1" 304 -"#,
            br#"83.149.9.216 - - [17/May/2015:04:35:03 -0530] "" 400 0 "-" "-" 0.002 extra"#,
            br#"83.149.9.216 - Jo Doe [17/May/2015:10:05:03 +0000] "\"\\" 400 226"#,
            b"83.149.9.216 - - [17/May/2015:10:05:03 +0000] \"GET /\xff\xfe HTTP/1.0\" - -",
        ] {
            assert_eq!(seen(line), expected, "{}", line.escape_ascii());
        }
        let v6 = br#"[2001:db8::1] - - [17/May/2015:10:05:03 +0000] "GET / HTTP/2.0" 200 1"#;
        assert_eq!(seen(v6), Ok((b"2001:db8::1".to_vec(), stamp)));
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
            ("h - - [30/Feb/2016:10:05:03 +0000] \"\" 200 1", "the [date] does not exist"),
            ("h - - [29/Feb/1900:10:05:03 +0000] \"\" 200 1", "the [date] does not exist"),
            ("h - - [00/May/2015:10:05:03 +0000] \"\" 200 1", "the [date] does not exist"),
            ("h - - [17/May/2015:24:05:03 +0000] \"\" 200 1", "the [date] does not exist"),
            ("h - - [17/May/2015:10:05:03 +2460] \"\" 200 1", "the [date] does not exist"),
            ("h - - [17/May/2015:10:05:03 +0000] GET 200 1", "no \"request\" after the [date]"),
            ("h - - [17/May/2015:10:05:03 +0000] \"GET \\\" 200 1", "the \"request\" is not closed"),
            ("h - - [17/May/2015:10:05:03 +0000] \"GET\"", "no status after the \"request\""),
            ("h - - [17/May/2015:10:05:03 +0000] \"GET\" 2000 1", "the status is not a number of three digits"),
            ("h - - [17/May/2015:10:05:03 +0000] \"GET\" 200", "the size is not a number"),
            ("h - - [17/May/2015:10:05:03 +0000] \"GET\" 200 1k", "the size is not a number"),
        ] {
            assert_eq!(parse(line.as_bytes(), &mut Scratch::default()), Err(Malformed(reason)), "{line}");
        }
    }

    #[test]
    fn no_piece_of_a_line_and_no_changed_byte_panics() {
        for end in 0..COMBINED.len() {
            let _ = parse(&COMBINED[..end], &mut Scratch::default());
            let _ = parse(&COMBINED[end..], &mut Scratch::default());
            for byte in [0, b' ', b'"', b'[', b'9', 0xff] {
                let mut line = COMBINED.to_vec();
                line[end] = byte;
                let _ = parse(&line, &mut Scratch::default());
            }
        }
    }

    #[test]
    fn a_leap_second_is_the_next_minutes_first() {
        let read = |date: &[u8]| Scratch::default().read_stamp(date);
        assert_eq!(read(b"30/Jun/2015:23:59:60 +0000"), read(b"01/Jul/2015:00:00:00 +0000"));
    }
}

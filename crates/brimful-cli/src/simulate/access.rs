//! Lines of an access log in the common or combined format, as Apache and nginx write it:
//!
//! ```text
//! host ident user [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 2326 "referer" "agent"
//! ```

use std::io::{self, BufRead};

use anyhow::{Result, bail};
use brimful::Tokens;
use memchr::{memchr, memchr2};

use super::key::Joiner;
use super::lines::Lines;
use super::time::{Civil, Stamp, digits, zone};
use super::{Malformed, Request};

/// What a line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// The client: an address, or a name where the server looks them up.
    host: &'a [u8],
    user: &'a [u8],
    stamp: Stamp,
    /// `GET / HTTP/1.1`, if it is a well-formed one.
    request: &'a [u8],
    status: &'a [u8],
}

/// A line without its end, as an entry. What follows the size (referer, agent, whatever the
/// server was told to add) is not looked at.
pub(crate) fn parse(line: &[u8]) -> Result<Entry<'_>, Malformed> {
    let host_end = memchr(b' ', line).filter(|&end| end > 0).ok_or(Malformed("no host"))?;
    let (host, rest) = line.split_at(host_end);
    // A user's name may have spaces; it cannot have a bracket, or its server would be fooled too.
    let open = memchr(b'[', rest).ok_or(Malformed("no [date]"))?;
    let (names, date) = (&rest[..open], &rest[open + 1..]);
    let user = user(names).ok_or(Malformed("no ident and user before the [date]"))?;
    // Without a name and with one, the user that a server's own name in front shifts to here.
    if user.starts_with(b"- ") {
        return Err(Malformed("a field before the client's address (vhost_combined?)"));
    }
    let (stamp, rest) = date.split_at_checked(STAMP).ok_or(Malformed("the [date] is cut short"))?;
    let stamp = read_stamp(stamp)?;
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
    Ok(Entry { host, user, stamp, request: &request[..close], status })
}

/// The user in ` ident user `.
fn user(names: &[u8]) -> Option<&[u8]> {
    if names.len() < " - - ".len() {
        return None;
    }
    let names = names.strip_prefix(b" ")?.strip_suffix(b" ")?;
    memchr(b' ', names).map(|end| &names[end + 1..])
}

/// The length of `17/May/2015:10:05:03 +0000`.
const STAMP: usize = 26;

fn read_stamp(stamp: &[u8]) -> Result<Stamp, Malformed> {
    const SHAPE: Malformed = Malformed("the [date] is not of the form 17/May/2015:10:05:03 +0000");
    const NONE: Malformed = Malformed("the [date] is none that exists");
    let separators = [(2, b'/'), (6, b'/'), (11, b':'), (14, b':'), (17, b':'), (20, b' ')];
    if stamp.len() != STAMP || separators.iter().any(|&(at, byte)| stamp[at] != byte) {
        return Err(SHAPE);
    }
    let number = |from: usize, to: usize| digits(&stamp[from..to]).ok_or(SHAPE);
    let month = MONTHS.iter().position(|name| *name == &stamp[3..6]).ok_or(SHAPE)? as i64 + 1;
    let (sign, _, _) = (stamp[21], number(22, 24)?, number(24, 26)?);
    if !matches!(sign, b'+' | b'-') {
        return Err(SHAPE);
    }
    let civil = Civil {
        year: number(7, 11)?,
        month,
        day: number(0, 2)?,
        hour: number(12, 14)?,
        minute: number(15, 17)?,
        second: number(18, 20)?,
        zone: zone(sign, &stamp[22..24], &stamp[24..26]).ok_or(NONE)?,
    };
    civil.unix().and_then(|seconds| Stamp::from_unix(seconds, 0)).ok_or(NONE)
}

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// Up to the next space, and what follows it.
fn field(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b' ', text) {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, b""),
    }
}

/// Where the quote is that no backslash escapes.
fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr2(b'"', b'\\', text.get(from..)?)?;
        if text[at] == b'"' {
            return Some(at);
        }
        from = at + 2;
    }
}

/// What can make a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Ip,
    User,
    Method,
    Path,
    Status,
}

impl Field {
    const ALL: [(&str, Field); 5] = [
        ("ip", Field::Ip),
        ("user", Field::User),
        ("method", Field::Method),
        ("path", Field::Path),
        ("status", Field::Status),
    ];

    fn of<'a>(self, entry: &Entry<'a>) -> &'a [u8] {
        let (method, rest) = field(entry.request);
        match self {
            Field::Ip => entry.host,
            Field::User => entry.user,
            Field::Method => method,
            Field::Path => {
                let path = field(rest).0;
                &path[..memchr(b'?', path).unwrap_or(path.len())]
            }
            Field::Status => entry.status,
        }
    }
}

/// An access log, as requests.
pub(crate) struct Access<R> {
    lines: Lines<R>,
    key: Vec<Field>,
    joiner: Joiner,
}

impl<R: BufRead> Access<R> {
    /// `key` are the names of the fields that make a key.
    pub(crate) fn new(input: R, key: &[String]) -> Result<Self> {
        let mut fields = Vec::new();
        for name in key {
            let Some(&(_, field)) = Field::ALL.iter().find(|(known, _)| known == name) else {
                bail!("--key: an access log has no field {name:?}, but ip, user, method, path and status");
            };
            fields.push(field);
        }
        Ok(Access { lines: Lines::new(input), key: fields, joiner: Joiner::default() })
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<Result<Request<'_>, Malformed>>> {
        let Some(line) = self.lines.next()? else { return Ok(None) };
        let request = line.and_then(parse).map(|entry| {
            let key = self.joiner.join(self.key.iter().map(|field| field.of(&entry)));
            Request { stamp: entry.stamp, key, cost: Tokens::ONE }
        });
        Ok(Some(request))
    }

    /// The number of the line that was read last, from one.
    pub(crate) fn number(&self) -> u64 {
        self.lines.number()
    }

    /// The line that was read last.
    pub(crate) fn line(&self) -> &[u8] {
        self.lines.last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMBINED: &[u8] =
        br#"83.149.9.216 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 203023 "http://b/" "Mozilla/5.0""#;

    #[test]
    fn common_and_combined_lines_are_entries() {
        let seen = |line: &'static [u8]| parse(line).map(|entry| (entry.host, entry.stamp));
        let stamp = Stamp::from_unix(1_431_857_103, 0).unwrap();
        let expected = Ok((&b"83.149.9.216"[..], stamp));
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
        assert_eq!(seen(v6), Ok((&b"[2001:db8::1]"[..], stamp)));
    }

    #[test]
    fn every_field_is_found() {
        let line = br#"h - Jo Doe [17/May/2015:10:05:03 +0000] "GET /a/b?c=\"d HTTP/1.1" 404 226 "r" "a""#;
        let entry = parse(line).unwrap();
        let found = Field::ALL.map(|(name, field)| (name, field.of(&entry).escape_ascii().to_string()));
        let expected = [("ip", "h"), ("user", "Jo Doe"), ("method", "GET"), ("path", "/a/b"), ("status", "404")];
        assert_eq!(found, expected.map(|(name, value)| (name, value.to_owned())));
        let line = br#"h - - [17/May/2015:10:05:03 +0000] "" 400 -"#;
        let entry = parse(line).unwrap();
        assert_eq!((Field::Method.of(&entry), Field::Path.of(&entry)), (&b""[..], &b""[..]));
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
            (
                "www.x.org:80 1.2.3.4 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 1",
                "a field before the client's address (vhost_combined?)",
            ),
            (
                "www.x.org:80 1.2.3.4 - Jo Doe [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 1",
                "a field before the client's address (vhost_combined?)",
            ),
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
    fn a_leap_second_is_the_next_minutes_first() {
        let leap = read_stamp(b"30/Jun/2015:23:59:60 +0000");
        assert_eq!(leap, read_stamp(b"01/Jul/2015:00:00:00 +0000"));
    }
}

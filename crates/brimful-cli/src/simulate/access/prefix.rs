//! What log collectors put in front of a server's lines.

use memchr::memchr;

use super::client::{Address, is_name, is_unix};
use super::entry::{MONTHS, field};
use crate::simulate::time::{digits, iso};

/// Collectors can stand in a row, such as syslog in a container.
const MOST: usize = 4;

/// Returns the text after a prefix.
type Skip = fn(&[u8]) -> Option<&[u8]>;

/// `text` without the prefixes of log collectors.
pub(super) fn skip(text: &[u8]) -> &[u8] {
    const KNOWN: [Skip; 4] = [compose, kubectl, syslog, timestamped];
    let mut text = coloured(text);
    for _ in 0..MOST {
        let Some(rest) = KNOWN.iter().find_map(|skip| skip(text)) else { break };
        text = blank(rest);
    }
    text
}

/// Without the colour codes of terminals at its beginning.
fn coloured(mut text: &[u8]) -> &[u8] {
    while let Some(code) = text.strip_prefix(b"\x1b[") {
        let length = code.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b';').count();
        let Some(rest) = code[length..].strip_prefix(b"m") else { break };
        text = rest;
    }
    text
}

/// Without colour codes and spaces at its beginning.
fn blank(mut text: &[u8]) -> &[u8] {
    loop {
        let rest = coloured(text.trim_ascii_start());
        if rest.len() == text.len() {
            return text;
        }
        text = rest;
    }
}

/// `web-1  | `, of docker compose.
fn compose(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|&byte| byte == b' ' || byte == 0x1b)?;
    let (name, rest) = text.split_at(end);
    let rest = blank(rest).strip_prefix(b"|")?;
    (is_name(name) && Address::read(name).is_none()).then_some(rest)
}

/// `[pod/name/container] `, of `kubectl logs --prefix`.
fn kubectl(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(b"[pod/")?;
    rest.get(memchr(b']', rest)? + 1..)?.strip_prefix(b" ")
}

/// A line of syslog that begins with its `<priority>`, or with the time as RFC 3164 has it.
fn syslog(text: &[u8]) -> Option<&[u8]> {
    let Some(rest) = priority(text) else { return rfc5424(text).or_else(|| rfc3164_time(text).map(without_tag)) };
    let rfc5424 = rfc5424(rest);
    Some(rfc5424.unwrap_or_else(|| without_tag(rfc3164_time(rest).or_else(|| iso_time(rest)).unwrap_or(rest))))
}

/// A line after a time as ISO 8601 has it: of syslog, or of a container.
fn timestamped(text: &[u8]) -> Option<&[u8]> {
    let rest = iso_time(text)?;
    Some(container(rest).unwrap_or_else(|| without_tag(rest)))
}

/// `stdout F `, which container runtimes write between the time and the line.
fn container(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(b"stdout ").or_else(|| text.strip_prefix(b"stderr "))?;
    rest.strip_prefix(b"F ").or_else(|| rest.strip_prefix(b"P "))
}

/// Without `host tag: ` or `tag: `, if that is there. A tag may have a process's number:
/// `tag[23]:`.
fn without_tag(text: &[u8]) -> &[u8] {
    let is_tag =
        |word: &[u8]| word.len() > 1 && word.ends_with(b":") && !is_unix(word) && Address::read(word).is_none();
    let (first, rest) = field(text);
    let (second, after) = field(rest);
    match (is_tag(first), is_tag(second)) {
        (true, _) => rest,
        (_, true) => after,
        _ => text,
    }
}

/// `<34>`
fn priority(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(b"<")?;
    let end = memchr(b'>', rest)?;
    let number = digits(&rest[..end]).filter(|_| (1..=3).contains(&end));
    number.map(|_| &rest[end + 1..])
}

/// `1 2024-05-17T10:05:00Z host app pid msgid - `, or with structured data for the `-`.
fn rfc5424(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(b"1 ")?;
    let mut rest = iso_time(rest).or_else(|| rest.strip_prefix(b"- "))?;
    for _ in 0..4 {
        let (word, after) = field(rest);
        rest = Some(after).filter(|_| !word.is_empty())?;
    }
    let message = rest.strip_prefix(b"- ").or_else(|| structured(rest)?.strip_prefix(b" "))?;
    // The message may begin with a byte-order mark, which says that it is UTF-8.
    Some(message.strip_prefix("\u{feff}".as_bytes()).unwrap_or(message))
}

/// What follows `[id name="value" ...]`, once or several times.
fn structured(mut text: &[u8]) -> Option<&[u8]> {
    while let Some(element) = text.strip_prefix(b"[") {
        let (mut quoted, mut at) = (false, 0);
        loop {
            match element.get(at)? {
                b'"' => quoted = !quoted,
                b'\\' if quoted => at += 1,
                b']' if !quoted => break,
                _ => {}
            }
            at += 1;
        }
        text = &element[at + 1..];
    }
    Some(text)
}

/// What follows `2024-05-17T10:05:00Z `, or the same with a space between date and time.
fn iso_time(text: &[u8]) -> Option<&[u8]> {
    const DATE: usize = "2024-05-17".len();
    let from = if text.get(DATE) == Some(&b' ') { DATE + 1 } else { 0 };
    let end = from + memchr(b' ', text.get(from..)?)?;
    iso(&text[..end]).map(|_| &text[end + 1..])
}

/// What follows `May 17 10:05:00 `. A day of one digit has a space before it; some servers write
/// the year too, or fractions of the second.
fn rfc3164_time(text: &[u8]) -> Option<&[u8]> {
    let (month, rest) = field(text);
    MONTHS.iter().find(|name| **name == month)?;
    let (day, mut rest) = field(rest.strip_prefix(b" ").unwrap_or(rest));
    digits(day).filter(|day| (1..=31).contains(day))?;
    let (year, after) = field(rest);
    if year.len() == 4 && digits(year).is_some() {
        rest = after;
    }
    let (time, rest) = field(rest);
    let (time, fraction) = time.split_at(memchr(b'.', time).unwrap_or(time.len()));
    let parts = time.split(|&byte| byte == b':').filter(|part| part.len() == 2 && digits(part).is_some());
    let whole = fraction.is_empty() || (fraction.len() > 1 && digits(&fraction[1..]).is_some());
    (time.len() == "10:05:00".len() && parts.count() == 3 && whole).then_some(rest)
}

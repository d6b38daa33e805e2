//! Prefixes that log collectors write before a server's lines.

use jiff::fmt::strtime::BrokenDownTime;
use memchr::memchr;

use super::client::{Address, is_name, is_unix};
use super::entry::{field, is_number};
use crate::simulate::time::Stamp;

/// The most prefixes of a line: collectors can run behind each other, such as syslog in a container.
const MOST: usize = 4;

/// Returns the text after a prefix, if there is one.
type Skip = fn(&[u8]) -> Option<&[u8]>;

/// Returns `text` without the prefixes of log collectors.
pub(super) fn skip(text: &[u8]) -> &[u8] {
    const KNOWN: [Skip; 4] = [compose, kubectl, syslog, timestamped];
    let mut text = coloured(text);
    for _ in 0..MOST {
        let Some(rest) = KNOWN.iter().find_map(|skip| skip(text)) else { break };
        text = blank(rest);
    }
    text
}

/// Returns `text` without the colour codes of terminals at its beginning.
fn coloured(mut text: &[u8]) -> &[u8] {
    while let Some(code) = text.strip_prefix(b"\x1b[") {
        let length = code.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b';').count();
        let Some(rest) = code[length..].strip_prefix(b"m") else { break };
        text = rest;
    }
    text
}

/// Returns `text` without colour codes and spaces at its beginning.
fn blank(mut text: &[u8]) -> &[u8] {
    loop {
        let rest = coloured(text.trim_ascii_start());
        if rest.len() == text.len() {
            return text;
        }
        text = rest;
    }
}

/// Skips `web-1  | `, of docker compose.
fn compose(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|&byte| byte == b' ' || byte == 0x1b)?;
    let (name, rest) = text.split_at(end);
    let rest = blank(rest).strip_prefix(b"|")?;
    (is_name(name) && Address::read(name).is_none()).then_some(rest)
}

/// Skips `[pod/name/container] `, of `kubectl logs --prefix`.
fn kubectl(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(b"[pod/")?;
    rest.get(memchr(b']', rest)? + 1..)?.strip_prefix(b" ")
}

/// Skips the beginning of a line of syslog: a `<priority>`, or a time in the form of RFC 3164.
fn syslog(text: &[u8]) -> Option<&[u8]> {
    let Some(rest) = priority(text) else { return rfc5424(text).or_else(|| rfc3164_time(text).map(without_tag)) };
    let rfc5424 = rfc5424(rest);
    Some(rfc5424.unwrap_or_else(|| without_tag(rfc3164_time(rest).or_else(|| iso_time(rest)).unwrap_or(rest))))
}

/// Skips a time in the form of ISO 8601, of syslog or a container.
fn timestamped(text: &[u8]) -> Option<&[u8]> {
    let rest = iso_time(text)?;
    Some(container(rest).unwrap_or_else(|| without_tag(rest)))
}

/// Skips `stdout F `, which container runtimes write between the time and the line.
fn container(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(b"stdout ").or_else(|| text.strip_prefix(b"stderr "))?;
    rest.strip_prefix(b"F ").or_else(|| rest.strip_prefix(b"P "))
}

/// Returns `text` without `host tag: ` or `tag: ` at its beginning. A tag may have the number of
/// a process: `tag[23]:`.
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

/// Skips `<34>`.
fn priority(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(b"<")?;
    let end = memchr(b'>', rest)?;
    (end <= 3 && is_number(&rest[..end])).then(|| &rest[end + 1..])
}

/// Skips `1 2024-05-17T10:05:00Z host app pid msgid - `, or the same with structured data in
/// place of the last `-`.
fn rfc5424(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(b"1 ")?;
    let mut rest = iso_time(rest).or_else(|| rest.strip_prefix(b"- "))?;
    for _ in 0..4 {
        let (word, after) = field(rest);
        rest = Some(after).filter(|_| !word.is_empty())?;
    }
    let message = rest.strip_prefix(b"- ").or_else(|| structured(rest)?.strip_prefix(b" "))?;
    // The message may begin with a byte-order mark, to show that it is UTF-8.
    Some(message.strip_prefix("\u{feff}".as_bytes()).unwrap_or(message))
}

/// Returns the text after elements of structured data, such as `[id name="value" ...]`.
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

/// Returns the text after `2024-05-17T10:05:00Z `. The date may have a space for the `T`.
fn iso_time(text: &[u8]) -> Option<&[u8]> {
    const DATE: usize = "2024-05-17".len();
    let from = if text.get(DATE) == Some(&b' ') { DATE + 1 } else { 0 };
    let end = from + memchr(b' ', text.get(from..)?)?;
    Stamp::read_iso(&text[..end]).map(|_| &text[end + 1..])
}

/// Returns the text after `May 17 10:05:00 `. A day of one digit may have a space before it. Some
/// servers also write the year, or a fraction of the second.
fn rfc3164_time(text: &[u8]) -> Option<&[u8]> {
    const FORMATS: [&str; 2] = ["%b %e %H:%M:%S%.f", "%b %e %Y %H:%M:%S%.f"];
    let end = FORMATS.iter().find_map(|format| BrokenDownTime::parse_prefix(format, text).ok())?.1;
    text[end..].strip_prefix(b" ")
}

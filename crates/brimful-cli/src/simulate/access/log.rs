//! Access logs.

use std::io::{self, BufRead};

use anyhow::{Result, bail};
use brimful::Tokens;
use memchr::memchr;

use super::entry::{Entry, Scratch, field, parse};
use crate::simulate::key::Joiner;
use crate::simulate::lines::Lines;
use crate::simulate::{Malformed, Request};

/// A field that can be a key, or a part of one.
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
            Field::Ip => entry.client,
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

/// Reads an access log, request by request.
pub(crate) struct Access<R> {
    lines: Lines<R>,
    key: Vec<Field>,
    joiner: Joiner,
    scratch: Scratch,
}

impl<R: BufRead> Access<R> {
    /// Takes the names of the fields that make a key.
    pub(crate) fn new(input: R, key: &[String]) -> Result<Self> {
        let mut fields = Vec::new();
        for name in key {
            let Some(&(_, field)) = Field::ALL.iter().find(|(known, _)| known == name) else {
                bail!("--key: an access log has no field {name:?}: choose from ip, user, method, path and status");
            };
            fields.push(field);
        }
        Ok(Access { lines: Lines::new(input), key: fields, joiner: Joiner::default(), scratch: Scratch::default() })
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<Result<Request<'_>, Malformed>>> {
        let Some(line) = self.lines.next()? else { return Ok(None) };
        let request = line.and_then(|line| parse(line, &mut self.scratch)).map(|entry| {
            let key = self.joiner.join(self.key.iter().map(|field| field.of(&entry)));
            Request { stamp: entry.stamp, key, cost: Tokens::ONE }
        });
        Ok(Some(request))
    }

    /// Returns the number of the line that was read last, from one.
    pub(crate) fn number(&self) -> u64 {
        self.lines.number()
    }

    /// Returns the line that was read last.
    pub(crate) fn line(&self) -> &[u8] {
        self.lines.last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_found() {
        let (mut first, mut second) = (Scratch::default(), Scratch::default());
        let line = br#"h - Jo Doe [17/May/2015:10:05:03 +0000] "GET /a/b?c=\"d HTTP/1.1" 404 226 "r" "a""#;
        let entry = parse(line, &mut first).unwrap();
        let found = Field::ALL.map(|(name, field)| (name, field.of(&entry).escape_ascii().to_string()));
        let expected = [("ip", "h"), ("user", "Jo Doe"), ("method", "GET"), ("path", "/a/b"), ("status", "404")];
        assert_eq!(found, expected.map(|(name, value)| (name, value.to_owned())));
        let line = br#"h - - [17/May/2015:10:05:03 +0000] "" 400 -"#;
        let entry = parse(line, &mut second).unwrap();
        assert_eq!((Field::Method.of(&entry), Field::Path.of(&entry)), (&b""[..], &b""[..]));
    }
}

//! Access logs.

use std::io::{self, BufRead};
use std::ops::Range;

use anyhow::{Result, bail};
use brimful::Tokens;
use memchr::memchr;

use super::entry::{Entry, Scratch, field, parse};
use crate::simulate::batch::{Batch, Chunk};
use crate::simulate::key::Joiner;
use crate::simulate::lines::Lines;
use crate::simulate::time::Stamp;
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
    batch: Batch<Entries>,
}

/// Lines, and the requests in them.
#[derive(Default)]
struct Entries {
    text: Vec<u8>,
    lines: Vec<Line>,
    /// The request of each line.
    requests: Vec<Result<Found, Malformed>>,
    /// The keys of all requests.
    keys: Vec<u8>,
    joiner: Joiner,
    scratch: Scratch,
}

/// A line of a chunk.
struct Line {
    text: Range<usize>,
    number: u64,
    /// The reason that the line cannot be parsed.
    refused: Option<Malformed>,
}

struct Found {
    stamp: Stamp,
    key: Range<usize>,
}

impl Chunk for Entries {
    fn clear(&mut self) {
        self.text.clear();
        self.lines.clear();
    }

    fn size(&self) -> (usize, usize) {
        (self.lines.len(), self.text.len())
    }
}

impl Entries {
    fn parse(&mut self, key: &[Field]) {
        self.requests.clear();
        self.keys.clear();
        for Line { text, refused, .. } in &self.lines {
            let parsed = match refused {
                Some(reason) => Err(*reason),
                None => parse(&self.text[text.clone()], &mut self.scratch),
            };
            self.requests.push(parsed.map(|entry| {
                let start = self.keys.len();
                self.keys.extend_from_slice(self.joiner.join(key.iter().map(|field| field.of(&entry))));
                Found { stamp: entry.stamp, key: start..self.keys.len() }
            }));
        }
    }
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
        Ok(Access { lines: Lines::new(input), key: fields, batch: Batch::new() })
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<Result<Request<'_>, Malformed>>> {
        let lines = &mut self.lines;
        let read = |chunk: &mut Entries| {
            let Some(line) = lines.next()? else { return Ok(false) };
            let refused = line.err();
            let start = chunk.text.len();
            chunk.text.extend_from_slice(lines.last());
            chunk.lines.push(Line { text: start..chunk.text.len(), number: lines.number(), refused });
            Ok(true)
        };
        let Some((chunk, at)) = self.batch.next(read, |chunk| chunk.parse(&self.key))? else { return Ok(None) };
        let request = chunk.requests[at].as_ref().map_err(|&reason| reason);
        Ok(Some(request.map(|Found { stamp, key }| Request {
            stamp: *stamp,
            key: &chunk.keys[key.clone()],
            cost: Tokens::ONE,
        })))
    }

    /// Returns the number of the line that was read last, from one.
    pub(crate) fn number(&self) -> u64 {
        self.batch.last().map_or(0, |(chunk, at)| chunk.lines[at].number)
    }

    /// Returns the line that was read last.
    pub(crate) fn line(&self) -> &[u8] {
        self.batch.last().map_or(b"", |(chunk, at)| &chunk.text[chunk.lines[at].text.clone()])
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

//! Reads a text line by line, into one buffer of bounded size.

use std::io::{self, BufRead};

use memchr::memchr;

use super::Malformed;

pub(crate) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    /// The length of the line without its end.
    length: usize,
    number: u64,
}

/// The most bytes of a line that are kept: more than servers write, and few enough to read a file
/// that is not a log.
pub(crate) const LONGEST: usize = 1 << 20;

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Lines { input, line: Vec::new(), length: 0, number: 0 }
    }

    /// Returns the next line that is not blank, without its end, or `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Result<&[u8], Malformed>>> {
        loop {
            if !self.read()? {
                return Ok(None);
            }
            self.number += 1;
            self.length = self.line.trim_ascii_end().len();
            if self.length > 0 {
                break;
            }
        }
        let whole = self.line.len() < LONGEST;
        Ok(Some(if whole { Ok(self.last()) } else { Err(Malformed("longer than a megabyte")) }))
    }

    /// Reads a line with its end, and keeps at most [`LONGEST`] of it. Returns whether there was a
    /// line. The `read_until` of the standard library searches more slowly than `memchr`.
    fn read(&mut self) -> io::Result<bool> {
        self.line.clear();
        loop {
            let read = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if read.is_empty() {
                return Ok(!self.line.is_empty());
            }
            let end = memchr(b'\n', read);
            let part = end.map_or(read.len(), |end| end + 1);
            self.line.extend_from_slice(&read[..part.min(LONGEST - self.line.len())]);
            self.input.consume(part);
            if end.is_some() {
                return Ok(true);
            }
        }
    }

    /// Returns the number of the line that was read last, from one.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Returns the line that was read last, or its beginning if it is too long.
    pub(crate) fn last(&self) -> &[u8] {
        &self.line[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_are_skipped_and_counted_and_long_ones_bounded() {
        let mut text = b"\n  \r\n".to_vec();
        text.extend(std::iter::repeat_n(b'x', 3 * LONGEST));
        text.extend(b"\nfirst \r\nlast");
        let mut lines = Lines::new(&text[..]);
        assert_eq!(lines.next().unwrap(), Some(Err(Malformed("longer than a megabyte"))));
        assert_eq!((lines.number(), lines.last().len()), (3, LONGEST));
        assert_eq!(lines.next().unwrap(), Some(Ok(&b"first"[..])));
        assert_eq!(lines.number(), 4);
        assert_eq!(lines.next().unwrap(), Some(Ok(&b"last"[..])));
        assert_eq!(lines.number(), 5);
        assert_eq!(lines.next().unwrap(), None);
    }
}

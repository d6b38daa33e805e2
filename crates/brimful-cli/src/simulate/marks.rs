//! Byte-order marks, which some editors and tools write before a text. Decoders skip a mark only at
//! the beginning of a text, but logs that were joined also have marks inside.

use std::io::{self, BufRead, Read};

use memchr::memchr_iter;

const MARK: &[u8] = "\u{feff}".as_bytes();

/// The bytes that are read at once.
const READ: usize = 1 << 16;

/// Whether a text that begins with `head` is UTF-16, in either byte order. A text without a mark is
/// known by the zeros between ASCII characters.
pub(super) fn is_utf16(head: &[u8]) -> bool {
    match head {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [a, b, c, d, ..] => {
            matches!((*a == 0, *b == 0, *c == 0, *d == 0), (false, true, false, true) | (true, false, true, false))
        }
        _ => false,
    }
}

/// A UTF-8 text without the marks at the beginning of its lines.
pub(super) struct WithoutMarks<R> {
    input: R,
    buffer: Box<[u8]>,
    /// The bytes from here to `ready` are read next.
    at: usize,
    ready: usize,
    /// The bytes from `ready` to here may have marks.
    filled: usize,
    /// Whether a line begins at `ready`.
    line_begins: bool,
}

impl<R: Read> WithoutMarks<R> {
    pub(super) fn new(input: R) -> Self {
        let buffer = vec![0; READ].into_boxed_slice();
        WithoutMarks { input, buffer, at: 0, ready: 0, filled: 0, line_begins: true }
    }

    /// Makes bytes ready, unless the input is at its end.
    fn advance(&mut self) -> io::Result<()> {
        loop {
            let rest = &self.buffer[self.ready..self.filled];
            if self.line_begins && rest.starts_with(MARK) {
                self.ready += MARK.len();
                self.at = self.ready;
            } else if rest.is_empty() || (self.line_begins && MARK.starts_with(rest)) {
                if self.fill()? == 0 {
                    self.ready = self.filled;
                    return Ok(());
                }
            } else {
                self.ready += before_mark(rest);
                self.line_begins = self.buffer[self.ready - 1] == b'\n';
                return Ok(());
            }
        }
    }

    /// Reads more after the bytes that are not ready. There are at most two of these.
    fn fill(&mut self) -> io::Result<usize> {
        self.buffer.copy_within(self.ready..self.filled, 0);
        (self.at, self.ready, self.filled) = (0, 0, self.filled - self.ready);
        let read = self.input.read(&mut self.buffer[self.filled..])?;
        self.filled += read;
        Ok(read)
    }
}

/// Returns the length of `text` up to the first line that begins with a mark, or with a part of one at
/// the end of `text`. A mark at the beginning of `text` does not count.
fn before_mark(text: &[u8]) -> usize {
    let is_mark = |rest: &[u8]| rest.starts_with(MARK) || MARK.starts_with(rest);
    let mark = memchr_iter(MARK[0], text).find(|&at| at > 0 && text[at - 1] == b'\n' && is_mark(&text[at..]));
    mark.unwrap_or(text.len())
}

impl<R: Read> BufRead for WithoutMarks<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.ready {
            self.advance()?;
        }
        Ok(&self.buffer[self.at..self.ready])
    }

    fn consume(&mut self, amount: usize) {
        self.at = self.ready.min(self.at + amount);
    }
}

impl<R: Read> Read for WithoutMarks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns at most as many bytes at a time.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(self.1);
            self.0.read(&mut buffer[..most])
        }
    }

    #[test]
    fn marks_at_the_beginning_of_lines_are_left_out() {
        for (text, expected) in [
            ("", ""),
            ("\u{feff}", ""),
            ("\u{feff}a\n\u{feff}b\n", "a\nb\n"),
            ("\u{feff}\u{feff}a\n\n\u{feff}", "a\n\n"),
            ("a\u{feff}\nb", "a\u{feff}\nb"),
            ("\u{feff}a\n\u{feff}\u{feff}b\n\u{feee}\n", "a\nb\n\u{feee}\n"),
        ] {
            for piece in 1..=text.len() + 1 {
                let mut found = String::new();
                WithoutMarks::new(Pieces(text.as_bytes(), piece)).read_to_string(&mut found).unwrap();
                assert_eq!(found, expected, "{piece}");
            }
        }
        for part in [&b"\xef"[..], b"\xef\xbb", b"a\n\xef\xbb", b"a\n\xef\xbb\n"] {
            let mut found = Vec::new();
            WithoutMarks::new(Pieces(part, 1)).read_to_end(&mut found).unwrap();
            assert_eq!(found, part);
        }
    }

    #[test]
    fn a_mark_between_two_reads_is_left_out() {
        for before in READ - 4..READ + 2 {
            let text = ["x".repeat(before).as_str(), "\n\u{feff}y"].concat();
            let mut found = String::new();
            WithoutMarks::new(text.as_bytes()).read_to_string(&mut found).unwrap();
            assert_eq!(found, "x".repeat(before) + "\ny");
        }
    }

    #[test]
    fn utf16_is_known_by_its_mark_or_its_zeros() {
        for (head, expected) in [
            (&b"\xff\xfea\0"[..], true),
            (b"\xfe\xff\0a", true),
            (b"\xff\xfe", true),
            (b"1\0.\0", true),
            (b"\x001\0.", true),
            (b"", false),
            (b"\0\0\0\0", false),
            (b"1.2.", false),
            (b"\xef\xbb\xbf1", false),
        ] {
            assert_eq!(is_utf16(head), expected, "{}", head.escape_ascii());
        }
    }
}

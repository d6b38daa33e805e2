//! Blanks around the fields of a table. The `Trim` of csv does not see quotes after a blank.

use std::io::{self, BufRead, Read};

use super::lines::LONGEST;

/// A table without the spaces and tabs around its fields. A field in quotes keeps the blanks
/// inside of its quotes.
pub(super) struct WithoutBlanks<R> {
    input: R,
    state: State,
    /// Blanks in a field that may be at its end.
    blanks: Vec<u8>,
    ready: Vec<u8>,
    /// The bytes of `ready` from here on were not read yet.
    at: usize,
}

#[derive(Clone, Copy)]
enum State {
    /// At the beginning of a field.
    Begins,
    Bare,
    Quoted,
    /// After a quote in a quoted field: it ends the field, or another quote follows.
    Quote,
}

impl<R: BufRead> WithoutBlanks<R> {
    pub(super) fn new(input: R) -> Self {
        WithoutBlanks { input, state: State::Begins, blanks: Vec::new(), ready: Vec::new(), at: 0 }
    }

    /// Makes bytes ready, unless the input is at its end.
    fn advance(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.at = 0;
        while self.ready.is_empty() {
            let read = self.input.fill_buf()?;
            if read.is_empty() {
                return Ok(());
            }
            let mut state = self.state;
            for &byte in read {
                state = state.after(byte, &mut self.blanks, &mut self.ready);
            }
            self.state = state;
            let length = read.len();
            self.input.consume(length);
        }
        Ok(())
    }
}

impl State {
    /// Returns the state after `byte`, and appends `byte` to `ready`, or to `blanks` if it may be at
    /// a field's end.
    #[inline]
    fn after(self, byte: u8, blanks: &mut Vec<u8>, ready: &mut Vec<u8>) -> State {
        let is_blank = byte == b' ' || byte == b'\t';
        let next = match (self, byte) {
            (State::Begins, _) if is_blank => return State::Begins,
            (State::Begins, b'"') | (State::Quote, b'"') => State::Quoted,
            (State::Quoted, b'"') => State::Quote,
            (State::Quoted, _) => State::Quoted,
            (_, b',' | b'\n' | b'\r') => {
                blanks.clear();
                State::Begins
            }
            // Further blanks are kept, as part of the field, so that memory is bounded.
            _ if is_blank && blanks.len() < LONGEST => {
                blanks.push(byte);
                return State::Bare;
            }
            _ => {
                ready.append(blanks);
                State::Bare
            }
        };
        ready.push(byte);
        next
    }
}

impl<R: BufRead> Read for WithoutBlanks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.ready.len() {
            self.advance()?;
        }
        let read = (&self.ready[self.at..]).read(buffer)?;
        self.at += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn blanks_around_fields_are_left_out() {
        for (text, expected) in [
            (" a , b\tc\t,\t\n", "a,b\tc,\n"),
            (" \" a \" ,\"b\" \r\n", "\" a \",\"b\"\r\n"),
            ("\"a\"\" , \"\"b\" , c", "\"a\"\" , \"\"b\",c"),
            ("\"a\n b \"\n  c  ", "\"a\n b \"\nc"),
            ("a \"b \" , c", "a \"b \",c"),
            ("\"a\" b , c", "\"a\" b,c"),
            ("  \n\t\n a", "\n\na"),
            ("", ""),
        ] {
            for capacity in [1, 2, 3, 100] {
                let mut found = String::new();
                let input = BufReader::with_capacity(capacity, text.as_bytes());
                WithoutBlanks::new(input).read_to_string(&mut found).unwrap();
                assert_eq!(found, expected, "{text:?}");
            }
        }
    }
}

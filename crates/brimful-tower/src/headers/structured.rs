//! Structured fields: RFC 9651, as far as it is needed to write lists of strings with numbers.

use super::text::Text;

/// A list of strings, each with parameters that are numbers.
pub(super) struct List<'a> {
    out: &'a mut Text,
    is_empty: bool,
}

impl<'a> List<'a> {
    pub(super) fn new(out: &'a mut Text) -> Self {
        List { out, is_empty: true }
    }

    /// Adds a string.
    pub(super) fn item(&mut self, text: &str) -> Item<'_> {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.out.push(b", ");
        }
        self.out.push(b"\"");
        if text.bytes().all(is_plain) {
            self.out.push(text.as_bytes());
        } else {
            write_escaped(self.out, text.as_bytes());
        }
        self.out.push(b"\"");
        Item(self.out)
    }
}

/// An item of a list, to which parameters can be added.
pub(super) struct Item<'a>(&'a mut Text);

impl Item<'_> {
    /// Adds a parameter, whose key is one letter, unless its number is above the greatest of a structured field, 10¹⁵ − 1.
    #[inline]
    pub(super) fn parameter(self, key: u8, number: u64) -> Self {
        if number < 1_000_000_000_000_000 {
            self.0.push(&[b';', key, b'=']);
            self.0.push_number(number);
        }
        self
    }
}

/// Writes the inside of a string. It has only the printable characters of ASCII, so that each byte of another one is written
/// as `%` and two digits, as in a URI.
#[cold]
fn write_escaped(out: &mut Text, text: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    // A part without escapes is written at once.
    for part in text.chunk_by(|a, b| is_plain(*a) && is_plain(*b)) {
        match *part {
            [byte @ (b'"' | b'\\')] => out.push(&[b'\\', byte]),
            [byte] if !is_plain(byte) => {
                out.push(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xf)]]);
            }
            _ => out.push(part),
        }
    }
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped() {
        let mut text = Text::new();
        let mut list = List::new(&mut text);
        list.item("daily").parameter(b'q', 1).parameter(b'w', 86_400);
        list.item("a\"b\\c").parameter(b'q', 999_999_999_999_999).parameter(b'w', 1_000_000_000_000_000);
        list.item("");
        list.item("ü,\n;~ …");
        let expected = r#""daily";q=1;w=86400, "a\"b\\c";q=999999999999999, "", "%C3%BC,%0A;~ %E2%80%A6""#;
        assert_eq!(text.into_bytes(), expected);
    }
}

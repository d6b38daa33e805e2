//! Structured fields: RFC 9651, as far as it is needed to write lists of strings with numbers.

use std::fmt::Write as _;

/// A list of strings, each with parameters that are numbers.
pub(super) struct List(String);

impl List {
    pub(super) fn new() -> Self {
        // Enough for a limit or two.
        List(String::with_capacity(64))
    }

    /// Adds a string.
    pub(super) fn item(&mut self, text: &str) -> Item<'_> {
        if !self.0.is_empty() {
            self.0.push_str(", ");
        }
        write_string(&mut self.0, text);
        Item(&mut self.0)
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// An item of a list, to which parameters can be added.
pub(super) struct Item<'a>(&'a mut String);

impl Item<'_> {
    /// Adds a parameter, unless its number is above the greatest of a structured field, 10¹⁵ − 1.
    pub(super) fn parameter(self, key: &str, number: u64) -> Self {
        if number < 1_000_000_000_000_000 {
            // A `String` takes all that is written.
            let _ = write!(self.0, ";{key}={number}");
        }
        self
    }
}

/// Writes a string in quotation marks. A string has only the printable characters of ASCII, so that each byte of
/// another one is written as `%` and two digits, as in a URI.
fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend(['\\', byte.into()]),
            b' '..=b'~' => out.push(byte.into()),
            _ => _ = write!(out, "%{byte:02X}"),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped() {
        let mut list = List::new();
        list.item("daily").parameter("q", 1).parameter("w", 86_400);
        list.item("a\"b\\c").parameter("q", 999_999_999_999_999).parameter("w", 1_000_000_000_000_000);
        list.item("");
        list.item("ü,\n;~ …");
        let expected = r#""daily";q=1;w=86400, "a\"b\\c";q=999999999999999, "", "%C3%BC,%0A;~ %E2%80%A6""#;
        assert_eq!(list.into_text(), expected);
    }
}

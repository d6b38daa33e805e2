//! [`Elements`]: the elements of a list, from the right.

/// The elements of one line of a list, from the right, without the spaces around them.
///
/// A proxy adds its element at the right, and a client can send any text at the left, such as a quotation mark that is
/// never closed. From the left, that text would change what follows it. From the right, no text can change an element
/// that comes before it: the quotation marks of a well-formed element are pairs, and none but the marks within a
/// quoted string follow a backslash.
pub(super) struct Elements<'a> {
    /// The text at the left of the last element; `None` at the end.
    rest: Option<&'a [u8]>,
    /// Whether elements may have quoted strings, in which a comma separates nothing.
    quoted: bool,
}

impl<'a> Elements<'a> {
    pub(super) fn new(line: &'a [u8], quoted: bool) -> Self {
        Elements { rest: Some(line), quoted }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.rest.take()?;
        let comma = if self.quoted { unquoted_comma(line) } else { line.iter().rposition(|&byte| byte == b',') };
        let element = match comma {
            Some(at) => {
                self.rest = Some(&line[..at]);
                &line[at + 1..]
            }
            None => line,
        };
        Some(element.trim_ascii())
    }
}

/// Returns the place of the last comma outside of quoted strings.
fn unquoted_comma(line: &[u8]) -> Option<usize> {
    let mut end = line.len();
    loop {
        let at = line[..end].iter().rposition(|byte| b",\"".contains(byte))?;
        if line[at] == b',' {
            return Some(at);
        }
        end = opening_mark(&line[..at])?;
    }
}

/// Returns the place of the last quotation mark that is not escaped.
fn opening_mark(line: &[u8]) -> Option<usize> {
    let mut end = line.len();
    loop {
        let at = line[..end].iter().rposition(|&byte| byte == b'"')?;
        let backslashes = line[..at].iter().rev().take_while(|&&byte| byte == b'\\').count();
        if backslashes % 2 == 0 {
            return Some(at);
        }
        end = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(line: &str) -> Vec<&str> {
        Elements::new(line.as_bytes(), true).map(|element| std::str::from_utf8(element).unwrap()).collect()
    }

    #[test]
    fn elements_come_from_the_right() {
        assert_eq!(
            Elements::new(b" a ,\tb,, \"c,d\" ", false).collect::<Vec<_>>(),
            [&b"d\""[..], b"\"c", b"", b"b", b"a"]
        );
        assert_eq!(quoted("a, b"), ["b", "a"]);
        assert_eq!(quoted(""), [""]);
        assert_eq!(quoted(","), ["", ""]);
    }

    #[test]
    fn a_comma_in_a_quoted_string_separates_nothing() {
        assert_eq!(quoted(r#"a="1, 2", b="3,4";c="5", d"#), ["d", r#"b="3,4";c="5""#, r#"a="1, 2""#]);
        assert_eq!(quoted(r#"a="\",\\", b="\\\",""#), [r#"b="\\\",""#, r#"a="\",\\""#]);
    }

    /// An open quotation mark takes all that is at its left, and nothing at its right.
    #[test]
    fn text_at_the_left_changes_no_element_at_the_right() {
        let right = r#"for="[2001:db8::1]:1";x="\"", for=192.0.2.7"#;
        for left in ["", "\"", "a=\"", "\\\"", "a=\"\\", "a=\"b\", \"", ",,\"\"\"", "\\", "=\\\\\""] {
            let line = format!("{left}, {right}");
            let elements = quoted(&line);
            assert_eq!(elements[..2], ["for=192.0.2.7", r#"for="[2001:db8::1]:1";x="\"""#], "{line}");
        }
    }
}

//! The elements of the header `Forwarded`, of RFC 7239.

use super::node::Node;

/// Reads the hop of an element such as `for=192.0.2.43;proto=http`: hidden if the element has no `for`. Returns `None`
/// if any part of the element is malformed, or if it has two hops.
///
/// A proxy may leave out the quotation marks that the colon and the brackets of an address require, and may write
/// spaces around a semicolon.
pub(super) fn hop(element: &[u8]) -> Option<Node> {
    let (mut hop, mut rest, mut is_empty) = (None, element, true);
    loop {
        rest = rest.trim_ascii_start();
        match rest {
            [] => return if is_empty { None } else { Some(hop.unwrap_or(Node::Hidden)) },
            [b';', more @ ..] => rest = more,
            _ => {
                let (name, value, after) = pair(rest)?;
                if name.eq_ignore_ascii_case(b"for") {
                    let node = Node::read(value)?;
                    if hop.replace(node).is_some() {
                        return None;
                    }
                }
                is_empty = false;
                rest = after.trim_ascii_start();
                if !matches!(rest, [] | [b';', ..]) {
                    return None;
                }
            }
        }
    }
}

/// Splits `name=value` from the rest. The value of a quoted string is the text between its quotation marks, with its
/// backslashes: no address has any.
fn pair(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name, rest) = split_while(text, is_token);
    let (value, rest) = match rest.strip_prefix(b"=")? {
        [b'"', rest @ ..] => split_string(rest)?,
        rest => {
            let unquoted = split_while(rest, |byte| is_token(byte) || b":[]".contains(&byte));
            Some(unquoted).filter(|(value, _)| !value.is_empty())?
        }
    };
    (!name.is_empty()).then_some((name, value, rest))
}

/// Splits the text at the quotation mark that ends a string.
fn split_string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => return Some((&text[..at], &text[at + 1..])),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn split_while(text: &[u8], is_part: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|&byte| !is_part(byte)).unwrap_or(text.len()))
}

/// Whether a byte may be in a token of RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<Node> {
        Some(Node::Address(text.parse().unwrap()))
    }

    #[test]
    fn hops_are_read() {
        for (element, expected) in [
            ("for=192.0.2.43", address("192.0.2.43")),
            ("For=\"[2001:db8:cafe::17]:4711\"", address("2001:db8:cafe::17")),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", address("192.0.2.60")),
            ("by=203.0.113.43;FOR=192.0.2.60", address("192.0.2.60")),
            ("for=\"192.0.2.60:80\" ; host=\"a;b,\\\"c\"", address("192.0.2.60")),
            ("for=192.0.2.60;", address("192.0.2.60")),
            (";;for=192.0.2.60;;", address("192.0.2.60")),
            ("host=\"\";for=192.0.2.60", address("192.0.2.60")),
            // Without the quotation marks.
            ("for=192.0.2.60:80", address("192.0.2.60")),
            ("for=[2001:db8::1]:80;proto=https", address("2001:db8::1")),
            ("for=2001:db8::1", address("2001:db8::1")),
            ("for=\"2001:db8::1\"", address("2001:db8::1")),
            ("for=unknown", Some(Node::Hidden)),
            ("for=_gazonk;by=unknown", Some(Node::Hidden)),
            ("proto=https;by=203.0.113.43", Some(Node::Hidden)),
        ] {
            assert_eq!(hop(element.as_bytes()), expected, "{element}");
        }
    }

    #[test]
    fn malformed_elements_are_none() {
        for element in [
            "",
            ";",
            " ; ",
            "192.0.2.43",
            "for",
            "for=",
            "=192.0.2.43",
            "for:192.0.2.43",
            "for =192.0.2.43",
            "for= 192.0.2.43",
            "for=\"192.0.2.43",
            "for=192.0.2.43\"",
            "for=\"192.0.2.43\"x",
            "for=\"\"",
            "for=''",
            "for=\"192.0.2.4\\3\"",
            "for=192.0.2.43 proto=http",
            "for=192.0.2.43;proto",
            "for=192.0.2.43;proto=",
            "for=192.0.2.43;for=192.0.2.44",
            "for=192.0.2.43;For=192.0.2.43",
            "for=192.0.2.43;host=\"",
            "for=[::1",
            "for=192.0.2.43;host=\"a\\\"",
            "f(or)=192.0.2.43",
            "for=localhost",
            "for=192.0.2.43;;x",
        ] {
            assert_eq!(hop(element.as_bytes()), None, "{element}");
        }
        assert_eq!(hop(b"for=192.0.2.43;host=\"\xe4\""), address("192.0.2.43"), "a quoted string may have any bytes");
        assert_eq!(hop(b"for=192.0.2.43;host=\xe4"), None);
    }
}

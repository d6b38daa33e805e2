//! [`Node`]: a hop, as a proxy names it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A hop, as a proxy names it in a forwarding header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// Of IPv4, if it is an IPv4 address mapped into IPv6.
    Address(IpAddr),
    /// `unknown`, or an identifier such as `_gateway`: the proxy knows the hop and does not disclose its address.
    Hidden,
}

impl Node {
    /// Reads a node in the form of RFC 7239, section 6, or an IPv6 address without brackets, as in `X-Forwarded-For`.
    /// A port may follow. Returns `None` if the text is malformed.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let v6 = |address: Ipv6Addr| Node::Address(IpAddr::V6(address).to_canonical());
        if let Some(rest) = text.strip_prefix('[') {
            let (address, after) = rest.split_once(']')?;
            let has_end = after.is_empty() || after.strip_prefix(':').is_some_and(is_port);
            return address.parse().ok().filter(|_| has_end).map(v6);
        }
        if let Ok(address) = text.parse() {
            return Some(v6(address));
        }
        let name = match text.split_once(':') {
            Some((name, port)) if is_port(port) => name,
            Some(_) => return None,
            None => text,
        };
        match name.parse::<Ipv4Addr>() {
            Ok(address) => Some(Node::Address(address.into())),
            Err(_) => (is_obfuscated(name) || name.eq_ignore_ascii_case("unknown")).then_some(Node::Hidden),
        }
    }
}

/// Whether the text is a port, or an identifier in the place of one.
fn is_port(text: &str) -> bool {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok();
    is_number || is_obfuscated(text)
}

/// Whether the text is an identifier that stands for an address or a port: `_gateway`.
fn is_obfuscated(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.strip_prefix('_').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_read_as_rfc_7239_writes_them() {
        for (text, address) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7:80", "192.0.2.7"),
            ("192.0.2.7:_secret", "192.0.2.7"),
            ("[2001:db8:cafe::17]", "2001:db8:cafe::17"),
            ("[2001:db8:cafe::17]:4711", "2001:db8:cafe::17"),
            ("[2001:DB8::1]:_x", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("[::ffff:192.0.2.7]:80", "192.0.2.7"),
            // Not an address with a port.
            ("2001:db8::1:443", "2001:db8::1:443"),
        ] {
            assert_eq!(Node::read(text.as_bytes()), Some(Node::Address(address.parse().unwrap())), "{text}");
        }
        for text in ["unknown", "Unknown", "unknown:80", "_hidden", "_SEVKISEK", "_a.b-c_d:_port", "_1:65535"] {
            assert_eq!(Node::read(text.as_bytes()), Some(Node::Hidden), "{text}");
        }
    }

    #[test]
    fn malformed_nodes_are_none() {
        let texts = [
            "",
            " ",
            "-",
            "_",
            "_ü",
            "_a b",
            "localhost",
            "unknown1",
            "un known",
            "192.0.2",
            "192.0.2.7.",
            "192.0.2.256",
            "192.0.2.07",
            "0300.0.2.7",
            "0x7f.1",
            "2130706433",
            "192.0.2.7:",
            "192.0.2.7:+1",
            "192.0.2.7:65536",
            "192.0.2.7:80:80",
            "192.0.2.7 ",
            " 192.0.2.7",
            "192.0.2.7\0",
            "[192.0.2.7]",
            "[2001:db8::1",
            "2001:db8::1]",
            "[2001:db8::1]443",
            "[2001:db8::1]:",
            "[2001:db8::1]]",
            "[[2001:db8::1]]",
            "[fe80::1%eth0]",
            "fe80::1%eth0",
            "[]",
            "[unknown]",
            ":80",
            "\"192.0.2.7\"",
            "192.0.2.7/32",
            "for=192.0.2.7",
            "１92.0.2.7",
        ];
        for text in texts {
            assert_eq!(Node::read(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Node::read(b"192.0.2.7\xff"), None);
    }
}

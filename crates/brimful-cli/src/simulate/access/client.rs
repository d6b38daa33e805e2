//! The client and the user, before the `[date]`.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use memchr::memchr;

use super::entry::field;
use super::prefix;
use crate::simulate::Malformed;

const NO_HOST: Malformed = Malformed("no host");
const NO_NAMES: Malformed = Malformed("no ident and user before the [date]");
const NO_CLIENT: Malformed =
    Malformed("the client is neither an address nor a host name, and no known prefix stands before it");
const UNKNOWN_PREFIX: Malformed =
    Malformed("the text before the client is not a known prefix (syslog, a container runtime, a virtual host)");
const UNKNOWN_HOP: Malformed = Malformed("the list of forwarded addresses has an entry that is not an address");

/// Returns the client and the user in `client ident user `, after the prefix of a log collector if
/// there is one. An address that the log has in another than its usual form is written to
/// `scratch`.
pub(super) fn names<'a>(text: &'a [u8], scratch: &'a mut Vec<u8>) -> Result<(&'a [u8], &'a [u8]), Malformed> {
    let text = text.strip_suffix(b" ").ok_or(NO_NAMES)?;
    let (first, rest) = field(text);
    if first.is_empty() {
        return Err(NO_HOST);
    }
    // Clients choose their user names, so an address is certain whatever the user name is.
    if let Some(user) = rest.strip_prefix(b"- ") {
        if let Some(address) = Address::read(first) {
            return Ok((address.text(scratch), user));
        }
    }
    prefixed_names(without_virtual_host(prefix::skip(text)), scratch)
}

/// Returns the client and the user in `client ident user`, if the client is more than an address.
#[cold]
fn prefixed_names<'a>(text: &'a [u8], scratch: &'a mut Vec<u8>) -> Result<(&'a [u8], &'a [u8]), Malformed> {
    let (clients, rest) = forwarded(text);
    let client = Client::read(clients)?;
    let end = memchr(b' ', rest).filter(|&end| end > 0).ok_or(NO_NAMES)?;
    let (ident, user) = (&rest[..end], &rest[end + 1..]);
    let sure = !matches!(client, Client::Name(_)) && ident == b"-";
    if !sure && !are_plain(ident, user) {
        return Err(UNKNOWN_PREFIX);
    }
    Ok((client.text(scratch), user))
}

/// Whether `ident` and `user` can be nothing else. Any word can be a host name, so a word is not
/// taken for the client if the text after it may be another client.
fn are_plain(ident: &[u8], user: &[u8]) -> bool {
    let has_address = |word: &[u8]| word.split(|&byte| byte == b',').any(|part| Address::read(part).is_some());
    let mut words = user.split(|&byte| byte == b' ');
    if ident != b"-" {
        return !has_address(ident) && !ident.contains(&b'.') && !has_address(user) && words.count() == 1;
    }
    user == b"-" || !words.any(|word| word == b"-" || has_address(word))
}

/// Returns the client, or the list of forwarded addresses, at the beginning of `text`, and the text
/// after it.
fn forwarded(text: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr_iter(b' ', text).find(|&end| end > 0 && text[end - 1] != b',').unwrap_or(text.len());
    (&text[..end], text.get(end + 1..).unwrap_or_default())
}

/// Returns `text` without the name of a virtual host at its beginning. Apache's `vhost_combined`
/// has one there.
fn without_virtual_host(text: &[u8]) -> &[u8] {
    let (first, rest) = field(text);
    let (second, after) = field(rest);
    let client_is_next = match Client::read(second) {
        Ok(Client::Address(_) | Client::Unix(_)) => is_virtual_host(first) || first == b"-",
        Ok(Client::Name(_)) => is_virtual_host(first) && after.starts_with(b"- "),
        // A list of forwarded addresses goes on after its comma.
        _ => is_virtual_host(first) && second.contains(&b','),
    };
    if client_is_next { rest } else { text }
}

/// Whether `word` is a virtual host: a host name with a dot, or any host with a port. A word without
/// both can be anything.
fn is_virtual_host(word: &[u8]) -> bool {
    match without_port(word) {
        Some(host) => is_name(host) || Address::read(host).is_some(),
        None => word == b"_" || word == b"localhost" || (is_name(word) && word.contains(&b'.')),
    }
}

/// Whether `word` can be the name of a host. Numbers with dots between them are a broken address
/// instead.
pub(super) fn is_name(word: &[u8]) -> bool {
    let inside = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let numbers = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    let begins = word.first().is_some_and(|&byte| byte.is_ascii_alphanumeric() || byte == b'_');
    begins && word.iter().all(inside) && !(word.contains(&b'.') && word.iter().all(numbers))
}

/// Returns `word` without the port at its end, or `None` if it has no port.
fn without_port(word: &[u8]) -> Option<&[u8]> {
    let colon = memchr::memrchr(b':', word)?;
    let port = std::str::from_utf8(&word[colon + 1..]).ok()?;
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    is_port.then_some(&word[..colon])
}

/// The sender of a request, in the forms that servers write.
enum Client<'a> {
    Address(Address<'a>),
    /// `unix:`, for a socket without addresses.
    Unix(&'a [u8]),
    /// `-`
    Unknown(&'a [u8]),
    Name(&'a [u8]),
}

impl<'a> Client<'a> {
    /// Reads a client, or a list of forwarded addresses.
    fn read(text: &'a [u8]) -> Result<Client<'a>, Malformed> {
        if text.contains(&b',') {
            return nearest_public(text).map(Client::Address);
        }
        if let Some(address) = Address::read(text) {
            return Ok(Client::Address(address));
        }
        let name = without_port(text).unwrap_or(text);
        match text {
            b"-" => Ok(Client::Unknown(text)),
            _ if is_unix(text) => Ok(Client::Unix(text)),
            _ if is_name(name) => Ok(Client::Name(name)),
            _ => Err(NO_CLIENT),
        }
    }

    fn text(self, scratch: &'a mut Vec<u8>) -> &'a [u8] {
        match self {
            Client::Address(address) => address.text(scratch),
            Client::Unix(text) | Client::Unknown(text) | Client::Name(text) => text,
        }
    }
}

/// Whether nginx writes `word` for a client at a Unix socket.
pub(super) fn is_unix(word: &[u8]) -> bool {
    word.starts_with(b"unix:")
}

/// Returns the client in a list of forwarded addresses. Each proxy adds the address of its peer at
/// the end, and a client can send any beginning of the list. So the client is the last address that
/// is not private, or the first address if all are private.
fn nearest_public(list: &[u8]) -> Result<Address<'_>, Malformed> {
    let mut found = None;
    for hop in list.rsplit(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
        // A proxy may write `-` if it received no list.
        if hop.is_empty() || hop == b"-" {
            continue;
        }
        let address = Address::read(hop).ok_or(UNKNOWN_HOP)?;
        if !is_private(address.ip) {
            return Ok(address);
        }
        found = Some(address);
    }
    found.ok_or(UNKNOWN_HOP)
}

/// Whether an address is used only inside of networks, mostly for proxies.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            // 100.64.0.0/10, which carriers share: RFC 6598.
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// An address. In the log it may be in brackets or have a port.
#[derive(Clone, Copy)]
pub(super) struct Address<'a> {
    /// Of IPv4, if it is an IPv4 address mapped into IPv6.
    ip: IpAddr,
    /// Empty, or from `%` on.
    zone: &'a [u8],
    /// The text in the log without its port, if that is known to be the usual form.
    usual: Option<&'a [u8]>,
}

impl<'a> Address<'a> {
    pub(super) fn read(word: &'a [u8]) -> Option<Self> {
        if let Some(rest) = word.strip_prefix(b"[") {
            let end = memchr(b']', rest)?;
            let after = &rest[end + 1..];
            return (after.is_empty() || without_port(after) == Some(b"")).then(|| Self::v6(&rest[..end])).flatten();
        }
        match memchr(b':', word) {
            None => Self::v4(word),
            Some(colon) if memchr(b':', &word[colon + 1..]).is_some() => Self::v6(word),
            Some(_) => without_port(word).and_then(Self::v4),
        }
    }

    /// The standard library reads an address of IPv4 in its usual form only.
    fn v4(text: &'a [u8]) -> Option<Self> {
        let ip: Ipv4Addr = std::str::from_utf8(text).ok()?.parse().ok()?;
        Some(Address { ip: ip.into(), zone: b"", usual: Some(text) })
    }

    fn v6(text: &'a [u8]) -> Option<Self> {
        let (text, zone) = text.split_at(memchr(b'%', text).unwrap_or(text.len()));
        let ip: Ipv6Addr = std::str::from_utf8(text).ok()?.parse().ok()?;
        Some(Address { ip: ip.to_canonical(), zone, usual: None })
    }

    /// Returns the address in its usual form, so that each spelling of it is the same key. The text
    /// is written to `scratch` if the log may have another one.
    fn text(self, scratch: &'a mut Vec<u8>) -> &'a [u8] {
        if let Some(text) = self.usual {
            return text;
        }
        scratch.clear();
        // Writing to memory cannot fail.
        let _ = write!(scratch, "{}", self.ip);
        scratch.extend_from_slice(self.zone);
        scratch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_in_their_usual_form() {
        for (word, expected) in [
            ("1.2.3.4", Some("1.2.3.4")),
            ("255.255.255.255", Some("255.255.255.255")),
            ("01.2.3.4", None),
            ("1.2.3", None),
            ("1.2.3.4.", None),
            ("1..3.4", None),
            ("256.2.3.4", None),
            ("1.2.3.4:80", Some("1.2.3.4")),
            ("1.2.3.4:", None),
            ("1.2.3.4:99999", None),
            ("::", Some("::")),
            ("::1", Some("::1")),
            ("1::", Some("1::")),
            ("1:2:3:4:5:6:7:8", Some("1:2:3:4:5:6:7:8")),
            ("1::3:4:5:6:7:8", Some("1:0:3:4:5:6:7:8")),
            ("::2:3:4:5:6:7:8", Some("0:2:3:4:5:6:7:8")),
            ("1:2:3:4:5:6:7::", Some("1:2:3:4:5:6:7:0")),
            ("1:0:0:4:0:0:0:8", Some("1:0:0:4::8")),
            ("1:2:3:4:5:6:7:8:9", None),
            ("1:2:3:4:5:6:7", None),
            ("12345::", None),
            (":::", None),
            ("1:::2", None),
            ("1::2::3", None),
            (":1::2", None),
            ("1::2:", None),
            ("ffff::10:f00", Some("ffff::10:f00")),
            ("1:2:3:4:5:6::", Some("1:2:3:4:5:6::")),
            ("::3:4:5:6:7:8", Some("::3:4:5:6:7:8")),
            ("2001:DB8::10", Some("2001:db8::10")),
            ("2001:0db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:443", Some("2001:db8::1")),
            ("[2001:db8::1]443", None),
            ("[1.2.3.4]:80", None),
            ("fe80::1%eth0", Some("fe80::1%eth0")),
            ("FE80::1%eth0", Some("fe80::1%eth0")),
            ("::ffff:1.2.3.4", Some("1.2.3.4")),
            ("::ffff:102:304", Some("1.2.3.4")),
            (":", None),
            ("", None),
            ("a", None),
        ] {
            let mut scratch = Vec::new();
            let found = Address::read(word.as_bytes()).map(|address| address.text(&mut scratch));
            assert_eq!(found, expected.map(str::as_bytes), "{word}");
        }
    }

    #[test]
    fn each_address_is_read_and_written_as_the_standard_library_does() {
        let mut random = 1u64;
        for round in 0..200_000u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Groups of few bits, many of them zero.
            let groups: [u16; 8] = std::array::from_fn(|at| (random >> (8 * at) & 0x13 & round >> at) as u16);
            let ip = Ipv6Addr::from(groups);
            let long = groups.map(|group| format!("{group:x}")).join(":");
            for text in [ip.to_string(), long] {
                let mut scratch = Vec::new();
                let address = Address::read(text.as_bytes()).unwrap();
                assert_eq!(address.ip, ip.to_canonical());
                let written = address.text(&mut scratch);
                assert_eq!(written, ip.to_canonical().to_string().as_bytes(), "{text}");
            }
            let octets = (random as u32).to_be_bytes().map(|octet| octet >> (round & 7));
            let text = Ipv4Addr::from(octets).to_string();
            assert_eq!(Address::read(text.as_bytes()).map(|address| address.ip), text.parse().ok());
        }
    }
}

//! Forwarding headers: whatever a client sends, its address is the one that the first trusted proxy has written.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use brimful_tower::address::ForwardingHeader::{Forwarded, XForwardedFor};
use brimful_tower::address::{AddressPrefix, ForwardingHeader, TrustedProxies};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::random::{Random, inputs};

const MARKS: &[u8] = b"\",;=\\[]:. \tfor=10_%/";

/// Texts of clients who want another address.
const CORPUS: [&str; 48] = [
    "127.0.0.1",
    "10.0.0.1",
    "fd00::1",
    "[fd00::1]",
    "::ffff:10.0.0.1",
    "[::ffff:10.0.0.1]:80",
    "::ffff:a00:1",
    "198.51.100.1:80",
    "198.51.100.1:99999",
    "10.0.0.1%00",
    "0x0a000001",
    "167772161",
    "012.0.0.1",
    "10.1",
    "fe80::1%eth0",
    "[fe80::1%25eth0]",
    "unknown",
    "_hidden",
    "_:_",
    "-",
    "localhost",
    "１０.0.0.1",
    "for=10.0.0.1",
    "for=\"10.0.0.1\"",
    "FOR=10.0.0.1;for=10.0.0.2",
    "for=\"[fd00::1]:80\"",
    "for=10.0.0.1;by=\"",
    "for=\"10.0.0.1",
    "for=\"\\\"10.0.0.1\"",
    "host=\"a, for=10.0.0.1\"",
    "for=unknown",
    "for=_x;proto=http",
    "proto=https",
    "for",
    "for=",
    "=",
    ";",
    "\"",
    "\\",
    "\"\"",
    "\\\"",
    "[",
    "]",
    ":",
    ",",
    " ",
    "\t",
    "",
];

fn v4(random: &mut Random) -> Ipv4Addr {
    Ipv4Addr::from_bits(random.next() as u32)
}

/// Returns an address that no trusted network has.
fn stranger(random: &mut Random) -> IpAddr {
    loop {
        let v6 = Ipv6Addr::from_bits(u128::from(random.next()) << 64 | u128::from(random.next()));
        let address = if random.one_in(2) { v4(random).into() } else { IpAddr::V6(v6) }.to_canonical();
        if !is_trusted(address) {
            return address;
        }
    }
}

fn proxy(random: &mut Random) -> IpAddr {
    let [_, b, c, d] = v4(random).octets();
    let v6 = Ipv6Addr::from_bits(0xfd << 120 | u128::from(random.next()));
    if random.one_in(2) { Ipv4Addr::new(10, b, c, d).into() } else { v6.into() }
}

/// The same networks as those of [`trusted`], read in another way.
fn is_trusted(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets()[0] == 10,
        IpAddr::V6(v6) => v6.octets()[0] == 0xfd,
    }
}

fn trusted() -> TrustedProxies {
    TrustedProxies::networks(["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap()))
}

/// Writes a hop as some proxy does.
fn hop(random: &mut Random, address: IpAddr, header: ForwardingHeader) -> String {
    let port = random.pick(&["", ":80", ":65535", ":_port"]);
    let address = match address {
        IpAddr::V4(v4) if random.one_in(4) => format!("[::ffff:{v4}]{port}"),
        IpAddr::V4(v4) => format!("{v4}{port}"),
        IpAddr::V6(v6) if port.is_empty() && random.one_in(2) => v6.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]{port}"),
    };
    if header == XForwardedFor {
        return address;
    }
    let name = random.pick(&["for", "For", "FOR"]);
    let hop = if random.one_in(2) { format!("{name}=\"{address}\"") } else { format!("{name}={address}") };
    let others =
        ["by=203.0.113.1", "proto=https", "host=\"a,b;c\"", "host=\"\\\",for=1.2.3.4\\\\\"", "x=\"\"", "secret=_"];
    let (before, after) = (random.pick(&others), random.pick(&others));
    match random.below(4) {
        0 => format!("{before};{hop}"),
        1 => format!("{hop} ; {after}"),
        2 => format!("{before};{hop};{after};"),
        _ => hop,
    }
}

/// Returns a line as a client may send it.
fn line(random: &mut Random, header: ForwardingHeader) -> Vec<u8> {
    let mut line = Vec::new();
    for nth in 0..random.below(4) {
        if nth > 0 {
            line.extend_from_slice(random.pick(&[b",".as_slice(), b", ", b" , ", b";", b" "]));
        }
        let element = match random.below(3) {
            0 => {
                let address = if random.one_in(2) { proxy(random) } else { stranger(random) };
                hop(random, address, header)
            }
            _ => random.pick(&CORPUS).to_owned(),
        };
        line.extend_from_slice(element.as_bytes());
    }
    random.mutate(&mut line, MARKS);
    line
}

fn map(header: ForwardingHeader, lines: &[Vec<u8>]) -> HeaderMap {
    let name = HeaderName::from_static(if header == Forwarded { "forwarded" } else { "x-forwarded-for" });
    lines.iter().map(|line| (name.clone(), HeaderValue::from_bytes(line).expect("a value"))).collect()
}

fn shown(lines: &[Vec<u8>]) -> Vec<String> {
    lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
}

/// Adds a hop to the lines, in one of the ways of proxies.
fn add(random: &mut Random, lines: &mut Vec<Vec<u8>>, hop: &str) {
    if random.one_in(4) {
        // Some proxies send all lines as one.
        *lines = vec![lines.join(&b","[..])].into_iter().filter(|line| !line.is_empty()).collect();
    }
    match lines.last_mut().filter(|_| !random.one_in(3)) {
        Some(last) => {
            last.extend_from_slice(random.pick(&[b",".as_slice(), b", ", b" ,\t"]));
            last.extend_from_slice(hop.as_bytes());
        }
        None => lines.push(hop.as_bytes().to_vec()),
    }
}

#[test]
fn no_client_gets_another_address() {
    let networks = trusted();
    for input in inputs() {
        let mut random = Random::of(input);
        let header = if random.one_in(2) { XForwardedFor } else { Forwarded };
        let mut lines: Vec<_> = (0..random.below(4)).map(|_| line(&mut random, header)).collect();
        let sent = lines.clone();
        let client = stranger(&mut random);
        let added = hop(&mut random, client, header);
        add(&mut random, &mut lines, &added);
        let proxies = random.below(4);
        for _ in 0..proxies {
            let address = proxy(&mut random);
            let added = hop(&mut random, address, header);
            add(&mut random, &mut lines, &added);
        }
        let (peer, headers) = (proxy(&mut random), map(header, &lines));
        for known in [networks.clone(), TrustedProxies::hops(proxies + 1)] {
            let found = known.header(header).client(peer, &headers);
            assert_eq!(found, client, "input {input}: sent {:?}, arrived {:?}", shown(&sent), shown(&lines));
        }
        let prefix = AddressPrefix::DEFAULT.of(client);
        let expected = match client {
            IpAddr::V4(_) => client,
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        };
        assert_eq!(prefix, expected, "input {input}");
    }
}

/// A hop of the second reading.
#[derive(Clone, Copy, Debug)]
enum Hop {
    Address(IpAddr),
    Hidden,
    Malformed,
}

fn read_node(text: &str) -> Hop {
    let is_name = |text: &str| {
        let mut letters = text.chars();
        letters.next() == Some('_') && text.len() > 1 && letters.all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    let is_port = |text: &str| {
        let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        is_name(text)
            || (digits
                && text.trim_start_matches('0').len() <= 5
                && text.parse::<u32>().is_ok_and(|port| port < 65_536))
    };
    let address = |address: IpAddr| Hop::Address(address.to_canonical());
    if let Ok(found) = text.parse::<IpAddr>() {
        return address(found);
    }
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<Ipv6Addr>().map_or(Hop::Malformed, |found| address(found.into()));
    }
    if text.eq_ignore_ascii_case("unknown") || is_name(text) {
        return Hop::Hidden;
    }
    // Without its port, the rest is a node, but not an IPv6 address without brackets.
    match text.rsplit_once(':') {
        Some((rest, port)) if is_port(port) && (rest.starts_with('[') == rest.ends_with(']')) => {
            let is_bracketed = rest.starts_with('[');
            if rest.contains(':') != is_bracketed || rest.is_empty() { Hop::Malformed } else { read_node(rest) }
        }
        _ => Hop::Malformed,
    }
}

fn read_hop(text: &[u8]) -> Hop {
    std::str::from_utf8(text.trim_ascii()).map_or(Hop::Malformed, read_node)
}

/// Reads a line of `Forwarded` from the left, byte by byte. Returns `None` if the line as a whole is malformed: quotation
/// marks are then no pairs, or a name, a value or a mark is in a wrong place.
fn read_forwarded(line: &[u8]) -> Option<Vec<Hop>> {
    let (mut rest, mut hops) = (Rest(line), Vec::new());
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    loop {
        rest.take_while(|byte| b" \t".contains(&byte));
        match rest.0.first() {
            None | Some(b',') => {
                let nodes: Vec<_> = pairs.iter().filter(|(name, _)| name == b"for").collect();
                hops.push(match nodes[..] {
                    _ if pairs.is_empty() => Hop::Malformed,
                    [] => Hop::Hidden,
                    [(_, value)] => std::str::from_utf8(value).map_or(Hop::Malformed, read_node),
                    _ => Hop::Malformed,
                });
                pairs = Vec::new();
                if rest.0.is_empty() {
                    return Some(hops);
                }
                rest.0 = &rest.0[1..];
            }
            Some(b';') => rest.0 = &rest.0[1..],
            Some(_) => {
                pairs.push((rest.name()?, rest.value()?));
                rest.take_while(|byte| b" \t".contains(&byte));
                if !matches!(rest.0.first(), None | Some(b',' | b';')) {
                    return None;
                }
            }
        }
    }
}

/// The rest of a line.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take_while(&mut self, is_part: impl Fn(u8) -> bool) -> Vec<u8> {
        let taken: Vec<u8> = self.0.iter().copied().take_while(|byte| is_part(*byte)).collect();
        self.0 = &self.0[taken.len()..];
        taken
    }

    fn name(&mut self) -> Option<Vec<u8>> {
        let name = self.take_while(is_token).to_ascii_lowercase();
        self.0 = self.0.strip_prefix(b"=")?;
        Some(name).filter(|name| !name.is_empty())
    }

    fn value(&mut self) -> Option<Vec<u8>> {
        let Some(mut quoted) = self.0.strip_prefix(b"\"") else {
            return Some(self.take_while(|byte| is_token(byte) || b":[]".contains(&byte)))
                .filter(|value| !value.is_empty());
        };
        let mut value = Vec::new();
        loop {
            let length = match quoted.first()? {
                b'"' => {
                    self.0 = &quoted[1..];
                    return Some(value);
                }
                b'\\' => 2,
                _ => 1,
            };
            value.extend_from_slice(quoted.get(..length)?);
            quoted = &quoted[length..];
        }
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn by_networks(peer: IpAddr, hops: &[Hop]) -> IpAddr {
    let mut client = peer;
    for hop in hops.iter().rev() {
        if !is_trusted(client) {
            return client;
        }
        match hop {
            Hop::Address(address) => client = *address,
            Hop::Hidden | Hop::Malformed => return client,
        }
    }
    client
}

fn by_hops(peer: IpAddr, hops: &[Hop], n: usize) -> IpAddr {
    let last = &hops[hops.len() - n.min(hops.len())..];
    let known = last.iter().rposition(|hop| matches!(hop, Hop::Malformed)).map_or(0, |at| at + 1);
    let first =
        last[known..].iter().find_map(|hop| if let Hop::Address(address) = hop { Some(*address) } else { None });
    first.unwrap_or(peer)
}

/// Any list at all is read as a second reader reads it: of `Forwarded`, if each line is well-formed as a whole.
#[test]
fn lists_are_read_as_a_second_reader_reads_them() {
    let (networks, mut compared, mut found_clients) = (trusted(), 0u64, 0u64);
    let inputs = inputs();
    for input in inputs.clone() {
        let mut random = Random::of(!input);
        let header = if random.one_in(2) { XForwardedFor } else { Forwarded };
        let mut lines: Vec<Vec<u8>> = Vec::new();
        for _ in 0..random.below(5) {
            let address = if random.one_in(3) { stranger(&mut random) } else { proxy(&mut random) };
            let text =
                if random.one_in(8) { random.pick(&CORPUS).to_owned() } else { hop(&mut random, address, header) };
            add(&mut random, &mut lines, &text);
        }
        if let Some(some) = lines.last_mut().filter(|_| random.one_in(2)) {
            random.mutate(some, MARKS);
        }
        let read_line = |line: &Vec<u8>| match header {
            Forwarded => read_forwarded(line),
            _ => Some(line.split(|byte| *byte == b',').map(read_hop).collect()),
        };
        let hops: Option<Vec<Vec<Hop>>> = lines.iter().map(read_line).collect();
        let (peer, n, headers) = (proxy(&mut random), random.below(6), map(header, &lines));
        let found = networks.clone().header(header).client(peer, &headers);
        let counted = TrustedProxies::hops(n).header(header).client(peer, &headers);
        let Some(hops) = hops.map(|lines| lines.concat()) else { continue };
        compared += 1;
        found_clients += u64::from(!is_trusted(found));
        assert_eq!(found, by_networks(peer, &hops), "input {input}: {:?} {hops:?}", shown(&lines));
        assert_eq!(counted, by_hops(peer, &hops, n), "input {input}: {n} hops, {:?} {hops:?}", shown(&lines));
    }
    println!("{compared} were compared, {found_clients} had a client");
    assert!(compared * 2 > inputs.end && found_clients * 5 > inputs.end);
}

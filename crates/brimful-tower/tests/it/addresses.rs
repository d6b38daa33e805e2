//! The address of a client behind proxies, whatever the client sends.

use std::net::IpAddr;

use brimful_tower::address::{ForwardingHeader, Network, TrustedProxies};
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use ForwardingHeader::{Forwarded, XForwardedFor};

/// A client that is known by the address that a proxy adds.
const CLIENT: &str = "203.0.113.9";

/// A trusted proxy.
const PEER: &str = "10.0.0.2";

fn name(header: ForwardingHeader) -> HeaderName {
    HeaderName::from_static(if header == Forwarded { "forwarded" } else { "x-forwarded-for" })
}

fn map<'a>(header: ForwardingHeader, lines: impl IntoIterator<Item = &'a [u8]>) -> HeaderMap {
    let value = |line| HeaderValue::from_bytes(line).expect("a value of a header");
    lines.into_iter().map(|line| (name(header), value(line))).collect()
}

fn private() -> TrustedProxies {
    let networks = ["10.0.0.0/8", "fd00::/8"].map(|text| text.parse::<Network>().expect("a network"));
    TrustedProxies::networks(networks)
}

/// Returns the client by a header with these lines.
fn client(proxies: &TrustedProxies, header: ForwardingHeader, lines: &[&str]) -> String {
    let headers = map(header, lines.iter().map(|line| line.as_bytes()));
    proxies.clone().header(header).client(address(PEER), &headers).to_string()
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Each proxy adds its peer in one of three ways.
fn added(lines: &[&[u8]], element: &str) -> [Vec<Vec<u8>>; 3] {
    let lines: Vec<Vec<u8>> = lines.iter().map(|line| line.to_vec()).collect();
    let joined = |separator: &str| {
        let mut joined = lines.clone();
        let mut last = joined.pop().unwrap_or_default();
        last.extend_from_slice(separator.as_bytes());
        last.extend_from_slice(element.as_bytes());
        joined.push(last);
        joined
    };
    let mut apart = lines.clone();
    apart.push(element.as_bytes().to_vec());
    [joined(", "), joined(","), apart]
}

/// Checks the client after one proxy added it, and after a second one added the first.
fn check(header: ForwardingHeader, sent: &[&[u8]]) {
    let element = |address: &str| match header {
        Forwarded => format!("for={address};proto=https"),
        _ => address.to_owned(),
    };
    for lines in added(sent, &element(CLIENT)) {
        let lines: Vec<_> = lines.iter().map(Vec::as_slice).collect();
        check_one(header, &lines, 1);
        for lines in added(&lines, &element("10.0.0.3")) {
            check_one(header, &lines.iter().map(Vec::as_slice).collect::<Vec<_>>(), 2);
        }
    }
}

fn check_one(header: ForwardingHeader, lines: &[&[u8]], hops: usize) {
    let headers = map(header, lines.iter().copied());
    for proxies in [private(), TrustedProxies::hops(hops)] {
        let found = proxies.clone().header(header).client(address(PEER), &headers);
        let shown = || lines.iter().map(|line| String::from_utf8_lossy(line)).collect::<Vec<_>>();
        assert_eq!(found, address(CLIENT), "{proxies:?}: {:?}", shown());
    }
}

#[test]
fn no_text_of_a_client_changes_its_address() {
    let many = vec!["198.51.100.1"; 10_000].join(", ");
    let trusted = vec!["10.0.0.1"; 10_000].join(",");
    for sent in [
        "",
        ",",
        ", ,",
        "127.0.0.1",
        "10.0.0.1",
        "10.0.0.1, 10.0.0.1",
        "198.51.100.1",
        "203.0.113.8,",
        "unknown",
        "_me",
        "-",
        "\"",
        "\"198.51.100.1\"",
        "\"198.51.100.1, ",
        "\\",
        "\\\"",
        "[",
        "[::1",
        "[::1]:",
        "::1",
        "::ffff:10.0.0.1",
        "198.51.100.1:99999",
        "for=198.51.100.1",
        "198.51.100.1;203.0.113.9",
        "198.51.100.1 203.0.113.9",
        "0",
        "0x7f.1",
        "localhost",
        "198.51.100.1%00",
        "\t",
        &many,
        &trusted,
    ] {
        check(XForwardedFor, &[sent.as_bytes()]);
        check(XForwardedFor, &[sent.as_bytes(), b"198.51.100.7", sent.as_bytes()]);
    }
    let many = vec!["for=198.51.100.1"; 10_000].join(", ");
    let escapes = format!("for=\"{}", "\\\"".repeat(10_000));
    for sent in [
        "",
        ",",
        ";",
        "for",
        "for=",
        "for=\"",
        "for=\"\\",
        "for=\"\\\"",
        "for=\"198.51.100.1",
        "for=10.0.0.1",
        "for=_me",
        "for=10.0.0.1, for=10.0.0.1",
        "for=\"198.51.100.1, for=10.0.0.1",
        "for=198.51.100.1;by=\"",
        "host=\"a, for=",
        "for=198.51.100.1;host=\"\\\\\\\"",
        "\"",
        "\"\"\"",
        "\"for=\"198.51.100.1\"\"",
        "for=\"[::1]:1\", \"",
        "=\"",
        "for=198.51.100.1;for=10.0.0.1",
        "198.51.100.1",
        ";;;;,,,,",
        "\\\\\\",
        "for=\"10.0.0.1\",\"\\",
        &many,
        &escapes,
    ] {
        check(Forwarded, &[sent.as_bytes()]);
        check(Forwarded, &[sent.as_bytes(), b"for=198.51.100.7", sent.as_bytes()]);
    }
    check(XForwardedFor, &[b"\xff\xfe", "１".as_bytes()]);
    check(Forwarded, &[b"for=\"\xff", b"\xe4=\xf6"]);
}

/// A proxy that writes one header passes on the other one as the client sent it.
#[test]
fn only_the_header_of_the_proxies_is_read() {
    let mut headers = map(XForwardedFor, [CLIENT.as_bytes()]);
    headers.extend(map(Forwarded, [&b"for=198.51.100.1"[..]]));
    assert_eq!(private().client(address(PEER), &headers), address(CLIENT));
    assert_eq!(private().header(Forwarded).client(address(PEER), &headers), address("198.51.100.1"));
}

#[test]
fn a_peer_that_is_no_proxy_is_the_client() {
    let headers = map(XForwardedFor, [&b"198.51.100.1"[..]]);
    for peer in [CLIENT, "11.0.0.1", "::1", "fc00::1"] {
        assert_eq!(private().client(address(peer), &headers), address(peer));
    }
    assert_eq!(TrustedProxies::none().client(address(PEER), &headers), address(PEER));
    // On a socket of IPv6.
    assert_eq!(private().client(address("::ffff:10.0.0.2"), &headers), address("198.51.100.1"));
    assert_eq!(private().client(address("::ffff:203.0.113.9"), &headers), address(CLIENT));
}

#[test]
fn trusted_networks_are_passed_from_the_right() {
    for (lines, expected) in [
        (&[][..], PEER),
        (&["203.0.113.9"], "203.0.113.9"),
        (&["198.51.100.1, 203.0.113.9, 10.0.0.3"], "203.0.113.9"),
        (&["198.51.100.1", "203.0.113.9", "10.0.0.3,fd00::1"], "203.0.113.9"),
        (&["203.0.113.9:4711, [fd00::1]:80, ::ffff:10.0.0.3"], "203.0.113.9"),
        // All are proxies: the client is one.
        (&["10.0.0.4, 10.0.0.3"], "10.0.0.4"),
        // A hop that is no address: the last proxy before it.
        (&["203.0.113.9, unknown, 10.0.0.3"], "10.0.0.3"),
        (&["203.0.113.9, _x, 10.0.0.3"], "10.0.0.3"),
        (&["203.0.113.9, 10.0.0.4.5, 10.0.0.3"], "10.0.0.3"),
        (&["203.0.113.9, , 10.0.0.3"], "10.0.0.3"),
        (&["203.0.113.9", ""], PEER),
        (&["203.0.113.9,"], PEER),
    ] {
        assert_eq!(client(&private(), XForwardedFor, lines), expected, "{lines:?}");
    }
    for (lines, expected) in [
        (&["for=198.51.100.1, for=\"[2001:db8::1]:80\";by=10.0.0.3, For=10.0.0.3"][..], "2001:db8::1"),
        (&["for=203.0.113.9;host=\"a,b\\\",for=10.0.0.9\"", "for=10.0.0.3"], "203.0.113.9"),
        (&["for=203.0.113.9, proto=https, for=10.0.0.3"], "10.0.0.3"),
        (&["for=203.0.113.9, for=_hidden, for=10.0.0.3"], "10.0.0.3"),
        (&["for=203.0.113.9, for=\"10.0.0.4, for=10.0.0.3"], "10.0.0.3"),
    ] {
        assert_eq!(client(&private(), Forwarded, lines), expected, "{lines:?}");
    }
}

#[test]
fn hops_are_counted_from_the_right() {
    let lines = &["198.51.100.1, 203.0.113.9", "192.0.2.3, 192.0.2.4"];
    for (n, expected) in
        [(0, PEER), (1, "192.0.2.4"), (2, "192.0.2.3"), (3, "203.0.113.9"), (4, "198.51.100.1"), (9, "198.51.100.1")]
    {
        assert_eq!(client(&TrustedProxies::hops(n), XForwardedFor, lines), expected, "{n}");
    }
    for (lines, expected) in [
        // A proxy that hides another one is trusted, and so is the hop that it names.
        (&["203.0.113.9, unknown, 192.0.2.4"][..], "203.0.113.9"),
        // The client is hidden.
        (&["198.51.100.1, unknown, 192.0.2.3, 192.0.2.4"], "192.0.2.3"),
        // Malformed.
        (&["203.0.113.9, 192.0.2.3x, 192.0.2.4"], "192.0.2.4"),
        (&["203.0.113.9, , 192.0.2.4"], "192.0.2.4"),
    ] {
        assert_eq!(client(&TrustedProxies::hops(3), XForwardedFor, lines), expected, "{lines:?}");
    }
}

/// Any bytes that a header can have.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop_oneof![Just(b'\t'), 0x20..0x7fu8, 0x80..=0xffu8];
    let marks = prop::sample::select(b"\",;=\\[]:. for=10_".to_vec());
    prop::collection::vec(prop_oneof![bytes, marks], 0..60)
}

/// A hop, and what it means.
#[derive(Clone, Debug)]
enum Hop {
    Proxy(u8),
    Client(u8),
    Hidden,
    Malformed,
}

impl Hop {
    fn text(&self) -> String {
        match self {
            Hop::Proxy(n) => format!("10.0.0.{n}"),
            Hop::Client(n) => format!("203.0.113.{n}"),
            Hop::Hidden => "unknown".to_owned(),
            Hop::Malformed => "10.0.0.".to_owned(),
        }
    }
}

fn hop() -> impl Strategy<Value = Hop> {
    prop_oneof![
        4 => any::<u8>().prop_map(Hop::Proxy),
        2 => any::<u8>().prop_map(Hop::Client),
        1 => Just(Hop::Hidden),
        1 => Just(Hop::Malformed),
    ]
}

/// The client by networks and by a number of hops, computed from the hops themselves.
fn model(hops: &[Hop], n: usize) -> (String, String) {
    let (mut by_networks, mut by_hops) = (PEER.to_owned(), PEER.to_owned());
    for hop in hops.iter().rev() {
        match hop {
            Hop::Proxy(_) => by_networks = hop.text(),
            Hop::Client(_) => {
                by_networks = hop.text();
                break;
            }
            Hop::Hidden | Hop::Malformed => break,
        }
    }
    for hop in hops.iter().rev().take(n) {
        match hop {
            Hop::Proxy(_) | Hop::Client(_) => by_hops = hop.text(),
            Hop::Hidden => {}
            Hop::Malformed => break,
        }
    }
    (by_networks, by_hops)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_lines_before_the_proxys_element_change_nothing(lines in prop::collection::vec(line(), 0..4)) {
        let lines: Vec<_> = lines.iter().map(Vec::as_slice).collect();
        check(XForwardedFor, &lines);
        check(Forwarded, &lines);
    }

    /// Without an element of a proxy, any address may be found, but nothing panics.
    #[test]
    fn random_lines_never_panic(lines in prop::collection::vec(line(), 0..4), n in 0..5usize) {
        for header in [XForwardedFor, Forwarded] {
            let headers = map(header, lines.iter().map(Vec::as_slice));
            let all = ["::/0", "0.0.0.0/0"].map(|all| all.parse().unwrap());
            for proxies in [TrustedProxies::hops(n), TrustedProxies::networks(all)] {
                let _ = proxies.header(header).client(address(PEER), &headers);
            }
        }
    }

    #[test]
    fn lists_mean_the_same_however_they_are_split(
        hops in prop::collection::vec((hop(), any::<bool>(), any::<bool>()), 0..8),
        n in 0..9usize,
    ) {
        let mut lines: [Vec<String>; 2] = [Vec::new(), Vec::new()];
        for (hop, begins_a_line, has_port) in &hops {
            let text = hop.text() + if *has_port { ":80" } else { "" };
            let forwarded = if *has_port { format!("proto=http;for=\"{text}\"") } else { format!("for={text}") };
            let elements = [text, forwarded];
            for (lines, element) in lines.iter_mut().zip(elements) {
                match lines.last_mut().filter(|_| !begins_a_line) {
                    Some(last) => *last = format!("{last}, {element}"),
                    None => lines.push(element),
                }
            }
        }
        let hops: Vec<_> = hops.into_iter().map(|(hop, ..)| hop).collect();
        let (by_networks, by_hops) = model(&hops, n);
        for (lines, header) in lines.iter().zip([XForwardedFor, Forwarded]) {
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            prop_assert_eq!(&client(&private(), header, &lines), &by_networks, "{:?}", lines);
            prop_assert_eq!(&client(&TrustedProxies::hops(n), header, &lines), &by_hops, "{:?}", lines);
        }
    }
}

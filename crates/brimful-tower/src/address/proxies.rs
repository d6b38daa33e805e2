//! [`TrustedProxies`]: the proxies whose word counts.

use std::net::IpAddr;

use http::header::{FORWARDED, HeaderMap, HeaderName};

use super::elements::Elements;
use super::forwarded;
use super::network::Network;
use super::node::Node;

/// The proxies that a server trusts to write a client's address, and the header in which they write it.
///
/// [`client`](TrustedProxies::client) reads all lines of that header, as one list, from the right. It stops at the
/// first hop that is not a trusted proxy: that is the client. It also stops at a hop that is malformed, or whose
/// address a proxy does not disclose, because no text at the left of such a hop can be trusted. Then the client is the
/// last proxy that was found, and all such clients have one key.
///
/// Name the proxies in one of two ways:
///
/// - by their [`networks`](TrustedProxies::networks). A server that is reached without a proxy is then safe too: a
///   peer that is not of these networks is the client, and its headers are not read. If clients have addresses of
///   these networks themselves, they can choose their key. So name the proxies, rather than all private networks.
/// - by the number of [`hops`](TrustedProxies::hops) that the last proxies add, if their addresses are not known. This
///   is safe only if every request has come through all of them.
///
/// # Examples
///
/// ```
/// use brimful_tower::address::{ForwardingHeader, TrustedProxies};
/// use http::{HeaderMap, HeaderValue};
///
/// let mut headers = HeaderMap::new();
/// headers.append("forwarded", HeaderValue::from_static("for=198.51.100.9")); // of the client
/// headers.append("forwarded", HeaderValue::from_static("for=\"[2001:db8::1]:4711\";proto=https, for=10.0.0.3"));
///
/// let peer = "10.0.0.2".parse()?;
/// let proxies = TrustedProxies::networks(["10.0.0.0/29".parse()?]).header(ForwardingHeader::Forwarded);
/// assert_eq!(proxies.client(peer, &headers).to_string(), "2001:db8::1");
///
/// let proxies = TrustedProxies::hops(2).header(ForwardingHeader::Forwarded);
/// assert_eq!(proxies.client(peer, &headers).to_string(), "2001:db8::1");
///
/// assert_eq!(TrustedProxies::none().client(peer, &headers).to_string(), "10.0.0.2");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TrustedProxies {
    trust: Trust,
    header: ForwardingHeader,
}

#[derive(Clone, Debug)]
enum Trust {
    Hops(usize),
    Networks(Box<[Network]>),
}

/// The header in which proxies write the addresses of their peers.
///
/// Choose the one that the trusted proxies write. A proxy passes on the other one as the client sent it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardingHeader {
    /// `X-Forwarded-For: 192.0.2.7, 10.0.0.3`, which most proxies write. An address may have a port.
    #[default]
    XForwardedFor,
    /// `Forwarded: for=192.0.2.7;proto=https, for="[2001:db8::3]:4711"`, of RFC 7239.
    Forwarded,
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A function that reads a hop.
type ReadHop = fn(&[u8]) -> Option<Node>;

impl ForwardingHeader {
    /// Returns the hops from the right, the one nearest to the server first; `None` for a malformed one.
    fn hops(self, headers: &HeaderMap) -> impl Iterator<Item = Option<Node>> {
        let (name, quoted, read): (_, _, ReadHop) = match self {
            ForwardingHeader::XForwardedFor => (X_FORWARDED_FOR, false, Node::read),
            ForwardingHeader::Forwarded => (FORWARDED, true, forwarded::hop),
        };
        headers.get_all(name).iter().rev().flat_map(move |line| Elements::new(line.as_bytes(), quoted)).map(read)
    }
}

impl TrustedProxies {
    /// Trusts no proxy: the peer is the client, and no header is read.
    #[must_use]
    pub const fn none() -> Self {
        TrustedProxies::hops(0)
    }

    /// Trusts the last `n` proxies: the one that is the peer, and those before it. The client is then the hop number
    /// `n` from the right, or the first hop if there are fewer; the peer if there are none.
    #[must_use]
    pub const fn hops(n: usize) -> Self {
        TrustedProxies { trust: Trust::Hops(n), header: ForwardingHeader::XForwardedFor }
    }

    /// Trusts the proxies with addresses of these networks. The client is then the first hop from the right that is of
    /// none of them, or the first hop of all if all are.
    #[must_use]
    pub fn networks(networks: impl IntoIterator<Item = Network>) -> Self {
        let trust = Trust::Networks(networks.into_iter().collect());
        TrustedProxies { trust, header: ForwardingHeader::XForwardedFor }
    }

    /// Sets the header that the proxies write. By default it is `X-Forwarded-For`.
    #[must_use]
    pub fn header(self, header: ForwardingHeader) -> Self {
        TrustedProxies { header, ..self }
    }

    /// Returns the address of the client of a request, from the address of the connection's peer and the request's
    /// headers. A mapped IPv4 address is returned as IPv4.
    ///
    /// If the peer is a Unix socket, pass the loopback address, and trust it.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        match &self.trust {
            _ if self.are_none() => peer,
            Trust::Hops(n) => self.behind_hops(*n, peer, headers),
            Trust::Networks(networks) => self.behind_networks(networks, peer, headers),
        }
    }

    /// Returns whether the peer is the client of every request.
    #[inline]
    pub(crate) fn are_none(&self) -> bool {
        matches!(self.trust, Trust::Hops(0))
    }

    /// A hidden hop counts as one.
    fn behind_hops(&self, n: usize, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        for hop in self.header.hops(headers).take(n) {
            match hop {
                Some(Node::Address(address)) => client = address,
                Some(Node::Hidden) => {}
                None => break,
            }
        }
        client
    }

    fn behind_networks(&self, networks: &[Network], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let (mut client, mut hops) = (peer, self.header.hops(headers));
        while networks.iter().any(|network| network.contains(client)) {
            match hops.next() {
                Some(Some(Node::Address(address))) => client = address,
                Some(Some(Node::Hidden) | None) | None => break,
            }
        }
        client
    }
}

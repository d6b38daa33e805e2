//! [`ClientAddress`]: the client's address as a key.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::extractor::KeyExtractor;
use super::head::RequestHead;
use super::missing::MissingKey;
use crate::address::{AddressPrefix, TrustedProxies};

/// The key is the address of the client: of the peer, or of the client [behind](ClientAddress::behind) trusted proxies;
/// of IPv6, the first 64 bits.
///
/// A server puts the address of the peer into the extensions of a request: axum as `ConnectInfo<SocketAddr>`, if its
/// router is served with `into_make_service_with_connect_info::<SocketAddr>()`. [`new`](ClientAddress::new) takes a plain
/// `SocketAddr`, and [`from_peer`](ClientAddress::from_peer) a value of any type.
///
/// # Examples
///
/// ```
/// use brimful_tower::address::{AddressPrefix, TrustedProxies};
/// use brimful_tower::key::{ClientAddress, KeyExtractor, RequestHead};
/// use http::Request;
/// use std::net::SocketAddr;
///
/// #[derive(Clone)]
/// struct ConnectInfo<T>(T); // as axum's
///
/// let by_address = ClientAddress::from_peer(|peer: &ConnectInfo<SocketAddr>| peer.0.ip())
///     .behind(TrustedProxies::networks(["10.0.0.0/8".parse()?]))
///     .prefix(AddressPrefix::DEFAULT.v6(56));
///
/// let peer: SocketAddr = "10.0.0.2:4711".parse()?;
/// let request = Request::builder()
///     .header("x-forwarded-for", "198.51.100.1, 2001:db8:1:2:3:4:5:6")
///     .extension(ConnectInfo(peer))
///     .body(())?;
/// assert_eq!(by_address.key(&RequestHead::from(&request))?.to_string(), "2001:db8:1::");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ClientAddress<T = SocketAddr> {
    peer: fn(&T) -> IpAddr,
    proxies: TrustedProxies,
    prefix: AddressPrefix,
    /// Whether the proxies were set, be it to none.
    is_behind: bool,
}

impl ClientAddress {
    /// Takes the address of the peer from an extension of the type `SocketAddr`.
    #[must_use]
    pub fn new() -> Self {
        ClientAddress::from_peer(SocketAddr::ip)
    }
}

impl Default for ClientAddress {
    fn default() -> Self {
        ClientAddress::new()
    }
}

impl<T> ClientAddress<T> {
    /// Takes the address of the peer from an extension of the type `T`, by a function.
    #[must_use]
    pub fn from_peer(peer: fn(&T) -> IpAddr) -> Self {
        ClientAddress { peer, proxies: TrustedProxies::none(), prefix: AddressPrefix::DEFAULT, is_behind: false }
    }

    /// Sets the proxies that the server trusts. By default there are none, and the key is the address of the peer. Set
    /// [none](TrustedProxies::none) to say that this is meant, so that the [check BT001](crate::checks#bt001) is left out.
    #[must_use]
    pub fn behind(self, proxies: TrustedProxies) -> Self {
        ClientAddress { proxies, is_behind: true, ..self }
    }

    /// Sets the part of the address that is the key.
    #[must_use]
    pub fn prefix(self, prefix: AddressPrefix) -> Self {
        ClientAddress { prefix, ..self }
    }
}

impl<T: Send + Sync + 'static> KeyExtractor for ClientAddress<T> {
    type Key = IpAddr;

    #[inline]
    fn key(&self, head: &RequestHead<'_>) -> Result<IpAddr, MissingKey> {
        let Some(peer) = head.extensions.get::<T>() else { return Err(MissingKey::peer::<T>()) };
        let peer = (self.peer)(peer);
        if self.proxies.are_none() {
            return Ok(self.prefix.of(peer));
        }
        Ok(self.prefix.of(self.proxies.client(peer, head.headers)))
    }

    fn ignores_proxies(&self, head: &RequestHead<'_>) -> bool {
        let is_client = |peer: IpAddr| self.proxies.client(peer, head.headers) == peer.to_canonical();
        let peer = head.extensions.get::<T>().map(self.peer);
        !self.is_behind || (!self.proxies.are_none() && peer.is_some_and(is_client))
    }
}

impl<T> Clone for ClientAddress<T> {
    fn clone(&self) -> Self {
        ClientAddress { proxies: self.proxies.clone(), ..*self }
    }
}

impl<T> fmt::Debug for ClientAddress<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAddress")
            .field("proxies", &self.proxies)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

//! Addresses of clients: found behind proxies, and made into keys.
//!
//! Behind a proxy, the peer of a connection is the proxy, and one bucket would serve all clients. The proxy adds the
//! address of its own peer to a forwarding header. A client can send any beginning of that header, so only the hops at
//! its right, which trusted proxies wrote, are known. [`TrustedProxies`] reads the header from the right, and returns
//! the first hop that is not a trusted proxy.
//!
//! A client usually has all 2⁶⁴ addresses of an IPv6 prefix. [`AddressPrefix`] makes one key of them.
//!
//! ```
//! use brimful_tower::address::{AddressPrefix, TrustedProxies};
//! use http::{HeaderMap, HeaderValue};
//! use std::net::IpAddr;
//!
//! let proxies = TrustedProxies::networks(["10.0.0.0/8".parse()?]);
//! let peer: IpAddr = "10.0.0.2".parse()?;
//! let mut headers = HeaderMap::new();
//! // The client wrote the first address, a proxy the second one.
//! headers.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.66, 2001:db8:1:2:3:4:5:6"));
//!
//! let client = proxies.client(peer, &headers);
//! assert_eq!(client.to_string(), "2001:db8:1:2:3:4:5:6");
//! assert_eq!(AddressPrefix::default().of(client).to_string(), "2001:db8:1:2::");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod elements;
mod forwarded;
mod network;
mod node;
mod prefix;
mod proxies;

pub use network::{Network, NetworkError};
pub use prefix::AddressPrefix;
pub use proxies::{ForwardingHeader, TrustedProxies};

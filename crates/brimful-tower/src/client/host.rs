//! [`Host`] and [`ByHost`]: the host of a call as its key.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::Ipv6Addr;

use http::uri::{Authority, InvalidUri, Scheme};
use http::{StatusCode, header};

use crate::key::{KeyExtractor, MissingKey, RequestHead};

/// A host, and its port if that is not the default one of the scheme.
///
/// Two are equal whatever the case of their letters, and however an address of IPv6 is written. A user's name before the host does not count, nor does a dot behind
/// it.
///
/// # Examples
///
/// ```
/// use brimful_tower::client::{ByHost, Host};
/// use brimful_tower::key::{KeyExtractor, RequestHead};
/// use http::Request;
///
/// let request = Request::get("https://API.example.com:443/v1").body(())?;
/// assert_eq!(ByHost.key(&RequestHead::from(&request))?, "api.example.com".parse::<Host>()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Host {
    authority: Authority,
    port: Option<u16>,
}

impl Host {
    fn new(authority: Authority, scheme: Option<&Scheme>) -> Self {
        let default = if scheme == Some(&Scheme::HTTP) { 80 } else { 443 };
        let port = authority.port_u16().filter(|port| *port != default);
        let authority = shortest(&authority).unwrap_or(authority);
        Host { authority, port }
    }

    /// Returns the name or the address, as it was written, but for an address of IPv6, which is in its shortest form.
    #[must_use]
    pub fn name(&self) -> &str {
        let host = self.authority.host();
        host.strip_suffix('.').unwrap_or(host)
    }

    /// Returns the port, if it is not the default one of the scheme.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

/// Returns an address of IPv6 in its shortest form, if it was written in another one.
fn shortest(authority: &Authority) -> Option<Authority> {
    let written = authority.host();
    let address: Ipv6Addr = written.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?;
    let text = format!("[{address}]");
    if text == written { None } else { text.parse().ok() }
}

/// Reads `api.example.com`, or `localhost:8080`. Port 443 is the default one, so `example.com:80` is not the host of
/// `http://example.com/`. A port above 65 535 counts as none.
impl std::str::FromStr for Host {
    type Err = InvalidUri;

    fn from_str(text: &str) -> Result<Self, InvalidUri> {
        text.parse().map(|authority| Host::new(authority, None))
    }
}

impl PartialEq for Host {
    fn eq(&self, other: &Self) -> bool {
        self.port == other.port && self.name().eq_ignore_ascii_case(other.name())
    }
}

impl Eq for Host {}

impl Hash for Host {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // One write for each chunk: a hasher is slow with single bytes.
        let mut chunk = [0; 32];
        for part in self.name().as_bytes().chunks(chunk.len()) {
            let lower = &mut chunk[..part.len()];
            lower.copy_from_slice(part);
            lower.make_ascii_lowercase();
            state.write(lower);
        }
        state.write_u8(0xff);
        self.port.hash(state);
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({self})")
    }
}

/// The key of a call is its [`Host`]: of its URI, or of its header `Host`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByHost;

impl KeyExtractor for ByHost {
    type Key = Host;

    fn key(&self, head: &RequestHead<'_>) -> Result<Host, MissingKey> {
        let of_header = || Authority::try_from(head.headers.get(header::HOST)?.as_bytes()).ok();
        let missing = || {
            let text = "the request has no host: give it an absolute URI, or a header `host`";
            MissingKey::new(StatusCode::BAD_REQUEST, text)
        };
        let authority = head.uri.authority().cloned().or_else(of_header).ok_or_else(missing)?;
        Ok(Host::new(authority, head.uri.scheme()))
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use http::Request;

    use super::*;

    fn host(uri: &str, header: Option<&str>) -> Option<String> {
        let mut request = Request::builder().uri(uri);
        if let Some(header) = header {
            request = request.header("host", header);
        }
        let request = request.body(()).unwrap();
        ByHost.key(&RequestHead::from(&request)).ok().map(|host| host.to_string())
    }

    #[test]
    fn hosts_of_requests() {
        for (uri, header, expected) in [
            ("https://example.com/a", None, Some("example.com")),
            ("https://example.com:443", None, Some("example.com")),
            ("https://example.com:80", None, Some("example.com:80")),
            ("http://example.com:80", None, Some("example.com")),
            ("http://example.com:443", None, Some("example.com:443")),
            ("http://user:password@example.com.:8080/a", None, Some("example.com:8080")),
            ("http://[::1]:8080/a", None, Some("[::1]:8080")),
            ("http://[0:0:0:0:0:0:0:1]:8080/a", None, Some("[::1]:8080")),
            ("http://[2001:DB8:0::00a]/a", None, Some("[2001:db8::a]")),
            ("http://[::ffff:192.0.2.1]/a", None, Some("[::ffff:192.0.2.1]")),
            ("http://[::FFFF:c000:201]/a", None, Some("[::ffff:192.0.2.1]")),
            ("/a", Some("[::0]:8080"), Some("[::]:8080")),
            ("/a", Some("example.com:8080"), Some("example.com:8080")),
            ("http://example.com/", Some("another.com"), Some("example.com")),
            ("/a", None, None),
            ("/a", Some("a b"), None),
        ] {
            assert_eq!(host(uri, header).as_deref(), expected, "{uri} {header:?}");
        }
    }

    #[test]
    fn equal_hosts_have_equal_hashes() {
        let hasher = RandomState::new();
        let hash = |text: &str| hasher.hash_one(text.parse::<Host>().unwrap());
        let long = "a-name-with-more-letters-than-one-chunk.example.com";
        for (one, other) in [
            ("Example.COM", "example.com."),
            ("[::1]", "[0::0:1]:443"),
            ("example.com:443", "example.com"),
            (long, &*long.to_uppercase()),
        ] {
            assert_eq!(one.parse::<Host>().unwrap(), other.parse().unwrap());
            assert_eq!(hash(one), hash(other));
        }
        for (one, other) in [("example.com", "example.com:80"), ("a.example.com", "b.example.com")] {
            assert_ne!(one.parse::<Host>().unwrap(), other.parse().unwrap());
            assert_ne!(hash(one), hash(other));
        }
    }
}

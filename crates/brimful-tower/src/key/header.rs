//! [`HeaderKey`]: a header of the request as a key.

use http::{HeaderName, HeaderValue};

use super::extractor::KeyExtractor;
use super::head::RequestHead;
use super::missing::MissingKey;

/// The key is the value of a header, such as an API key.
///
/// A client can send any value. If no layer before the rate limit has verified the value, a client can have a new bucket
/// for each request: then limit by [`ClientAddress`](crate::key::ClientAddress) as well.
///
/// The key is the value as it is written, byte by byte. A client that can write the same value in several forms has a bucket
/// for each: `Authorization: Bearer k1`, `bearer k1` and `Bearer  k1` are three keys. Let the layer that verifies the value
/// insert whom it has found, and limit by an [`ExtensionKey`](crate::key::ExtensionKey).
///
/// A request with several such headers has no key, because the server may use another one of them than the first. It is
/// refused with 400, also by a layer that [admits](crate::key::OnMissingKey::Admit) requests without the header. HTTP/2 allows
/// a client to send `Cookie` in several lines: for a cookie, use a [`KeyFn`](crate::key::KeyFn) that looks for it in all of
/// them.
#[derive(Clone, Debug)]
pub struct HeaderKey(HeaderName);

impl HeaderKey {
    /// Returns the extractor of the header with this name.
    #[must_use]
    pub const fn new(name: HeaderName) -> Self {
        HeaderKey(name)
    }
}

impl KeyExtractor for HeaderKey {
    type Key = HeaderValue;

    fn key(&self, head: &RequestHead<'_>) -> Result<HeaderValue, MissingKey> {
        let mut values = head.headers.get_all(&self.0).iter();
        let value = values.next().ok_or_else(|| MissingKey::header(self.0.clone()))?;
        match values.next() {
            None => Ok(value.clone()),
            Some(_) => Err(MissingKey::repeated(self.0.clone())),
        }
    }
}

//! [`KeyExtractor`]: the key of a request.

use std::hash::Hash;

use super::head::RequestHead;
use super::missing::MissingKey;

/// Returns the key of a request. Requests with equal keys share a bucket.
///
/// # Examples
///
/// ```
/// use brimful_tower::key::{Everyone, HeaderKey, KeyExtractor, KeyFn, MissingKey, RequestHead};
/// use http::{HeaderName, Request, StatusCode};
///
/// let request = Request::builder().uri("/reports?tenant=acme").header("x-api-key", "k1").body(())?;
/// let head = RequestHead::from(&request);
///
/// let api_key = HeaderKey::new(HeaderName::from_static("x-api-key"));
/// assert_eq!(api_key.key(&head)?, "k1");
///
/// let tenant = KeyFn(|head: &RequestHead<'_>| {
///     let query = head.uri.query().unwrap_or_default();
///     let tenant = query.strip_prefix("tenant=").map(str::to_owned);
///     tenant.ok_or_else(|| MissingKey::new(StatusCode::BAD_REQUEST, "the query has no tenant: add `?tenant=…`"))
/// });
/// assert_eq!((tenant, Everyone).key(&head)?, ("acme".to_owned(), ()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait KeyExtractor {
    /// The key. A limiter hashes it, and does not keep it.
    type Key: Hash;

    /// Returns the key of a request.
    ///
    /// # Errors
    ///
    /// [`MissingKey`], if the request has none.
    fn key(&self, head: &RequestHead<'_>) -> Result<Self::Key, MissingKey>;

    /// Returns whether the key of this request is the address of the peer, although it may have come through a proxy: by
    /// default rather than by choice, because the peer is not one of the trusted proxies, or because they have not written the
    /// header that is read. The
    /// [check BT001](crate::checks#bt001) asks for it, of the first requests that have such headers.
    fn ignores_proxies(&self, head: &RequestHead<'_>) -> bool {
        let _ = head;
        false
    }
}

/// All requests have the same key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Everyone;

impl KeyExtractor for Everyone {
    type Key = ();

    fn key(&self, _: &RequestHead<'_>) -> Result<(), MissingKey> {
        Ok(())
    }
}

/// A function returns the key.
#[derive(Clone, Copy, Debug)]
pub struct KeyFn<F>(pub F);

impl<F, K> KeyExtractor for KeyFn<F>
where
    F: Fn(&RequestHead<'_>) -> Result<K, MissingKey>,
    K: Hash,
{
    type Key = K;

    fn key(&self, head: &RequestHead<'_>) -> Result<K, MissingKey> {
        (self.0)(head)
    }
}

/// The key is all keys together. The first one that is missing is the error.
macro_rules! tuple {
    ($($name:ident $nth:tt),+) => {
        impl<$($name: KeyExtractor),+> KeyExtractor for ($($name,)+) {
            type Key = ($($name::Key,)+);

            fn key(&self, head: &RequestHead<'_>) -> Result<Self::Key, MissingKey> {
                Ok(($(self.$nth.key(head)?,)+))
            }

            fn ignores_proxies(&self, head: &RequestHead<'_>) -> bool {
                false $(|| self.$nth.ignores_proxies(head))+
            }
        }
    };
}

tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);

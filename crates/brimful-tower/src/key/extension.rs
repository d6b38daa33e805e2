//! [`ExtensionKey`]: an extension of the request as a key.

use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;

use super::extractor::KeyExtractor;
use super::head::RequestHead;
use super::missing::MissingKey;

/// The key is an extension of the request, of the type `T`, that a layer before the rate limit inserted: a user that was
/// authenticated, a tenant.
///
/// # Examples
///
/// ```
/// use brimful_tower::key::{ExtensionKey, KeyExtractor, RequestHead};
/// use http::Request;
///
/// #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
/// struct UserId(u64);
///
/// let request = Request::builder().extension(UserId(7)).body(())?;
/// assert_eq!(ExtensionKey::<UserId>::new().key(&RequestHead::from(&request))?, UserId(7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ExtensionKey<T>(PhantomData<fn() -> T>);

impl<T> ExtensionKey<T> {
    /// Returns the extractor.
    #[must_use]
    pub const fn new() -> Self {
        ExtensionKey(PhantomData)
    }
}

impl<T: Hash + Clone + Send + Sync + 'static> KeyExtractor for ExtensionKey<T> {
    type Key = T;

    fn key(&self, head: &RequestHead<'_>) -> Result<T, MissingKey> {
        head.extensions.get().cloned().ok_or_else(MissingKey::extension::<T>)
    }
}

impl<T> Default for ExtensionKey<T> {
    fn default() -> Self {
        ExtensionKey::new()
    }
}

impl<T> Clone for ExtensionKey<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ExtensionKey<T> {}

impl<T> fmt::Debug for ExtensionKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExtensionKey<{}>", std::any::type_name::<T>())
    }
}

//! [`PathKey`]: the path of the request as a key.

use std::hash::{Hash, Hasher};

use http::uri::PathAndQuery;

use super::extractor::KeyExtractor;
use super::head::RequestHead;
use super::missing::MissingKey;

/// The key is the path of the request, without its query.
///
/// It is the path of the request as it comes to the layer. Two spellings of one path, such as `/a` and `/%61`, are two keys,
/// and each value within a path is a key of its own. For a limit for each route, use a [`KeyFn`](crate::key::KeyFn) of the
/// route that the router found.
///
/// Within a router that cuts off the beginning of paths, as axum's does for the routes of `nest`, the key is the rest, and the
/// routes `/a/x` and `/b/x` of two such routers share it: add the layer to the outer router, or use a `KeyFn` of axum's
/// extension `OriginalUri`.
#[derive(Clone, Copy, Debug, Default)]
pub struct PathKey;

impl KeyExtractor for PathKey {
    type Key = RequestPath;

    fn key(&self, head: &RequestHead<'_>) -> Result<RequestPath, MissingKey> {
        Ok(RequestPath(head.uri.path_and_query().cloned()))
    }
}

/// The path of a request. Two are equal if their paths are, whatever their queries.
#[derive(Clone, Debug)]
pub struct RequestPath(Option<PathAndQuery>);

impl RequestPath {
    /// Returns the path: empty if the URI has none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_ref().map_or("", PathAndQuery::path)
    }
}

impl PartialEq for RequestPath {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for RequestPath {}

/// As of the path's text.
impl Hash for RequestPath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

/// So that a limiter finds the bucket of a path by its text.
impl std::borrow::Borrow<str> for RequestPath {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

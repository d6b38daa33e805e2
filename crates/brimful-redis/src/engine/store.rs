//! [`Store`]: the narrow interface of an engine.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::request::{Outcome, Request};

/// An engine that keeps buckets: Redis, PostgreSQL, or another server.
///
/// # Contract
///
/// A request is one atomic step, at one reading of the *server's* clock, which never runs backwards for a key. Its
/// result is that of [`execute`](super::execute). Buckets that are full may be
/// forgotten, and no others; a bucket that starts with less than its capacity only some time later.
pub trait Store: Send + Sync + 'static {
    /// Makes a decision.
    ///
    /// # Errors
    ///
    /// Returns an error if the decision was not made, or if its outcome is not known.
    fn decide(&self, request: Request<'_>) -> impl Future<Output = Result<Outcome, StoreError>> + Send;

    /// Returns the number of connections that were made so far, the first one and those after a loss; zero if the engine
    /// does not know it.
    fn connections(&self) -> u64 {
        0
    }
}

/// The failure of an engine. Two are equal if their texts are.
#[derive(Clone, Debug)]
pub struct StoreError {
    /// Whether the request may have been executed all the same.
    pub may_be_done: bool,
    source: Arc<dyn std::error::Error + Send + Sync>,
}

impl StoreError {
    /// Returns a failure for this reason.
    pub fn new(may_be_done: bool, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        StoreError { may_be_done, source: source.into().into() }
    }
}

impl PartialEq for StoreError {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for StoreError {}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.may_be_done { "the outcome is not known" } else { "nothing was done" };
        write!(f, "the store failed ({state}): {}", self.source)
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}

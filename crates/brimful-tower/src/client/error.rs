//! [`ThrottleError`]: a call that may not leave.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use brimful::model::ModelError;
use brimful::{AcquireError, CompositeAcquireError};

use crate::key::MissingKey;

/// The reason for which a call of a client did not leave. Nothing was charged, unless the
/// store of a shared limiter did what its answer did not say.
///
/// A [`Throttle`](crate::client::Throttle) returns it in a box, as the errors of its service:
///
/// ```
/// use brimful_tower::client::{BoxError, ThrottleError};
/// use std::time::Duration;
///
/// fn retry_after(error: &BoxError) -> Option<Duration> {
///     error.downcast_ref::<ThrottleError>()?.retry_after()
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ThrottleError {
    /// The request has no key.
    MissingKey(MissingKey),
    /// The quota of the key does not admit the call before its deadline, or cannot be waited for.
    Rate(AcquireError),
    /// As `Rate`, if the key has several quotas.
    Rates(CompositeAcquireError),
    /// The server has asked for a pause, and the call does not come through before its deadline.
    Paused(AcquireError),
    /// As `Rate`, of a limiter that many processes share; or its store was not available.
    #[cfg(feature = "redis")]
    Shared(brimful_redis::SharedError),
    /// The limits of the model do not admit the call before its deadline, or cannot be waited for.
    Model(ModelError),
}

impl ThrottleError {
    /// Returns the time until the same call would leave; `None` if it never would, or if the time is not known. Rounded up
    /// to the nanosecond.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            ThrottleError::MissingKey(_) => None,
            ThrottleError::Rate(error) | ThrottleError::Paused(error) => error.retry_after(),
            ThrottleError::Rates(error) => error.retry_after(),
            #[cfg(feature = "redis")]
            ThrottleError::Shared(error) => error.retry_after(),
            ThrottleError::Model(error) => error.retry_after(),
        }
    }
}

impl fmt::Display for ThrottleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call did not leave: ")?;
        match self {
            ThrottleError::MissingKey(missing) => missing.fmt(f),
            ThrottleError::Rate(error) => error.fmt(f),
            ThrottleError::Rates(error) => error.fmt(f),
            ThrottleError::Paused(error) => write!(f, "the server has asked for a pause: {error}"),
            #[cfg(feature = "redis")]
            ThrottleError::Shared(error) => error.fmt(f),
            ThrottleError::Model(error) => error.fmt(f),
        }
    }
}

// The text says all that is within, so the error has no source.
impl Error for ThrottleError {}

impl From<MissingKey> for ThrottleError {
    fn from(missing: MissingKey) -> Self {
        ThrottleError::MissingKey(missing)
    }
}

impl From<AcquireError> for ThrottleError {
    fn from(error: AcquireError) -> Self {
        ThrottleError::Rate(error)
    }
}

impl From<CompositeAcquireError> for ThrottleError {
    fn from(error: CompositeAcquireError) -> Self {
        ThrottleError::Rates(error)
    }
}

#[cfg(feature = "redis")]
impl From<brimful_redis::SharedError> for ThrottleError {
    fn from(error: brimful_redis::SharedError) -> Self {
        ThrottleError::Shared(error)
    }
}

impl From<ModelError> for ThrottleError {
    fn from(error: ModelError) -> Self {
        ThrottleError::Model(error)
    }
}

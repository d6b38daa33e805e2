//! The errors of a shared limiter.

use std::fmt;
use std::time::Duration;

use brimful::Tokens;

use super::waiting::Refusal;
use crate::engine::{LimitError, StoreError};

/// The reason why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SharedError {
    /// The tokens are not there yet.
    RateLimited {
        /// The name of the limit with the longest wait.
        limit: String,
        /// The time from the decision until the same call is admitted, if no other call comes first. Rounded up to a
        /// microsecond.
        retry_after: Duration,
    },
    /// The cost can never be admitted.
    ExceedsBurst {
        /// The name of the limit.
        limit: String,
        /// The cost.
        requested: Tokens,
        /// The burst.
        burst: Tokens,
    },
    /// The store did not decide within the deadline, and the policy is [`Deny`](crate::FailurePolicy::Deny); or the
    /// operation is one that only the store can do.
    Unavailable(Unavailable),
}

impl SharedError {
    /// Returns the time until the same call may be admitted: `None` if it never is, or if that is not known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            SharedError::RateLimited { retry_after, .. } => Some(*retry_after),
            SharedError::Unavailable(unavailable) => unavailable.retry_after(),
            SharedError::ExceedsBurst { .. } => None,
        }
    }
}

impl Refusal for SharedError {
    fn is_final(&self) -> bool {
        matches!(self, SharedError::ExceedsBurst { .. })
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after()
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SharedError::RateLimited { limit, retry_after } => {
                write!(f, "limit \"{limit}\": rate limited: retry after {retry_after:?}")
            }
            SharedError::ExceedsBurst { limit, requested, burst } => write!(
                f,
                "limit \"{limit}\": a cost of {requested} tokens can never be admitted: the burst is {burst} tokens"
            ),
            SharedError::Unavailable(unavailable) => unavailable.fmt(f),
        }
    }
}

impl std::error::Error for SharedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SharedError::Unavailable(unavailable) => Some(unavailable),
            _ => None,
        }
    }
}

/// The reason why the store did not decide.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unavailable {
    /// There was no answer within this deadline. The request may have been executed.
    TimedOut(Duration),
    /// The store failed.
    Failed(StoreError),
    /// The store was not asked, because it failed just before. It is asked again after this time.
    Open(Duration),
}

impl Unavailable {
    /// Returns the time after which the store is asked again, if that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Unavailable::Open(time) => Some(*time),
            _ => None,
        }
    }

    /// Returns the kind of reason as a word: `timeout`, `failure` or `breaker`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Unavailable::TimedOut(_) => "timeout",
            Unavailable::Failed(_) => "failure",
            Unavailable::Open(_) => "breaker",
        }
    }

    /// Returns whether the request may have been executed.
    #[must_use]
    pub fn may_be_done(&self) -> bool {
        match self {
            Unavailable::TimedOut(_) => true,
            Unavailable::Failed(error) => error.may_be_done,
            Unavailable::Open(_) => false,
        }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unavailable::TimedOut(deadline) => write!(f, "the store did not answer within {deadline:?}"),
            Unavailable::Failed(error) => error.fmt(f),
            Unavailable::Open(time) => write!(f, "the store has failed, and is asked again in {time:?}"),
        }
    }
}

impl std::error::Error for Unavailable {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Unavailable::Failed(error) => Some(error),
            _ => None,
        }
    }
}

/// A configuration that makes no limiter.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// A quota cannot be counted in 53 bits.
    Limit(LimitError),
    /// [`LocalShare`](crate::FailurePolicy::LocalShare) of this number of processes is no quota, for this reason.
    LocalShare(u32, String),
    /// The deadline is zero.
    NoDeadline,
    /// There is no window of this length: at least a microsecond, and at most 50 years.
    Window(Duration),
    /// A window of zero tokens admits nothing.
    NoTokens,
    /// A lease of this length is too short for a deadline of that one: at least three times as long.
    Lease(Duration, Duration),
    /// Requests would be remembered for this time, which is not longer than this deadline.
    Remembered(Duration, Duration),
    /// There is no tokio runtime here, on which unused tokens are given back.
    NoRuntime,
    /// The credits of leases cannot be kept, for this reason.
    Credits(String),
    /// A model limits its requests in flight, which only Redis can lease.
    Slots,
    /// The limit of this model, as `gpt-4.rpm`, cannot be shared, for this reason.
    Model(String, String),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::Limit(error) => error.fmt(f),
            BuildError::LocalShare(n, why) => write!(f, "LocalShare({n}) is no share of the quota: {why}"),
            BuildError::Remembered(time, deadline) => {
                write!(
                    f,
                    "requests that are remembered for {time:?} may be forgotten within the deadline of {deadline:?}"
                )
            }
            BuildError::Window(length) => {
                write!(f, "no window has the length {length:?}: at least 1us, and at most 50 years")
            }
            BuildError::NoTokens => f.write_str("a window of zero tokens admits nothing: at least 1"),
            BuildError::Lease(lease, deadline) => write!(
                f,
                "a lease of {lease:?} is too short for a deadline of {deadline:?}: it has to be three times as long, or longer"
            ),
            BuildError::NoRuntime => f.write_str("no tokio runtime here: build the limiter inside one"),
            BuildError::Model(limit, why) => write!(f, "{limit}: {why}"),
            BuildError::Slots => f.write_str(
                "only Redis can lease slots for requests in flight: leave out max_parallel_requests, or use `build`",
            ),
            BuildError::Credits(why) => write!(f, "no credits for leases: {why}"),
            BuildError::NoDeadline => f.write_str("a deadline of 0s leaves no time to ask the store: 100ms is usual"),
        }
    }
}

impl std::error::Error for BuildError {}

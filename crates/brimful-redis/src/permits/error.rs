//! [`SharedPermitError`].

use std::fmt;

use crate::shared::Unavailable;

/// The reason why a call got no permit.
#[derive(Debug)]
#[non_exhaustive]
pub enum SharedPermitError {
    /// As many permits are held as the limit permits, or callers wait for the next one.
    NoPermit {
        /// The permits that are held.
        in_flight: usize,
        /// The limit; or this process's share of it, if the [policy](crate::FailurePolicy) decided.
        limit: usize,
    },
    /// No permit was free for the caller before its time was over.
    TimedOut,
    /// The store did not decide within the deadline, and the policy is [`Deny`](crate::FailurePolicy::Deny); or the
    /// operation is one that only the store can do.
    Unavailable(Unavailable),
}

impl fmt::Display for SharedPermitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SharedPermitError::NoPermit { in_flight, limit } => write!(
                f,
                "no permit is free ({in_flight} in flight, a limit of {limit}): retry later, wait by `acquire`, or raise the limit"
            ),
            SharedPermitError::TimedOut => {
                f.write_str("no permit came free before the deadline: allow a longer wait, or raise the limit")
            }
            SharedPermitError::Unavailable(unavailable) => unavailable.fmt(f),
        }
    }
}

impl std::error::Error for SharedPermitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SharedPermitError::Unavailable(unavailable) => Some(unavailable),
            _ => None,
        }
    }
}

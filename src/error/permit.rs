//! The errors of concurrency limits.

use core::error::Error;
use core::fmt;

use super::acquire::{LimiterClosed, QueueFull};

/// The reason for which a call that does not wait got no permit.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryAcquirePermitError {
    /// As many permits are in flight as the limit permits, or callers wait for the next one.
    NoPermit(NoPermit),
    /// The limit was [closed](crate::ConcurrencyLimit::close).
    LimiterClosed(LimiterClosed),
}

impl TryAcquirePermitError {
    fn inner(&self) -> &(dyn Error + 'static) {
        match self {
            TryAcquirePermitError::NoPermit(none) => none,
            TryAcquirePermitError::LimiterClosed(closed) => closed,
        }
    }
}

/// The reason for which a wait got no permit.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcquirePermitError {
    /// The deadline has passed.
    TimedOut(TimedOut),
    /// There are as many waiters as permitted.
    QueueFull(QueueFull),
    /// The limit was [closed](crate::ConcurrencyLimit::close).
    LimiterClosed(LimiterClosed),
}

impl AcquirePermitError {
    fn inner(&self) -> &(dyn Error + 'static) {
        match self {
            AcquirePermitError::TimedOut(late) => late,
            AcquirePermitError::QueueFull(full) => full,
            AcquirePermitError::LimiterClosed(closed) => closed,
        }
    }
}

/// Shows an error as the error within. That says all, so there is no source.
macro_rules! shows_inner {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self.inner(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.inner(), f)
            }
        }

        impl Error for $name {}
    };
}

shows_inner!(TryAcquirePermitError);
shows_inner!(AcquirePermitError);

/// No permit is free for the call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NoPermit {
    pub(crate) in_flight: usize,
    pub(crate) limit: usize,
}

impl NoPermit {
    /// Returns the number of permits that were in flight when the call was refused. It is below the limit if
    /// a permit was about to go to a waiter.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Returns the limit when the call was refused.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }
}

impl fmt::Display for NoPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NoPermit { in_flight, limit } = self;
        write!(
            f,
            "no permit is free ({in_flight} in flight, a limit of {limit}): retry later, wait by `acquire`, or raise the limit"
        )
    }
}

impl fmt::Debug for NoPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoPermit").field("in_flight", &self.in_flight).field("limit", &self.limit).finish()
    }
}

impl Error for NoPermit {}

/// The call joins a concurrency limit twice, and takes one permit of a limit at most. See [`AllOf`](crate::AllOf).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct JoinedTwice(pub(crate) ());

impl fmt::Display for JoinedTwice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the call joins this concurrency limit twice, and takes one permit of a limit at most: join it once",
        )
    }
}

impl fmt::Debug for JoinedTwice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinedTwice")
    }
}

impl Error for JoinedTwice {}

/// No permit came free before the deadline.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TimedOut(pub(crate) ());

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no permit came free before the deadline: allow a longer wait, or raise the limit")
    }
}

impl fmt::Debug for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TimedOut")
    }
}

impl Error for TimedOut {}

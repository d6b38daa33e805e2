//! The errors of waits.

use core::error::Error;
use core::fmt;
use core::time::Duration;

use crate::word::Due;

use super::show::{Wait, shows_wait};
use super::try_acquire::{ExceedsBurst, TableFull};

/// The reason for which a wait was refused, or ended without tokens. Nothing was charged.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcquireError {
    /// The cost, with the tokens that the call has to leave, is above the burst, so the tokens can never
    /// be granted.
    ExceedsBurst(ExceedsBurst),
    /// The tokens cannot be granted in time.
    TooLate(TooLate),
    /// There are as many waiters, keys with waiters, or different amounts to leave, as permitted. Also the
    /// end of a wait whose place went to a caller that leaves less.
    QueueFull(QueueFull),
    /// The key is new to a keyed limiter that is full of buckets in use.
    TableFull(TableFull),
    /// The key was removed from its limiter during the wait.
    KeyRemoved(KeyRemoved),
    /// The limiter was [closed](crate::RateLimiter::close).
    LimiterClosed(LimiterClosed),
}

impl AcquireError {
    /// Returns the time until a new wait for the same tokens would be granted; `None` if it would never
    /// be granted, or if the time is not known. Rounded up to the nanosecond.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            AcquireError::TooLate(late) => late.retry_after(),
            AcquireError::TableFull(full) => full.retry_after(),
            AcquireError::ExceedsBurst(_)
            | AcquireError::QueueFull(_)
            | AcquireError::KeyRemoved(_)
            | AcquireError::LimiterClosed(_) => None,
        }
    }

    fn inner(&self) -> &(dyn Error + 'static) {
        match self {
            AcquireError::ExceedsBurst(exceeds) => exceeds,
            AcquireError::TooLate(late) => late,
            AcquireError::QueueFull(full) => full,
            AcquireError::TableFull(full) => full,
            AcquireError::KeyRemoved(removed) => removed,
            AcquireError::LimiterClosed(closed) => closed,
        }
    }
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.inner(), f)
    }
}

impl fmt::Debug for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.inner(), f)
    }
}

impl Error for AcquireError {}

/// A wait that cannot end in time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TooLate(pub(crate) Due);

impl TooLate {
    /// Returns the time from the refusal until a new wait for the same tokens would be granted, if no
    /// waiter gives up and nothing is given back. `None` if the instant lies beyond the 18 years that a
    /// clock's readings reach.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.after()
    }
}

impl fmt::Display for TooLate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.retry_after() {
            Some(Duration::ZERO) => f.write_str("the deadline has passed; the tokens are there"),
            Some(wait) => write!(f, "the tokens will not be there in time: it takes {wait:?}"),
            None => f.write_str("the tokens will not be there within the clock's range"),
        }
    }
}

shows_wait!(TooLate);

impl Error for TooLate {}

/// There is no place for a waiter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct QueueFull(pub(crate) QueueLimit);

/// The limit that left no place for a waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueLimit {
    /// There are as many waiters on the bucket as permitted, which is this number.
    Waiters(usize),
    /// Callers wait on as many keys as permitted, which is this number.
    Keys(usize),
    /// The waiters on the bucket leave as many different amounts as permitted, which is this number. To
    /// retry does not help while they wait.
    Amounts(usize),
    /// The caller had a place, and a caller of higher priority took it.
    Displaced,
}

impl QueueFull {
    /// Returns the limit that was reached.
    #[must_use]
    pub fn limit(&self) -> QueueLimit {
        self.0
    }
}

impl fmt::Display for QueueFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            QueueLimit::Waiters(most) => {
                write!(f, "the wait queue is full ({most} waiters): retry later, or raise `max_waiters`")
            }
            QueueLimit::Keys(most) => {
                write!(
                    f,
                    "callers wait on as many keys as permitted ({most}): retry later, or raise `max_waiting_keys`"
                )
            }
            QueueLimit::Amounts(most) => {
                write!(f, "waiters leave as many different amounts as permitted ({most}): choose among fewer amounts")
            }
            QueueLimit::Displaced => {
                f.write_str("the wait queue was full, and a caller of higher priority took the place: retry later")
            }
        }
    }
}

impl fmt::Debug for QueueFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("QueueFull").field(&self.0).finish()
    }
}

impl Error for QueueFull {}

/// The key was removed, with its bucket, while callers waited on it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyRemoved(pub(crate) ());

impl fmt::Display for KeyRemoved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key was removed from the limiter during the wait: retry, on a new bucket")
    }
}

impl fmt::Debug for KeyRemoved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRemoved")
    }
}

impl Error for KeyRemoved {}

/// The limiter was [closed](crate::RateLimiter::close): no wait on it can end. Or the concurrency limit was
/// [closed](crate::ConcurrencyLimit::close): it grants no permit any longer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LimiterClosed(pub(crate) ());

impl fmt::Display for LimiterClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the limiter was closed: nothing can wait on it any more")
    }
}

impl fmt::Debug for LimiterClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LimiterClosed")
    }
}

impl Error for LimiterClosed {}

//! The errors of calls that do not wait.

use core::error::Error;
use core::fmt;
use core::time::Duration;

use crate::tokens::Tokens;
use crate::word::Due;

use super::show::{Wait, shows_wait};

/// The reason for which a call was not admitted. Nothing was charged.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryAcquireError {
    /// The tokens are not there yet.
    RateLimited(RateLimited),
    /// The cost is above the burst, so the call can never be admitted.
    ExceedsBurst(ExceedsBurst),
    /// The key is new to a keyed limiter that is full of buckets in use.
    TableFull(TableFull),
}

impl TryAcquireError {
    /// Returns the time until the call is admitted, if nothing else takes tokens; `None` if it never is.
    /// Rounded up to the nanosecond. With [`TableFull`](TryAcquireError::TableFull) it is a guess.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            TryAcquireError::TableFull(full) => full.retry_after(),
            TryAcquireError::RateLimited(limited) => limited.retry_after(),
            TryAcquireError::ExceedsBurst(_) => None,
        }
    }
}

impl TryAcquireError {
    fn inner(&self) -> &(dyn Error + 'static) {
        match self {
            TryAcquireError::RateLimited(limited) => limited,
            TryAcquireError::ExceedsBurst(exceeds) => exceeds,
            TryAcquireError::TableFull(full) => full,
        }
    }
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.inner(), f)
    }
}

impl fmt::Debug for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.inner(), f)
    }
}

// Each says all that is within: it has no source.
impl Error for TryAcquireError {}

/// The tokens are not there yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RateLimited(pub(crate) Due);

impl RateLimited {
    /// Returns the time from the refused call's reading of the clock until the tokens are there, if
    /// nothing else takes them. Exact and rounded up: that instant is sufficient, one nanosecond earlier
    /// is not. `None` if the instant lies beyond the 18 years that a clock's readings reach. Computed by
    /// this call.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.after()
    }
}

impl fmt::Display for RateLimited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.retry_after() {
            Some(wait) => write!(f, "rate limited: retry after {wait:?}"),
            None => f.write_str("rate limited: the tokens will not be there within the clock's range"),
        }
    }
}

shows_wait!(RateLimited);

impl Error for RateLimited {}

/// The cost, with the tokens that the call has to leave, is above the burst.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ExceedsBurst {
    requested: Tokens,
    leaving: Tokens,
    burst: Tokens,
}

impl ExceedsBurst {
    pub(crate) const fn new(requested: Tokens, leaving: Tokens, burst: Tokens) -> Self {
        ExceedsBurst { requested, leaving, burst }
    }

    /// Returns the cost.
    #[must_use]
    pub fn requested(&self) -> Tokens {
        self.requested
    }

    /// Returns the tokens that the call had to leave in the bucket: usually none.
    #[must_use]
    pub fn leaving(&self) -> Tokens {
        self.leaving
    }

    /// Returns the most that the bucket ever holds: the quota's burst, rounded down to its resolution.
    #[must_use]
    pub fn burst(&self) -> Tokens {
        self.burst
    }
}

impl fmt::Display for ExceedsBurst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ExceedsBurst { requested, leaving, burst } = self;
        write!(f, "a cost of {requested} tokens ")?;
        if !leaving.is_zero() {
            write!(f, "that leaves {leaving} ")?;
        }
        write!(f, "can never be admitted by a burst of {burst}: ask for less at a time, or raise the burst")
    }
}

/// `leaving` is shown if there is something to be left.
impl fmt::Debug for ExceedsBurst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ExceedsBurst { requested, leaving, burst } = self;
        let mut debug = f.debug_struct("ExceedsBurst");
        debug.field("requested", &format_args!("{requested}"));
        if !leaving.is_zero() {
            debug.field("leaving", &format_args!("{leaving}"));
        }
        debug.field("burst", &format_args!("{burst}")).finish()
    }
}

impl Error for ExceedsBurst {}

/// The key is new to a keyed limiter, and all the buckets that it may have are in use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TableFull(pub(crate) Due);

impl TableFull {
    /// Returns the time until a bucket in the new key's slots may be forgotten for it, if nothing else
    /// happens: one that is full, or with [`OnFull::EvictLeastDebt`](crate::OnFull::EvictLeastDebt) one
    /// that holds a token. That instant is sufficient for a slot. A slot elsewhere in the table may come
    /// free before. A bucket that does not start full starts then. `None` if there is no such instant
    /// within the 18 years that a clock's readings reach.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.after()
    }
}

impl fmt::Display for TableFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no room for a new key: every bucket is in use. Raise `max_keys`")?;
        match self.retry_after() {
            Some(wait) => write!(f, ", or retry after {wait:?}"),
            None => Ok(()),
        }
    }
}

shows_wait!(TableFull);

impl Error for TableFull {}

//! The errors of calls on several limits: the error, and the limit that it comes from.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::error::LimitName;
use crate::error::{AcquireError, AcquirePermitError, JoinedTwice, TryAcquireError, TryAcquirePermitError};

/// The reason for which one of several limits refused a call.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitCause {
    /// A limit of tokens.
    Tokens(TryAcquireError),
    /// A concurrency limit.
    Permit(TryAcquirePermitError),
    /// A concurrency limit that the call joins twice. It will never be admitted.
    JoinedTwice(JoinedTwice),
}

/// The reason for which a wait on several limits ended without what it waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcquireCause {
    /// A limit of tokens, or the queue.
    Tokens(AcquireError),
    /// A concurrency limit.
    Permit(AcquirePermitError),
    /// A concurrency limit that the call joins twice. It will never be admitted.
    JoinedTwice(JoinedTwice),
}

/// Shows a cause as the error within.
macro_rules! shows_cause {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $name::Tokens(error) => fmt::Display::fmt(error, f),
                    $name::Permit(error) => fmt::Display::fmt(error, f),
                    $name::JoinedTwice(error) => fmt::Display::fmt(error, f),
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $name::Tokens(error) => fmt::Debug::fmt(error, f),
                    $name::Permit(error) => fmt::Debug::fmt(error, f),
                    $name::JoinedTwice(error) => fmt::Debug::fmt(error, f),
                }
            }
        }
    };
}

shows_cause!(LimitCause);
shows_cause!(AcquireCause);

/// The refusal of a call on several limits: the limit that refused it, and that limit's own error. Nothing
/// was charged to any limit.
///
/// If several limits refuse a call, this is the one with the longest wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LimitError {
    nth: usize,
    name: LimitName,
    cause: LimitCause,
}

impl LimitError {
    pub(super) fn new(nth: usize, name: LimitName, cause: LimitCause) -> Self {
        LimitError { nth, name, cause }
    }

    /// Returns the position of the limit, counted from zero.
    #[must_use]
    pub fn index(&self) -> usize {
        self.nth
    }

    /// Returns the name of the limit: the one that it was given, or else its quota in text. A name of more
    /// than 31 bytes is cut.
    #[must_use]
    pub fn limit(&self) -> &str {
        self.name.as_str()
    }

    /// Returns the limit's own error.
    #[must_use]
    pub fn cause(&self) -> LimitCause {
        self.cause
    }

    /// Returns the time until all limits admit the call, if nothing else takes tokens; `None` if one of them
    /// never does, or if a concurrency limit refused it: there is no telling when a permit comes back. Rounded up to
    /// the nanosecond. With [`TableFull`](TryAcquireError::TableFull) it is a guess.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.cause {
            LimitCause::Tokens(error) => error.retry_after(),
            LimitCause::Permit(_) | LimitCause::JoinedTwice(_) => None,
        }
    }
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limit \"{}\": {}", self.limit(), self.cause)
    }
}

impl fmt::Debug for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitError").field("limit", &self.name).field("cause", &self.cause).finish()
    }
}

// It says all that is within: it has no source.
impl Error for LimitError {}

/// The reason for which a wait on several limits ended without the tokens, and the limit that it comes from, if
/// it comes from one. Nothing was charged to any limit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CompositeAcquireError {
    limit: Option<(usize, LimitName)>,
    cause: AcquireCause,
}

impl CompositeAcquireError {
    pub(super) fn new(limit: Option<(usize, LimitName)>, cause: AcquireCause) -> Self {
        CompositeAcquireError { limit, cause }
    }

    /// Returns the position of the limit that cannot be met, counted from zero; `None` if it is none of the
    /// limits, but the queue.
    #[must_use]
    pub fn index(&self) -> Option<usize> {
        self.limit.map(|(nth, _)| nth)
    }

    /// Returns the name of the limit that cannot be met, as [`LimitError::limit`] does; `None` if it is none of
    /// the limits, but the queue.
    #[must_use]
    pub fn limit(&self) -> Option<&str> {
        self.limit.as_ref().map(|(_, name)| name.as_str())
    }

    /// Returns the limit's own error.
    #[must_use]
    pub fn cause(&self) -> AcquireCause {
        self.cause
    }

    /// As [`AcquireError::retry_after`]; `None` for a concurrency limit.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.cause {
            AcquireCause::Tokens(error) => error.retry_after(),
            AcquireCause::Permit(_) | AcquireCause::JoinedTwice(_) => None,
        }
    }
}

impl fmt::Display for CompositeAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit() {
            Some(limit) => write!(f, "limit \"{limit}\": {}", self.cause),
            None => self.cause.fmt(f),
        }
    }
}

impl fmt::Debug for CompositeAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("CompositeAcquireError");
        if let Some(limit) = self.limit() {
            debug.field("limit", &limit);
        }
        debug.field("cause", &self.cause).finish()
    }
}

// It says all that is within: it has no source.
impl Error for CompositeAcquireError {}

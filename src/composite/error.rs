//! The errors of calls on several limits: the error, and the limit that it comes from.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::name::LimitName;
use crate::error::{AcquireError, TryAcquireError};

/// The refusal of a call on several limits: the limit that refused it, and that limit's own error. Nothing
/// was charged to any limit.
///
/// If several limits refuse a call, this is the one with the longest wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LimitError {
    nth: usize,
    name: LimitName,
    error: TryAcquireError,
}

impl LimitError {
    pub(super) fn new(nth: usize, name: LimitName, error: TryAcquireError) -> Self {
        LimitError { nth, name, error }
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
    pub fn error(&self) -> TryAcquireError {
        self.error
    }

    /// Returns the time until all limits admit the call, if nothing else takes tokens; `None` if one of them
    /// never does. Rounded up to the nanosecond. With
    /// [`TableFull`](TryAcquireError::TableFull) it is a guess.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.error.retry_after()
    }
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limit \"{}\": {}", self.limit(), self.error)
    }
}

impl fmt::Debug for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitError").field("limit", &self.name).field("error", &self.error).finish()
    }
}

// It says all that is within: it has no source.
impl Error for LimitError {}

/// The reason for which a wait on several limits ended without the tokens, and the limit that it comes from, if
/// it comes from one. Nothing was charged to any limit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CompositeAcquireError {
    limit: Option<(usize, LimitName)>,
    error: AcquireError,
}

impl CompositeAcquireError {
    pub(super) fn new(limit: Option<(usize, LimitName)>, error: AcquireError) -> Self {
        CompositeAcquireError { limit, error }
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
    pub fn error(&self) -> AcquireError {
        self.error
    }

    /// As [`AcquireError::retry_after`].
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.error.retry_after()
    }
}

impl fmt::Display for CompositeAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit() {
            Some(limit) => write!(f, "limit \"{limit}\": {}", self.error),
            None => self.error.fmt(f),
        }
    }
}

impl fmt::Debug for CompositeAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("CompositeAcquireError");
        if let Some(limit) = self.limit() {
            debug.field("limit", &limit);
        }
        debug.field("error", &self.error).finish()
    }
}

// It says all that is within: it has no source.
impl Error for CompositeAcquireError {}

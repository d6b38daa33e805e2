//! [`ServerHints`]: what a server said about its limits.

use std::time::Duration;

use super::dimension::Dimension;

/// The limits as a server states them, with an answer or with a refusal, for
/// [`observe`](crate::model::ModelLimiter::observe).
///
/// It is neutral: the headers of the server are read by other code. Everything is optional.
///
/// # Examples
///
/// ```
/// use brimful::model::{Dimension, DimensionHint, ServerHints};
/// use std::time::Duration;
///
/// // x-ratelimit-limit-requests: 500, x-ratelimit-remaining-requests: 17, x-ratelimit-reset-requests: 58s
/// let requests = DimensionHint::new().limit(500).remaining(17).reset_in(Duration::from_secs(58));
/// let hints = ServerHints::new().dimension(Dimension::Rpm, requests);
/// assert_eq!(hints.of(Dimension::Rpm), requests);
///
/// // 429, Retry-After: 20
/// let refused = ServerHints::new().refused().retry_after(Duration::from_secs(20));
/// assert!(refused.is_refused());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "hints have no effect until they are observed"]
pub struct ServerHints {
    dimensions: [DimensionHint; Dimension::ALL.len()],
    retry_after: Option<Duration>,
    refused: bool,
}

impl ServerHints {
    /// Returns no hints.
    pub const fn new() -> Self {
        ServerHints { dimensions: [DimensionHint::new(); Dimension::ALL.len()], retry_after: None, refused: false }
    }

    /// Sets that the server refused the call for its rate: by status 429, or another that says the same.
    pub const fn refused(mut self) -> Self {
        self.refused = true;
        self
    }

    /// Sets the time after which the server wants to be asked again.
    pub const fn retry_after(mut self, time: Duration) -> Self {
        self.retry_after = Some(time);
        self
    }

    /// Sets the hint for a dimension.
    pub const fn dimension(mut self, dimension: Dimension, hint: DimensionHint) -> Self {
        self.dimensions[dimension as usize] = hint;
        self
    }

    /// Returns whether the server refused the call for its rate.
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        self.refused
    }

    /// Returns the time after which the server wants to be asked again.
    #[must_use]
    pub const fn retry_time(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns the hint for a dimension.
    #[must_use]
    pub const fn of(&self, dimension: Dimension) -> DimensionHint {
        self.dimensions[dimension as usize]
    }
}

/// One dimension as a server states it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DimensionHint {
    /// The limit, to be shown: no limit is changed by it. Use [`set_model`](crate::model::ModelLimiter::set_model).
    pub limit: Option<u64>,
    /// The requests or tokens that are left.
    pub remaining: Option<u64>,
    /// The time after which the limit is reset, or full again.
    pub reset_in: Option<Duration>,
}

impl DimensionHint {
    /// Returns no hint.
    #[must_use]
    pub const fn new() -> Self {
        DimensionHint { limit: None, remaining: None, reset_in: None }
    }

    /// Sets the limit, to be shown: no limit is changed by it.
    #[must_use]
    pub const fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Sets the requests or tokens that are left.
    #[must_use]
    pub const fn remaining(mut self, remaining: u64) -> Self {
        self.remaining = Some(remaining);
        self
    }

    /// Sets the time after which the limit is reset, or full again.
    #[must_use]
    pub const fn reset_in(mut self, time: Duration) -> Self {
        self.reset_in = Some(time);
        self
    }
}

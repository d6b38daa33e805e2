//! [`LimitDecision`]: the decision of one limit.

use std::time::Duration;

use brimful::Decision;
#[cfg(feature = "redis")]
use brimful_redis::LimitState;

/// The decision of one limit, with its numbers, of a limiter in this process or of one that many processes share.
#[derive(Clone, Copy, Debug)]
pub struct LimitDecision<'a>(Kind<'a>);

#[derive(Clone, Copy, Debug)]
enum Kind<'a> {
    Local(&'a Decision),
    #[cfg(feature = "redis")]
    Shared(&'a LimitState),
}

impl<'a> LimitDecision<'a> {
    pub(super) fn new(decision: &'a Decision) -> Self {
        LimitDecision(Kind::Local(decision))
    }

    #[cfg(feature = "redis")]
    pub(super) fn shared(state: &'a LimitState) -> Self {
        LimitDecision(Kind::Shared(state))
    }

    /// Returns whether this limit admits the call.
    #[must_use]
    pub fn allowed(&self) -> bool {
        match self.0 {
            Kind::Local(decision) => decision.allowed(),
            #[cfg(feature = "redis")]
            Kind::Shared(state) => state.retry_after == Some(Duration::ZERO),
        }
    }

    /// Returns the burst, in whole tokens, rounded down.
    #[must_use]
    pub fn limit(&self) -> u32 {
        match self.0 {
            Kind::Local(decision) => decision.limit(),
            #[cfg(feature = "redis")]
            Kind::Shared(state) => state.burst.whole(),
        }
    }

    /// Returns the whole tokens that are left after the decision, rounded down; zero in debt.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        match self.0 {
            Kind::Local(decision) => decision.remaining(),
            #[cfg(feature = "redis")]
            Kind::Shared(state) => state.remaining,
        }
    }

    /// Returns the time until this limit admits the call: zero if it does now, `None` if it never does or the time is
    /// beyond the numbers.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.0 {
            Kind::Local(decision) => decision.retry_after(),
            #[cfg(feature = "redis")]
            Kind::Shared(state) => state.retry_after,
        }
    }

    /// Returns the time until the bucket is full, if that is known.
    #[must_use]
    pub fn reset_after(&self) -> Option<Duration> {
        match self.0 {
            Kind::Local(decision) => decision.reset_after(),
            #[cfg(feature = "redis")]
            Kind::Shared(state) => state.reset_after,
        }
    }

    pub(super) fn table_is_full(&self) -> bool {
        match self.0 {
            Kind::Local(decision) => decision.table_is_full(),
            #[cfg(feature = "redis")]
            Kind::Shared(_) => false,
        }
    }
}

//! [`SharedDecision`]: a decision, with its numbers.

use std::time::Duration;

use brimful::{Quotas, Tokens};

use super::error::SharedError;
use crate::engine::{Limit, Outcome};

/// The origin of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The store decided.
    Store,
    /// The store was not available, and the [policy](crate::FailurePolicy) decided.
    Policy,
}

/// A decision on a call, with the numbers of each limit, for response headers.
#[derive(Clone, Debug)]
pub struct SharedDecision {
    allowed: bool,
    source: Source,
    /// In microseconds.
    at: Option<u64>,
    limits: Vec<LimitState>,
}

/// The state of one limit after a decision.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LimitState {
    /// The name of the limit.
    pub name: String,
    /// The burst.
    pub burst: Tokens,
    /// The tokens that are left, rounded down.
    pub remaining: u32,
    /// The time until the same call is admitted by this limit: zero if it was, `None` if it never is. Rounded up to a
    /// microsecond.
    pub retry_after: Option<Duration>,
    /// The time until the bucket is full. Rounded up to a microsecond.
    pub reset_after: Duration,
    requested: Tokens,
}

impl SharedDecision {
    /// Returns the decision of the store on a cost.
    pub(super) fn of_store(quotas: &Quotas, limits: &[(Limit, u64)], cost: Tokens, outcome: &Outcome) -> Self {
        let states =
            quotas.iter().zip(limits).zip(&outcome.buckets).map(|(((name, quota), (limit, amount)), bucket)| {
                let (deficit, amount) = (bucket.0, *amount);
                let ahead = Duration::from_micros(outcome.ahead);
                let missing = (deficit + amount).saturating_sub(limit.capacity());
                let retry_after = match outcome.admitted || amount == 0 {
                    true => Some(Duration::ZERO),
                    false if amount > limit.capacity() => None,
                    false if missing == 0 => Some(Duration::ZERO),
                    false => Some(ahead + limit.time(missing)),
                };
                LimitState {
                    name: name.to_owned(),
                    burst: quota.capacity(),
                    remaining: limit.tokens(limit.capacity().saturating_sub(deficit)).whole(),
                    retry_after,
                    reset_after: limit.time(deficit),
                    requested: cost,
                }
            });
        let at = Some(outcome.at);
        SharedDecision { allowed: outcome.admitted, source: Source::Store, at, limits: states.collect() }
    }

    /// Returns a decision without numbers.
    pub(super) fn of_policy(allowed: bool) -> Self {
        SharedDecision { allowed, source: Source::Policy, at: None, limits: Vec::new() }
    }

    /// Returns whether the call was admitted.
    #[must_use]
    pub fn allowed(&self) -> bool {
        self.allowed
    }

    /// Returns the origin of the decision.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// Returns the instant of the decision, as the time since 1970 on the server's clock, to the microsecond; `None` if the
    /// policy decided. For each key it never runs backwards.
    #[must_use]
    pub fn decided_at(&self) -> Option<Duration> {
        self.at.map(Duration::from_micros)
    }

    /// Returns the state of each limit, in the order of the quotas: none if the policy decided.
    #[must_use]
    pub fn limits(&self) -> &[LimitState] {
        &self.limits
    }

    /// Returns the longest time until the same call is admitted: zero if it was, `None` if it never is, or if the policy
    /// refused it.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        if self.source == Source::Policy && !self.allowed {
            return None;
        }
        self.limits.iter().try_fold(Duration::ZERO, |longest, limit| Some(longest.max(limit.retry_after?)))
    }

    /// Returns the error of a call that the store refused; `None` if it was admitted.
    pub(super) fn refusal(&self) -> Option<SharedError> {
        // A limit that never admits the call comes first, then the one with the longest wait.
        let wait = |limit: &&LimitState| limit.retry_after.unwrap_or(Duration::MAX);
        let limit = self.limits.iter().max_by_key(wait).filter(|_| !self.allowed)?;
        let name = limit.name.clone();
        Some(match limit.retry_after {
            Some(retry_after) => SharedError::RateLimited { limit: name, retry_after },
            None => SharedError::ExceedsBurst { limit: name, requested: limit.requested, burst: limit.burst },
        })
    }
}

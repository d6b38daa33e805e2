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
    /// A [lease](crate::LeasedRateLimiter) decided: its credit, or a refusal of the store that still holds.
    Lease,
    /// The store was not available, and the [policy](crate::FailurePolicy) decided.
    Policy,
}

/// A decision on a call, with the numbers of each limit, for response headers.
#[derive(Clone, Debug)]
pub struct SharedDecision {
    source: Source,
    /// In microseconds.
    at: Option<u64>,
    /// The number of the limiter's quotas.
    quotas: usize,
    limits: Vec<LimitState>,
    refusal: Option<SharedError>,
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
    /// The time until the bucket is full, if that is known. Rounded up to a microsecond.
    pub reset_after: Option<Duration>,
}

impl SharedDecision {
    /// Returns the decision of the store on a cost.
    pub(crate) fn of_store(quotas: &Quotas, limits: &[(Limit, u64)], cost: Tokens, outcome: &Outcome) -> Self {
        let states =
            quotas.iter().zip(limits).zip(&outcome.buckets).map(|(((name, quota), (limit, amount)), bucket)| {
                let (deficit, amount) = (bucket.0, *amount);
                let retry_after = match outcome.admitted || amount == 0 {
                    true => Some(Duration::ZERO),
                    false if amount > limit.capacity() => None,
                    false => Some(outcome.time_until(limit, deficit, amount)),
                };
                LimitState {
                    name: name.to_owned(),
                    burst: quota.capacity(),
                    remaining: limit.tokens(limit.capacity().saturating_sub(deficit)).whole(),
                    retry_after,
                    reset_after: Some(limit.time(deficit)),
                }
            });
        SharedDecision { at: Some(outcome.at), ..Self::of_states(outcome.admitted, states.collect(), cost) }
    }

    /// Returns the decision of the store on a cost, with the state of each limit.
    pub(crate) fn of_states(admitted: bool, limits: Vec<LimitState>, cost: Tokens) -> Self {
        // A limit that never admits the call comes first, then the one with the longest wait.
        let wait = |limit: &&LimitState| limit.retry_after.unwrap_or(Duration::MAX);
        let refusing = limits.iter().max_by_key(wait).filter(|_| !admitted);
        let refusal = refusing.map(|limit| match (limit.name.clone(), limit.retry_after) {
            (limit, Some(retry_after)) => SharedError::RateLimited { limit, retry_after },
            (name, None) => SharedError::ExceedsBurst { limit: name, requested: cost, burst: limit.burst },
        });
        SharedDecision { source: Source::Store, at: None, quotas: limits.len(), limits, refusal }
    }

    /// Returns a decision on these quotas without numbers, but for those of a refusal.
    pub(crate) fn new(source: Source, quotas: &Quotas, decided: Result<(), SharedError>) -> Self {
        let burst = |name: &str| quotas.iter().find(|(of, _)| *of == name).map(|(_, quota)| quota.capacity());
        Self::without_numbers(source, quotas.as_slice().len(), burst, decided)
    }

    /// Returns a decision without numbers, but for those of a refusal, with a function from the name of a limit to its burst.
    pub(crate) fn without_numbers(
        source: Source,
        quotas: usize,
        burst: impl FnOnce(&str) -> Option<Tokens>,
        decided: Result<(), SharedError>,
    ) -> Self {
        let refusal = decided.err();
        let refusing = match &refusal {
            Some(SharedError::RateLimited { limit, retry_after }) => Some((limit, Some(*retry_after))),
            Some(SharedError::ExceedsBurst { limit, .. }) => Some((limit, None)),
            Some(SharedError::Unavailable(_)) | None => None,
        };
        let state = refusing.map(|(name, retry_after)| LimitState {
            name: name.clone(),
            burst: burst(name).unwrap_or(Tokens::ZERO),
            remaining: 0,
            retry_after,
            reset_after: None,
        });
        SharedDecision { source, at: None, quotas, limits: state.into_iter().collect(), refusal }
    }

    /// Returns whether the call was admitted.
    #[must_use]
    pub fn allowed(&self) -> bool {
        self.refusal.is_none()
    }

    /// Returns the origin of the decision.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// Returns the instant of the decision, as the time since 1970 on the server's clock, to the microsecond, if buckets of
    /// the store decided: `None` for a lease, a sliding window and the policy. For each key it never runs backwards.
    #[must_use]
    pub fn decided_at(&self) -> Option<Duration> {
        self.at.map(Duration::from_micros)
    }

    /// Returns the state of each limit, in the order of the quotas. A lease and a policy know no numbers: they have no
    /// state of a call that they admit, and that of the refusing limit of one that they refuse.
    #[must_use]
    pub fn limits(&self) -> &[LimitState] {
        &self.limits
    }

    /// Returns the number of the limiter's quotas, also of those whose state is not known.
    #[must_use]
    pub fn quotas(&self) -> usize {
        self.quotas
    }

    /// Returns the reason of a refusal; `None` if the call was admitted.
    #[must_use]
    pub fn refusal(&self) -> Option<&SharedError> {
        self.refusal.as_ref()
    }

    /// Returns whether the call was refused because the store was not available, and not for its rate.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self.refusal, Some(SharedError::Unavailable(_)))
    }

    /// Returns the longest time until the same call is admitted: zero if it was, `None` if it never is, or if that is not
    /// known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.refusal.as_ref().map_or(Some(Duration::ZERO), SharedError::retry_after)
    }

    /// Returns the decision, or the reason of a refusal.
    pub(crate) fn into_result(self) -> Result<Self, SharedError> {
        match self.refusal {
            Some(refusal) => Err(refusal),
            None => Ok(self),
        }
    }
}

//! [`SharedStats`]: counts of decisions by their origin.

use std::sync::atomic::{AtomicU64, Ordering};

/// The decisions of a limiter in this process, since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedStats {
    /// Calls that the store admitted.
    pub admitted: u64,
    /// Calls that the store refused.
    pub denied: u64,
    /// Calls that the [policy](crate::FailurePolicy) admitted, because the store was not available.
    pub admitted_by_policy: u64,
    /// Calls that the policy refused.
    pub denied_by_policy: u64,
    /// Requests to the store.
    pub requests: u64,
    /// Requests to the store that failed or had no answer within the deadline.
    pub failures: u64,
    /// The times that the circuit breaker opened, after failures in a row.
    pub breaker_opened: u64,
    /// The times that it closed, after an answer.
    pub breaker_closed: u64,
    /// The requests that took a batch for a lease: some of [`requests`](SharedStats::requests).
    pub renewals: u64,
    /// The connections of the store so far, the first one and those after a loss. Limiters that share a store have the same
    /// number. Zero if the store does not know it.
    pub connections: u64,
}

impl SharedStats {
    /// Adds the counts of an earlier step of the same calls, which admits a call to the next one: all but its admissions.
    pub(crate) fn after(self, step: &SharedStats) -> SharedStats {
        SharedStats {
            denied: self.denied + step.denied,
            denied_by_policy: self.denied_by_policy + step.denied_by_policy,
            requests: self.requests + step.requests,
            failures: self.failures + step.failures,
            breaker_opened: self.breaker_opened + step.breaker_opened,
            breaker_closed: self.breaker_closed + step.breaker_closed,
            ..self
        }
    }
}

#[cfg(any(feature = "metrics", feature = "tracing"))]
impl SharedStats {
    /// Returns what was counted after `earlier`.
    pub(super) fn since(&self, earlier: &SharedStats) -> SharedStats {
        SharedStats {
            admitted: self.admitted.wrapping_sub(earlier.admitted),
            denied: self.denied.wrapping_sub(earlier.denied),
            admitted_by_policy: self.admitted_by_policy.wrapping_sub(earlier.admitted_by_policy),
            denied_by_policy: self.denied_by_policy.wrapping_sub(earlier.denied_by_policy),
            requests: self.requests.wrapping_sub(earlier.requests),
            failures: self.failures.wrapping_sub(earlier.failures),
            breaker_opened: self.breaker_opened.wrapping_sub(earlier.breaker_opened),
            breaker_closed: self.breaker_closed.wrapping_sub(earlier.breaker_closed),
            renewals: self.renewals.wrapping_sub(earlier.renewals),
            connections: self.connections.wrapping_sub(earlier.connections),
        }
    }
}

/// The counters. Relaxed: they order nothing.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    admitted: AtomicU64,
    denied: AtomicU64,
    admitted_by_policy: AtomicU64,
    denied_by_policy: AtomicU64,
    requests: AtomicU64,
    failures: AtomicU64,
    breaker_opened: AtomicU64,
    breaker_closed: AtomicU64,
    renewals: AtomicU64,
}

impl Counters {
    pub(super) fn asked(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn decided(&self, admitted: bool) {
        let counter = if admitted { &self.admitted } else { &self.denied };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn decided_by_policy(&self, admitted: bool) {
        let counter = if admitted { &self.admitted_by_policy } else { &self.denied_by_policy };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn opened(&self) {
        self.breaker_opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn closed(&self) {
        self.breaker_closed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn renewed(&self) {
        self.renewals.fetch_add(1, Ordering::Relaxed);
    }

    /// Reads the counters. The number of connections is the store's.
    pub(crate) fn read(&self, connections: u64) -> SharedStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SharedStats {
            admitted: read(&self.admitted),
            denied: read(&self.denied),
            admitted_by_policy: read(&self.admitted_by_policy),
            denied_by_policy: read(&self.denied_by_policy),
            requests: read(&self.requests),
            failures: read(&self.failures),
            breaker_opened: read(&self.breaker_opened),
            breaker_closed: read(&self.breaker_closed),
            renewals: read(&self.renewals),
            connections,
        }
    }
}

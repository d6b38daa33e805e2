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

    pub(crate) fn read(&self) -> SharedStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SharedStats {
            admitted: read(&self.admitted),
            denied: read(&self.denied),
            admitted_by_policy: read(&self.admitted_by_policy),
            denied_by_policy: read(&self.denied_by_policy),
            requests: read(&self.requests),
            failures: read(&self.failures),
        }
    }
}

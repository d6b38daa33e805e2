//! [`Events`]: what a limiter emits, to `metrics` and `tracing`. The policy's name is the only label, never a key.

#[cfg(any(feature = "metrics", feature = "tracing"))]
use std::sync::{Mutex, PoisonError};

#[cfg(feature = "metrics")]
use metrics::Unit;

use super::error::Unavailable;
#[cfg(any(feature = "metrics", feature = "tracing"))]
use super::stats::SharedStats;

/// The policy's name, and the counts that were emitted.
#[cfg_attr(not(any(feature = "metrics", feature = "tracing")), allow(dead_code))]
pub(super) struct Events {
    policy: String,
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    emitted: Mutex<SharedStats>,
}

impl Events {
    pub(super) fn new(policy: String) -> Self {
        Events {
            policy,
            #[cfg(any(feature = "metrics", feature = "tracing"))]
            emitted: Mutex::default(),
        }
    }

    /// Called when the breaker opens.
    #[cfg_attr(not(feature = "tracing"), allow(unused_variables, clippy::unused_self))]
    pub(super) fn opened(&self, why: &Unavailable) {
        #[cfg(feature = "tracing")]
        tracing::warn!(
            target: "brimful",
            policy = self.policy.as_str(),
            reason = why.reason(),
            "the store has failed and is not asked for a while: the policy decides"
        );
    }

    /// Called when the breaker closes.
    #[cfg_attr(not(feature = "tracing"), allow(clippy::unused_self))]
    pub(super) fn closed(&self) {
        #[cfg(feature = "tracing")]
        tracing::info!(target: "brimful", policy = self.policy.as_str(), "the store decides again");
    }

    /// Called when the policy has decided on a call.
    #[cfg_attr(not(feature = "tracing"), allow(unused_variables, clippy::unused_self))]
    pub(super) fn decided_by_policy(&self, admitted: bool, reason: &'static str) {
        #[cfg(feature = "tracing")]
        tracing::debug!(
            target: "brimful",
            policy = self.policy.as_str(),
            admitted,
            reason,
            "the policy decided in place of the store"
        );
    }

    /// Emits what was counted since the last emission. Recorder and subscriber run with no lock held.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(super) fn emit(&self, read: impl FnOnce() -> SharedStats) {
        let since = {
            let mut emitted = self.emitted.lock().unwrap_or_else(PoisonError::into_inner);
            // Read under the lock, so that each count is in one emission.
            let now = read();
            let since = now.since(&emitted);
            *emitted = now;
            since
        };
        #[cfg(feature = "metrics")]
        self.add_to_metrics(&since);
        #[cfg(feature = "tracing")]
        self.send_event(&since);
    }

    #[cfg(feature = "metrics")]
    fn add_to_metrics(&self, stats: &SharedStats) {
        let add = |name: &'static str, what: &'static str, n: u64| {
            metrics::describe_counter!(name, Unit::Count, what);
            metrics::counter!(name, "policy" => self.policy.clone()).increment(n);
        };
        add("brimful_shared_admitted_total", "calls that the store admitted", stats.admitted);
        add("brimful_shared_denied_total", "calls that the store refused", stats.denied);
        let what = "calls that the policy admitted in place of the store";
        add("brimful_shared_admitted_by_policy_total", what, stats.admitted_by_policy);
        let what = "calls that the policy refused in place of the store";
        add("brimful_shared_denied_by_policy_total", what, stats.denied_by_policy);
        add("brimful_shared_requests_total", "requests to the store", stats.requests);
        add("brimful_shared_failures_total", "requests that failed or had no answer in time", stats.failures);
        add("brimful_shared_breaker_opened_total", "times that the breaker opened", stats.breaker_opened);
        add("brimful_shared_breaker_closed_total", "times that the breaker closed", stats.breaker_closed);
        add("brimful_shared_renewals_total", "requests that took a batch for a lease", stats.renewals);
        add("brimful_shared_connections_total", "connections of the store", stats.connections);
    }

    #[cfg(feature = "tracing")]
    fn send_event(&self, stats: &SharedStats) {
        tracing::info!(
            target: "brimful",
            policy = self.policy.as_str(),
            admitted = stats.admitted,
            denied = stats.denied,
            admitted_by_policy = stats.admitted_by_policy,
            denied_by_policy = stats.denied_by_policy,
            requests = stats.requests,
            failures = stats.failures,
            breaker_opened = stats.breaker_opened,
            breaker_closed = stats.breaker_closed,
            renewals = stats.renewals,
            connections = stats.connections,
            "statistics of a shared rate limiter"
        );
    }
}

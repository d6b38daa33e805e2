//! [`Requests`]: how the store is asked.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::breaker::Breaker;
use super::error::Unavailable;
use super::events::Events;
use super::stats::{Counters, SharedStats};
use crate::engine::{Limit, Operation, Outcome, Request, RequestId, Store, StoreError};

/// A function that is called when the store has failed.
pub(crate) type Hook = Arc<dyn Fn(&Unavailable) + Send + Sync>;

/// The store, the deadline of a request, and the breaker.
pub(crate) struct Requests<S> {
    pub(crate) store: S,
    pub(crate) deadline: Duration,
    /// The time for which the store remembers a request; `None` if requests are not repeated.
    pub(crate) remembered: Option<Duration>,
    pub(super) breaker: Breaker,
    pub(super) counters: Counters,
    pub(super) events: Events,
    pub(super) hook: Option<Hook>,
}

impl<S: Store> Requests<S> {
    /// Asks the store for a decision on buckets.
    pub(crate) async fn ask(
        &self,
        key: &str,
        operation: Operation,
        limits: &[(Limit, u64)],
    ) -> Result<Outcome, Unavailable> {
        let id = self.remembered.filter(|_| operation != Operation::Peek).map(|time| (next_id(), time));
        let request = Request { key, operation, limits, id, patience: self.deadline };
        let is_safe = id.is_some() || operation == Operation::Peek;
        self.within_deadline(is_safe, || self.store.decide(request)).await
    }

    pub(crate) fn stats(&self) -> SharedStats {
        self.counters.read(self.store.connections())
    }

    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(crate) fn emit_stats(&self) {
        self.emit(|| self.stats());
    }

    /// Emits what was counted since the last emission, of counts that are read so.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(crate) fn emit(&self, read: impl FnOnce() -> SharedStats) {
        self.events.emit(read);
    }
}

impl<S> Requests<S> {
    /// Counts a decision of the store.
    pub(crate) fn decided(&self, admitted: bool) {
        self.counters.decided(admitted);
    }

    /// Counts a decision of the policy, and emits it, with the [reason](Unavailable::reason) for which the store did not
    /// decide.
    pub(crate) fn decided_by_policy(&self, admitted: bool, reason: &'static str) {
        self.counters.decided_by_policy(admitted);
        self.events.decided_by_policy(admitted, reason);
    }

    /// Asks the store by an attempt, within the deadline, unless the breaker is open. If the outcome of the attempt is not
    /// known, and it `is_safe` to make it twice, it is made once more.
    pub(crate) async fn within_deadline<T, F>(&self, is_safe: bool, attempt: impl Fn() -> F) -> Result<T, Unavailable>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let asked = match self.breaker.asks() {
            Ok(asked) => asked,
            Err(time) => return Err(self.report(Unavailable::Open(time))),
        };
        self.counters.asked();
        let failure = match tokio::time::timeout(self.deadline, until_known(is_safe, attempt)).await {
            Ok(Ok(outcome)) => {
                if self.breaker.succeeded() {
                    self.counters.closed();
                    self.events.closed();
                }
                return Ok(outcome);
            }
            Ok(Err(error)) => Unavailable::Failed(error),
            Err(_) => Unavailable::TimedOut(self.deadline),
        };
        self.counters.failed();
        if self.breaker.failed(asked) {
            self.counters.opened();
            self.events.opened(&failure);
        }
        Err(self.report(failure))
    }

    /// Calls the hook.
    fn report(&self, failure: Unavailable) -> Unavailable {
        if let Some(hook) = &self.hook {
            hook(&failure);
        }
        failure
    }
}

/// Makes an attempt, and makes it once more if the outcome of the first is not known and nothing is done twice.
pub(crate) async fn until_known<T, F>(is_safe: bool, attempt: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    match attempt().await {
        Err(error) if error.may_be_done && is_safe => attempt().await.map_err(|mut error| {
            // The first attempt may have been executed, whatever became of the second.
            error.may_be_done = true;
            error
        }),
        outcome => outcome,
    }
}

/// Returns an id that no other request has: a random number of the process, and the number of the request.
pub(crate) fn next_id() -> RequestId {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // Relaxed: only the number counts.
    RequestId(u128::from(*PROCESS) << 64 | u128::from(NEXT.fetch_add(1, Ordering::Relaxed)))
}

//! [`Requests`]: how the store is asked.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::breaker::Breaker;
use super::error::{BuildError, Unavailable};
use super::stats::{Counters, SharedStats};
use crate::engine::{Limit, Operation, Outcome, Request, RequestId, Store};

/// A function that is called when the store has failed.
pub(crate) type Hook = Box<dyn Fn(&Unavailable) + Send + Sync>;

/// The store, the deadline of a request, and the breaker.
pub(crate) struct Requests<S> {
    store: S,
    pub(super) deadline: Duration,
    /// The time for which the store remembers a request; `None` if requests are not repeated.
    remembered: Option<Duration>,
    breaker: Breaker,
    counters: Counters,
    hook: Option<Hook>,
}

impl<S: Store> Requests<S> {
    /// Returns the requests to a store.
    pub(crate) fn new(
        store: S,
        deadline: Duration,
        remembered: Option<Duration>,
        hook: Option<Hook>,
    ) -> Result<Self, BuildError> {
        if deadline.is_zero() {
            return Err(BuildError::NoDeadline);
        }
        if let Some(remembered) = remembered.filter(|remembered| *remembered <= deadline) {
            return Err(BuildError::Remembered(remembered, deadline));
        }
        let (breaker, counters) = (Breaker::new(deadline), Counters::default());
        Ok(Requests { store, deadline, remembered, breaker, counters, hook })
    }

    /// Counts a decision of the store.
    pub(crate) fn decided(&self, admitted: bool) {
        self.counters.decided(admitted);
    }

    /// Counts a decision of the policy.
    pub(crate) fn decided_by_policy(&self, admitted: bool) {
        self.counters.decided_by_policy(admitted);
    }

    pub(crate) fn stats(&self) -> SharedStats {
        self.counters.read()
    }

    /// Asks the store, within the deadline.
    pub(crate) async fn ask(
        &self,
        key: &str,
        operation: Operation,
        limits: &[(Limit, u64)],
    ) -> Result<Outcome, Unavailable> {
        let asked = match self.breaker.asks() {
            Ok(asked) => asked,
            Err(time) => return Err(self.report(Unavailable::Open(time))),
        };
        self.counters.asked();
        let id = self.remembered.filter(|_| operation != Operation::Peek).map(|time| (next_id(), time));
        let request = Request { key, operation, limits, id, patience: self.deadline };
        let failure = match tokio::time::timeout(self.deadline, self.ask_until_done(request)).await {
            Ok(Ok(outcome)) => {
                self.breaker.succeeded();
                return Ok(outcome);
            }
            Ok(Err(failure)) => failure,
            Err(_) => Unavailable::TimedOut(self.deadline),
        };
        self.counters.failed();
        self.breaker.failed(asked);
        Err(self.report(failure))
    }

    /// Calls the hook.
    fn report(&self, failure: Unavailable) -> Unavailable {
        if let Some(hook) = &self.hook {
            hook(&failure);
        }
        failure
    }

    /// Asks the store, and asks once more if the first outcome is not known and nothing is charged twice.
    async fn ask_until_done(&self, request: Request<'_>) -> Result<Outcome, Unavailable> {
        let error = match self.store.decide(request).await {
            Ok(outcome) => return Ok(outcome),
            Err(error) => error,
        };
        let is_safe = request.id.is_some() || request.operation == Operation::Peek;
        if !(error.may_be_done && is_safe) {
            return Err(Unavailable::Failed(error));
        }
        self.store.decide(request).await.map_err(|mut error| {
            // The first attempt may have been executed, whatever became of the second.
            error.may_be_done = true;
            Unavailable::Failed(error)
        })
    }
}

/// Returns an id that no other request has: a random number of the process, and the number of the request.
fn next_id() -> RequestId {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // Relaxed: only the number counts.
    RequestId(u128::from(*PROCESS) << 64 | u128::from(NEXT.fetch_add(1, Ordering::Relaxed)))
}

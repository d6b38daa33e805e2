//! [`Requests`]: how the store is asked.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::breaker::Breaker;
use super::error::Unavailable;
use super::events::Events;
use super::stats::{Counters, SharedStats};
use crate::engine::{Limit, Operation, Outcome, Request, RequestId, Store};

/// A function that is called when the store has failed.
pub(super) type Hook = Box<dyn Fn(&Unavailable) + Send + Sync>;

/// The store, the deadline of a request, and the breaker.
pub(super) struct Requests<S> {
    pub(super) store: S,
    pub(super) deadline: Duration,
    /// The time for which the store remembers a request; `None` if requests are not repeated.
    pub(super) remembered: Option<Duration>,
    pub(super) breaker: Breaker,
    pub(super) counters: Counters,
    pub(super) events: Events,
    pub(super) hook: Option<Hook>,
}

impl<S: Store> Requests<S> {
    /// Asks the store, within the deadline.
    pub(super) async fn ask(
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
                if self.breaker.succeeded() {
                    self.counters.closed();
                    self.events.closed();
                }
                return Ok(outcome);
            }
            Ok(Err(failure)) => failure,
            Err(_) => Unavailable::TimedOut(self.deadline),
        };
        self.counters.failed();
        if self.breaker.failed(asked) {
            self.counters.opened();
            self.events.opened(&failure);
        }
        Err(self.report(failure))
    }

    pub(super) fn stats(&self) -> SharedStats {
        self.counters.read(self.store.connections())
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

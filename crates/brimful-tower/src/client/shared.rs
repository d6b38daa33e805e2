//! [`Shared`]: the state that all clones of a middleware share.

use std::sync::Arc;
use std::time::Duration;

use brimful::{Clock, OwnedAcquire, Quota, RateLimiter, Tokens};

use super::answer::Pauses;

/// The clock of a limiter.
type AnyClock = Arc<dyn Clock + Send + Sync>;

/// A future that is ready at a time.
pub(super) type Timer = OwnedAcquire<AnyClock>;

/// The state that all clones of a middleware share.
pub(super) struct Shared<P, R> {
    pub(super) limits: Arc<P>,
    pub(super) longest_wait: Duration,
    pub(super) pauses: Pauses,
    pub(super) retries: R,
    pub(super) budget: Option<Arc<Budget>>,
}

/// The retries that all calls together have left.
pub(super) struct Budget {
    pub(super) left: RateLimiter<AnyClock>,
    /// The retries that each call adds.
    pub(super) share: Tokens,
}

impl<P, R> Shared<P, R> {
    /// Counts a call that leaves, and is no retry.
    #[inline]
    pub(super) fn count_call(&self) {
        if let Some(budget) = &self.budget {
            budget.left.add_tokens(budget.share);
        }
    }

    /// Takes a retry, if there is one left.
    pub(super) fn take_retry(&self) -> Option<Retry> {
        let budget = self.budget.as_ref().filter(|budget| budget.left.allow())?;
        Some(Retry(Some(budget.clone())))
    }
}

/// A retry of the budget. It is given back if the call does not leave.
pub(super) struct Retry(Option<Arc<Budget>>);

impl Retry {
    /// Returns a timer for a time of the clock: a limiter has those of all clocks, and that of the system.
    pub(super) fn timer(&self, at: u64) -> Timer {
        let clock = self.0.as_ref().expect("it is not spent yet").left.clock().clone();
        let time = at.saturating_sub(clock.now());
        let limiter = RateLimiter::with_clock(Quota::per_second(1), clock);
        limiter.pause_for(Duration::from_nanos(time));
        Arc::new(limiter).acquire_n_owned(1)
    }

    /// The call leaves.
    pub(super) fn spend(mut self) {
        self.0 = None;
    }
}

impl Drop for Retry {
    fn drop(&mut self) {
        if let Some(budget) = &self.0 {
            budget.left.add_tokens(1);
        }
    }
}

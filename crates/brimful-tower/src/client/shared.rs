//! [`Shared`]: the state that all clones of a middleware share.

use std::sync::Arc;
use std::time::Duration;

use brimful::{Clock, RateLimiter, Tokens};

use super::answer::Pauses;

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
    pub(super) left: RateLimiter<Arc<dyn Clock + Send + Sync>>,
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

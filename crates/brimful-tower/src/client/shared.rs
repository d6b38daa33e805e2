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
    pub(super) budget: Option<Budget>,
}

/// The retries that all calls together have left.
pub(super) struct Budget {
    pub(super) left: RateLimiter<Arc<dyn Clock + Send + Sync>>,
    /// The retries that each call adds.
    pub(super) share: Tokens,
}

impl<P, R> Shared<P, R> {
    /// Counts a call, which is no retry.
    #[inline]
    pub(super) fn count_call(&self) {
        if let Some(Budget { left, share }) = &self.budget {
            left.add_tokens(*share);
        }
    }

    /// Takes a retry, if there is one left.
    pub(super) fn take_retry(&self) -> bool {
        self.budget.as_ref().is_some_and(|budget| budget.left.allow())
    }
}

//! [`Decision`]: the answer with its numbers.

use core::fmt;
use core::time::Duration;

use crate::algorithm::token_bucket;
use crate::word::{Due, Layout, Level, Reading, Units, Word};

/// What was decided, and the numbers that response headers show. All of them are of the one
/// moment of the decision; divisions are left until asked for.
#[derive(Clone, Copy)]
#[must_use]
pub struct Decision {
    allowed: bool,
    limited: bool,
    per_token: u64,
    capacity: u64,
    /// Units left in the bucket.
    left: i64,
    retry: Option<Due>,
    reset: Due,
}

impl Decision {
    #[inline]
    pub(super) fn admitted(layout: &Layout, now: Reading, next: Word, left: Units) -> Self {
        let Level(level) = token_bucket::level(layout, next, now);
        Decision::new(layout, now, true, left.0 as i64, level, None)
    }

    #[inline]
    pub(super) fn denied(layout: &Layout, now: Reading, cost: Units, deficit: Units) -> Self {
        let left = cost.0 as i64 - deficit.0 as i64;
        Decision::new(layout, now, false, left, left, Some(Due::new(layout.earned(), now, deficit)))
    }

    /// On a cost of zero, or on one above the burst.
    pub(super) fn untaken(layout: &Layout, now: Reading, Level(level): Level, allowed: bool) -> Self {
        Decision::new(layout, now, allowed, level, level, None)
    }

    pub(super) fn unlimited(layout: &Layout) -> Self {
        let now = Reading::from_nanos(0);
        let capacity = layout.capacity().0 as i64;
        Decision { limited: false, ..Decision::new(layout, now, true, capacity, capacity, None) }
    }

    #[inline]
    fn new(layout: &Layout, now: Reading, allowed: bool, left: i64, level: i64, retry: Option<Due>) -> Self {
        let capacity = layout.capacity().0;
        let missing = Units((capacity as i64 - level) as u64);
        let reset = Due::new(layout.earned(), now, missing);
        Decision { allowed, limited: true, per_token: layout.per_token(), capacity, left, retry, reset }
    }

    /// Whether the call was admitted, and charged.
    #[inline]
    #[must_use]
    pub fn allowed(&self) -> bool {
        self.allowed
    }

    /// The burst, in whole tokens, rounded down; `u32::MAX` without a limit.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.whole(self.capacity)
    }

    /// The whole tokens left after the decision, rounded down; zero in debt.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        self.whole(self.left.max(0) as u64)
    }

    /// How long until the same call would be admitted, if nothing else takes tokens: zero where
    /// it was, [`Duration::MAX`] where it never will be (a cost above the burst, or beyond the
    /// 18 years that a clock's readings reach). Exact, rounded up to the nanosecond.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        match self.retry {
            _ if self.allowed => Duration::ZERO,
            Some(due) => due.after(),
            None => Duration::MAX,
        }
    }

    /// How long until the bucket is full again, if nothing else takes tokens. Exact, rounded up
    /// to the nanosecond.
    #[must_use]
    pub fn reset_after(&self) -> Duration {
        if self.limited { self.reset.after() } else { Duration::ZERO }
    }

    fn whole(&self, units: u64) -> u32 {
        u32::try_from(units / self.per_token).unwrap_or(u32::MAX)
    }
}

impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decision")
            .field("allowed", &self.allowed)
            .field("limit", &self.limit())
            .field("remaining", &self.remaining())
            .field("retry_after", &self.retry_after())
            .field("reset_after", &self.reset_after())
            .finish()
    }
}

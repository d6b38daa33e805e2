//! [`Buckets`]: the buckets of a keyed limiter, by fingerprint.

use crate::algorithm::token_bucket::Demand;
use crate::cell::{Taken, TimeSource};
use crate::error::TryAcquireError;
use crate::limiter::target::answer;
use crate::quota::Quota;
use crate::table::{Fingerprint, Table};
use crate::tokens::Tokens;
use crate::word::Layout;

/// All of a keyed limiter that does not depend on the type of its keys. It is shared with futures and
/// reservations that keep their limiter alive.
pub(in crate::limiter) struct Buckets<C> {
    pub(in crate::limiter) table: Table,
    pub(super) quota: Quota,
    /// The share of the burst that background work leaves, in percent.
    pub(in crate::limiter) background: u8,
    pub(super) clock: C,
}

impl<C> Buckets<C> {
    #[inline]
    pub(in crate::limiter) fn layout(&self) -> &Layout {
        self.table.layout()
    }

    pub(in crate::limiter) fn quota(&self) -> &Quota {
        &self.quota
    }

    #[inline]
    pub(in crate::limiter) fn clock(&self) -> &C {
        &self.clock
    }

    /// Takes the cost of `n` from a key's bucket if `leaving` tokens are left then.
    #[inline(always)]
    pub(in crate::limiter) fn take(&self, key: Fingerprint, n: Tokens, leaving: Tokens, now: impl TimeSource) -> Taken {
        match self.table.take(key, (n, leaving), now) {
            Some(taken) => taken,
            None => self.take_cold(key, n, leaving, now),
        }
    }

    /// The same, as an answer. A cost of zero is always admitted, and does not make the key known.
    // The outcome of the one attempt becomes the answer at once, in registers.
    #[inline(always)]
    pub(in crate::limiter) fn try_take(
        &self,
        key: Fingerprint,
        n: Tokens,
        leaving: Tokens,
        now: impl TimeSource,
    ) -> Result<(), TryAcquireError> {
        if n.is_zero() {
            return Ok(());
        }
        match self.table.take(key, (n, leaving), now) {
            Some(taken) => answer(self.layout(), (n, leaving), taken),
            None => answer(self.layout(), (n, leaving), self.take_cold(key, n, leaving, now)),
        }
    }

    #[inline(always)]
    fn take_cold(&self, key: Fingerprint, n: Tokens, leaving: Tokens, now: impl TimeSource) -> Taken {
        self.table.take_cold(key, Demand::new(self.layout(), n, leaving), now)
    }
}

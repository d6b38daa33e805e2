//! [`Buckets`]: the buckets of a keyed limiter, by fingerprint.

use crate::algorithm::token_bucket::Demand;
use crate::cell::{Taken, TimeSource};
use crate::clock::Clock;
use crate::error::{RateLimited, TryAcquireError};
use crate::quota::Quota;
use crate::stats::{KeyStats, Recording};
use crate::table::{Fingerprint, FullEvent, Table};
use crate::tokens::Tokens;
use crate::word::Layout;

/// All of a keyed limiter that does not depend on the type of its keys. It is shared with futures and
/// reservations that keep their limiter alive.
pub(crate) struct Buckets<C> {
    pub(crate) table: Table,
    /// The share of the burst that background work leaves, in percent.
    pub(crate) background: u8,
    pub(crate) stats: Recording,
    pub(crate) clock: C,
}

impl<C> Buckets<C> {
    #[inline]
    pub(crate) fn layout(&self) -> &Layout {
        self.table.layout()
    }

    pub(crate) fn quota(&self) -> Quota {
        self.table.quota()
    }

    #[inline]
    pub(crate) fn clock(&self) -> &C {
        &self.clock
    }
}

impl<C> Buckets<C> {
    /// Counts an outcome in the home line in the statistics.
    // In each arm by itself, so that an outcome stays in registers.
    #[inline(always)]
    pub(crate) fn count(&self, key: Fingerprint, n: Tokens, taken: &Taken) {
        match taken {
            Taken::Denied { needed, .. } => self.stats.denied_key(n, *needed > self.layout().capacity(), key),
            _ => self.stats.admitted(n),
        }
    }

    /// Counts an outcome of the cold path in the statistics.
    pub(crate) fn count_cold(&self, key: Fingerprint, n: u128, taken: &Taken, exceeds: bool) {
        self.stats.taken(n, taken, exceeds);
        if matches!(taken, Taken::Denied { .. } | Taken::TableFull { .. }) {
            self.stats.add_to_top(key);
        }
    }

    /// Returns the totals of the table, for statistics.
    pub(crate) fn key_stats(&self) -> KeyStats {
        let table = &self.table;
        KeyStats::new(table.keys(), table.forgotten(), table.events(FullEvent::Evicted))
    }
}

impl<C: Clock> Buckets<C> {
    /// Takes the cost of `n` from a key's bucket if `leaving` tokens are left then, and returns the
    /// answer. A cost of zero is always admitted, and does not make the key known.
    // The outcome of the one attempt becomes the answer at once, in registers.
    #[inline(always)]
    pub(crate) fn try_take(
        &self,
        key: Fingerprint,
        (n, leaving): (Tokens, Tokens),
        source: TimeSource<'_, C>,
    ) -> Result<(), TryAcquireError> {
        if n.is_zero() {
            return Ok(());
        }
        let layout = self.layout();
        match self.table.take_once(key, (n, leaving), source) {
            Some(taken) => {
                self.count(key, n, &taken);
                taken.answer(layout, (n, leaving))
            }
            None => {
                let demand = Demand::new(layout, n, leaving);
                self.try_take_cold(key, demand, source, n.to_bits(), leaving.to_bits())
            }
        }
    }

    /// Takes from a key's bucket, in a slot or elsewhere, and returns the answer. Amounts are passed
    /// in registers.
    #[cold]
    #[inline(never)]
    fn try_take_cold(
        &self,
        key: Fingerprint,
        demand: Demand,
        source: TimeSource<'_, C>,
        n: u128,
        leaving: u128,
    ) -> Result<(), TryAcquireError> {
        if self.table.per_token().is_none() {
            return self.try_take_changed(key, demand, source, n, leaving);
        }
        self.try_take_anywhere(key, demand, source, n, leaving)
    }

    #[inline]
    fn try_take_anywhere(
        &self,
        key: Fingerprint,
        demand: Demand,
        source: TimeSource<'_, C>,
        n: u128,
        leaving: u128,
    ) -> Result<(), TryAcquireError> {
        let (taken, terms) = (self.table.take_cold(key, demand, source), self.table.terms());
        self.count_cold(key, n, &taken, demand.needed > terms.capacity());
        taken.answer_by(&terms, n, leaving)
    }

    /// As [`try_take_cold`](Buckets::try_take_cold), after the quota has changed.
    #[inline(never)]
    fn try_take_changed(
        &self,
        key: Fingerprint,
        demand: Demand,
        source: TimeSource<'_, C>,
        n: u128,
        leaving: u128,
    ) -> Result<(), TryAcquireError> {
        let Some((taken, due)) = self.table.take_changed(key, demand, source) else {
            return self.try_take_anywhere(key, demand, source, n, leaving);
        };
        self.count_cold(key, n, &taken, false);
        due.map_or(Ok(()), |due| Err(TryAcquireError::RateLimited(RateLimited(due))))
    }
}

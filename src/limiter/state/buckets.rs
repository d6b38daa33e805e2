//! [`Buckets`]: the buckets of a keyed limiter, by fingerprint.

use crate::quota::Quota;
use crate::table::Table;
use crate::word::Layout;

/// All of a keyed limiter that does not depend on the type of its keys. It is shared with futures and
/// reservations that keep their limiter alive.
pub(in crate::limiter) struct Buckets<C> {
    pub(in crate::limiter) table: Table,
    /// The share of the burst that background work leaves, in percent.
    pub(in crate::limiter) background: u8,
    pub(in crate::limiter) clock: C,
}

impl<C> Buckets<C> {
    #[inline]
    pub(in crate::limiter) fn layout(&self) -> &Layout {
        self.table.layout()
    }

    pub(in crate::limiter) fn quota(&self) -> Quota {
        self.table.quota()
    }

    #[inline]
    pub(in crate::limiter) fn clock(&self) -> &C {
        &self.clock
    }
}

//! [`Buckets`]: the buckets of a keyed limiter, by fingerprint.

use crate::quota::Quota;
use crate::table::Table;
use crate::word::Layout;

/// All of a keyed limiter that does not depend on the type of its keys. It is shared with futures and
/// reservations that keep their limiter alive.
pub(crate) struct Buckets<C> {
    pub(crate) table: Table,
    /// The share of the burst that background work leaves, in percent.
    pub(crate) background: u8,
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

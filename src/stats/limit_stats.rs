//! [`CompositeStats`]: the numbers of a limiter of several quotas, as they were read.

use std::fmt;

use super::reader::Interval;
use super::snapshot::Stats;
use crate::quota::Quotas;

/// The statistics of a limiter of several quotas, from [`CompositeLimiter::stats`](crate::CompositeLimiter::stats) and
/// [`KeyedCompositeLimiter::stats`](crate::KeyedCompositeLimiter::stats).
/// [`Display`](std::fmt::Display) prints them as a text of several lines.
///
/// Each call counts once in [`calls`](CompositeStats::calls), with the tokens that it takes from each limit. A refused
/// call also counts once in [`limits`](CompositeStats::limits), for the limit that its error names. A wait that no limit
/// refused, but the queue, counts for none.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct CompositeStats {
    /// The calls on all limits together. Refunds are counted once, as they were asked for. The known keys are those of
    /// the table that knows most; forgotten and evicted ones are those of all tables.
    pub calls: Stats,
    /// Each limit, in order.
    pub limits: Vec<LimitStats>,
}

/// The calls that one of several limits refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitStats {
    /// The name of the limit: the one that it was given, or else its quota in text.
    pub name: String,
    /// The calls and waits that this limit refused.
    pub refused: u64,
}

impl CompositeStats {
    pub(super) fn new(interval: &Interval, quotas: &Quotas) -> Self {
        let limit =
            |(nth, (name, _)): (usize, (&str, _))| LimitStats { name: name.into(), refused: interval.refused_by(nth) };
        CompositeStats { calls: interval.stats, limits: quotas.iter().enumerate().map(limit).collect() }
    }
}

/// Prints [`calls`](CompositeStats::calls), and a line for each limit that refused calls.
impl fmt::Display for CompositeStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.calls.fmt(f)?;
        for limit in self.limits.iter().filter(|limit| limit.refused > 0) {
            write!(f, "\nrefused by       {:>12}  {}", limit.refused, limit.name)?;
        }
        Ok(())
    }
}

//! [`PermitStats`]: the numbers of a concurrency limit, as they were read.

use std::fmt;

use super::counters::{Counter, Sums};
use super::lines::Lines;

/// The statistics of a concurrency limit: the calls since it was built, or since the last `take_stats`.
///
/// They are kept if the builder was asked for them
/// ([`ConcurrencyLimitBuilder::stats`](crate::ConcurrencyLimitBuilder::stats),
/// [`KeyedConcurrencyLimitBuilder::stats`](crate::KeyedConcurrencyLimitBuilder::stats)).
/// [`Display`](std::fmt::Display) prints them as a text of several lines.
///
/// Each call is counted once, when its outcome is known. A call on several limits ([`AllOf`](crate::AllOf)) that takes
/// a permit and is then refused by another limit is counted as admitted here. The times of waits are not counted,
/// because the clock is read for deadlines only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PermitStats {
    /// The permits that were granted, with or without a wait.
    pub admitted: u64,
    /// The calls that did not wait, and found no permit.
    pub no_permit: u64,
    /// The waits that did not get a permit by their deadline.
    pub timed_out: u64,
    /// The waits for which the queue had no place.
    pub queue_full: u64,
    /// The calls and waits on a limit that was closed, or that was closed while they waited.
    pub closed: u64,
    /// The waits that were dropped before they ended.
    pub abandoned: u64,
    /// The permits that were granted after a wait in the queue.
    pub waited: u64,
    /// The permits that are out now, on all keys.
    pub in_flight: u64,
}

impl PermitStats {
    pub(super) fn new(sums: &Sums, in_flight: u64) -> Self {
        PermitStats {
            admitted: sums.get(Counter::Single),
            no_permit: sums.get(Counter::SingleDenied),
            timed_out: sums.get(Counter::TooLate),
            queue_full: sums.get(Counter::QueueFull),
            closed: sums.get(Counter::Ended),
            abandoned: sums.get(Counter::Abandoned),
            waited: sums.get(Counter::Waited),
            in_flight,
        }
    }

    /// Returns the calls and waits that got no permit, for any reason but that they were dropped.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.no_permit + self.timed_out + self.queue_full + self.closed
    }
}

/// Prints a line for each number. Of the numbers between the first two and the last, those that are zero are left out.
impl fmt::Display for PermitStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Lines::new(f);
        lines.line("admitted", self.admitted, None)?;
        lines.line("refused", self.refused(), None)?;
        lines.some("  no permit", self.no_permit, None)?;
        lines.some("  timed out", self.timed_out, None)?;
        lines.some("  queue full", self.queue_full, None)?;
        lines.some("  closed", self.closed, None)?;
        lines.some("abandoned", self.abandoned, None)?;
        lines.some("waited", self.waited, None)?;
        lines.line("in flight", self.in_flight, None)
    }
}

//! The text of [`Stats`]: an aligned line for each number that is not zero, and for the most important ones.

use std::fmt;

use super::lines::Lines;
use super::snapshot::Stats;

/// Prints a line for each number. Of the numbers below the first two, those that are zero are left out.
///
/// # Examples
///
/// ```
/// use brimful::{MockClock, Quota, RateLimiter};
///
/// let limiter =
///     RateLimiter::builder().quota(Quota::per_second(10).burst(2)).clock(MockClock::new()).stats().build()?;
/// let admitted = (0..5).filter(|_| limiter.allow()).count();
/// println!("{}", limiter.stats().unwrap());
/// // admitted                    2  2 tokens
/// // denied                      3  3 tokens
/// //   rate limited              3
/// # Ok::<(), brimful::BuildError>(())
/// ```
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Lines::new(f);
        lines.line("admitted", self.admitted, Some(format_args!("{} tokens", self.tokens_admitted)))?;
        lines.line("denied", self.denied(), Some(format_args!("{} tokens", self.tokens_denied)))?;
        lines.some("  rate limited", self.rate_limited, None)?;
        lines.some("  exceeds burst", self.exceeds_burst, None)?;
        lines.some("  table full", self.table_full, None)?;
        lines.some("  too late", self.too_late, None)?;
        lines.some("  queue full", self.queue_full, None)?;
        lines.some("  ended", self.ended, None)?;
        lines.some("abandoned", self.abandoned, None)?;
        let (mean, longest) = (self.mean_wait(), self.longest_wait);
        lines.some("waited", self.waited, Some(format_args!("mean {mean:?}, longest {longest:?}")))?;
        lines.some("refunds", self.refunds, Some(format_args!("{} tokens", self.tokens_refunded)))?;
        lines.some("quota changes", self.quota_changes, None)?;
        lines.some("pauses", self.pauses, None)?;
        if let Some(keys) = &self.keys {
            lines.line("keys", keys.known, None)?;
            lines.some("  forgotten", keys.forgotten, None)?;
            lines.some("  evicted", keys.evicted, None)?;
        }
        Ok(())
    }
}

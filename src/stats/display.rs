//! The text of [`Stats`]: an aligned line for each number that is not zero, and for the most important ones.

use std::fmt;

use super::snapshot::Stats;

/// The text of one line behind its number.
type Detail<'a> = Option<fmt::Arguments<'a>>;

/// Lines of a name, a number and a detail. There is no line feed after the last one.
struct Lines<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    begun: bool,
}

impl Lines<'_, '_> {
    fn line(&mut self, name: &str, number: u64, detail: Detail<'_>) -> fmt::Result {
        if std::mem::replace(&mut self.begun, true) {
            self.f.write_str("\n")?;
        }
        write!(self.f, "{name:<17}{number:>12}")?;
        match detail {
            Some(detail) => write!(self.f, "  {detail}"),
            None => Ok(()),
        }
    }

    /// A line, unless the number is zero.
    fn some(&mut self, name: &str, number: u64, detail: Detail<'_>) -> fmt::Result {
        if number == 0 { Ok(()) } else { self.line(name, number, detail) }
    }
}

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
        let mut lines = Lines { f, begun: false };
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

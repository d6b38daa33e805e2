//! The statistics of limiters of several quotas.

use super::keyed::KeyedCompositeLimiter;
use super::limiter::CompositeLimiter;
use crate::stats::{CompositeStats, KeyStats};
use crate::table::FullEvent;

#[cfg(any(feature = "metrics", feature = "tracing"))]
use crate::clock::Clock;
#[cfg(any(feature = "metrics", feature = "tracing"))]
use std::time::Duration;

impl<C> CompositeLimiter<C> {
    /// Returns the statistics since the limiter was built, or since the last
    /// [`take_stats`](CompositeLimiter::take_stats); `None` unless the builder was asked for
    /// [`stats`](crate::CompositeLimiterBuilder::stats).
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::{CompositeLimiter, MockClock};
    ///
    /// let builder = CompositeLimiter::builder().quotas("burst: 10/s; daily: 15/day".parse()?);
    /// let limiter = builder.clock(MockClock::new()).stats().build()?;
    /// for n in [10, 2, 1] {
    ///     let _ = limiter.try_acquire_n(n);
    /// }
    /// println!("{}", limiter.stats().unwrap());
    /// // admitted                    1  10 tokens
    /// // denied                      2  3 tokens
    /// //   rate limited              2
    /// // refused by                  2  burst
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> Option<CompositeStats> {
        self.limits.recording().read_limits(|| None, self.quotas())
    }

    /// Returns the statistics as [`stats`](CompositeLimiter::stats) does, and begins anew.
    pub fn take_stats(&self) -> Option<CompositeStats> {
        self.limits.recording().take_limits(|| None, self.quotas())
    }

    /// Emits [`calls`](CompositeStats::calls) since the last emission, as
    /// [`RateLimiter::emit_stats`](crate::RateLimiter::emit_stats).
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub fn emit_stats(&self) {
        self.limits.recording().emit(|| None);
    }
}

#[cfg(any(feature = "metrics", feature = "tracing"))]
impl<C: Clock> CompositeLimiter<C> {
    /// Emits the statistics as [`emit_stats`](CompositeLimiter::emit_stats) does, at most once in a `period`: as
    /// [`RateLimiter::emit_stats_every`](crate::RateLimiter::emit_stats_every).
    pub fn emit_stats_every(&self, period: Duration) -> bool {
        self.limits.recording().emit_every(period, self.clock(), || None)
    }
}

impl<K: ?Sized, C, S> KeyedCompositeLimiter<K, C, S> {
    /// Returns the statistics of all keys, as [`CompositeLimiter::stats`](crate::CompositeLimiter::stats). Takes the lock
    /// of each stripe of each table for a moment.
    #[must_use]
    pub fn stats(&self) -> Option<CompositeStats> {
        self.limits.recording().read_limits(|| Some(self.key_stats()), self.quotas())
    }

    /// Returns the statistics as [`stats`](KeyedCompositeLimiter::stats) does, and begins anew.
    pub fn take_stats(&self) -> Option<CompositeStats> {
        self.limits.recording().take_limits(|| Some(self.key_stats()), self.quotas())
    }

    /// Emits [`calls`](CompositeStats::calls) since the last emission, as
    /// [`RateLimiter::emit_stats`](crate::RateLimiter::emit_stats). No key is emitted.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub fn emit_stats(&self) {
        self.limits.recording().emit(|| Some(self.key_stats()));
    }

    fn key_stats(&self) -> KeyStats {
        let sum = |of: fn(&crate::table::Table) -> u64| {
            self.limits.limits().iter().map(|limit| of(&limit.limit.table)).sum::<u64>()
        };
        KeyStats::new(self.len() as u64, sum(|table| table.forgotten()), sum(|table| table.events(FullEvent::Evicted)))
    }
}

#[cfg(any(feature = "metrics", feature = "tracing"))]
impl<K: ?Sized, C: Clock, S> KeyedCompositeLimiter<K, C, S> {
    /// Emits the statistics as [`emit_stats`](KeyedCompositeLimiter::emit_stats) does, at most once in a `period`: as
    /// [`RateLimiter::emit_stats_every`](crate::RateLimiter::emit_stats_every).
    pub fn emit_stats_every(&self, period: Duration) -> bool {
        self.limits.recording().emit_every(period, self.clock(), || Some(self.key_stats()))
    }
}

//! The emission of statistics as metrics and as events.

use std::time::Duration;

use crate::clock::Clock;
use crate::limiter::state::RateLimiter;

impl<C> RateLimiter<C> {
    /// Emits the statistics since the last emission: adds them to the metrics below (feature `metrics`), and sends
    /// one event to the target `brimful` at level `INFO` (feature `tracing`). The only label is `policy`, the
    /// [name](crate::RateLimiterBuilder::name) of the policy: never a key. Without
    /// [statistics](crate::RateLimiterBuilder::stats) it does nothing.
    ///
    /// Calls emit nothing themselves, so they take no longer. Emissions take no counts from
    /// [`stats`](RateLimiter::stats) and [`take_stats`](RateLimiter::take_stats), and these take none from them. If
    /// two threads emit, each call is in one of the emissions.
    ///
    /// # Metrics
    ///
    /// | counter | meaning |
    /// |---|---|
    /// | `brimful_admitted_total`, `brimful_admitted_tokens_total` | admitted calls, and their tokens |
    /// | `brimful_denied_total`, `brimful_denied_tokens_total` | denied calls for any reason, and their tokens |
    /// | `brimful_rate_limited_total`, `brimful_exceeds_burst_total`, `brimful_table_full_total`, `brimful_too_late_total`, `brimful_queue_full_total`, `brimful_ended_total` | denied calls by reason |
    /// | `brimful_abandoned_total` | waits that were dropped |
    /// | `brimful_waited_total`, `brimful_wait_microseconds_total` | waits that were granted, and the sum of their times |
    /// | `brimful_refunds_total`, `brimful_refunded_tokens_total` | refunds, and their tokens |
    /// | `brimful_quota_changes_total`, `brimful_pauses_total` | changes of the quota, and pauses |
    /// | `brimful_forgotten_keys_total`, `brimful_evicted_keys_total` | keys that were forgotten; of keyed limiters |
    ///
    /// The gauges are `brimful_longest_wait_seconds`, since the last emission, and `brimful_keys`, the known keys.
    /// [`Stats`](crate::Stats) explains each number. Counters of tokens count whole tokens: a part of one is added
    /// when the rest of it was counted. The event has the fields of `Stats`.
    ///
    /// # Examples
    ///
    /// A task or a thread emits the statistics every ten seconds:
    ///
    /// ```no_run
    /// use brimful::{Quota, RateLimiter};
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// let limiter = RateLimiter::builder().quota(Quota::per_second(100)).name("uploads").stats().build()?;
    /// let limiter = Arc::new(limiter);
    /// let emitter = limiter.clone();
    /// std::thread::spawn(move || {
    ///     loop {
    ///         std::thread::sleep(Duration::from_secs(10)); // in a task: `tokio::time::sleep(..).await`
    ///         emitter.emit_stats();
    ///     }
    /// });
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn emit_stats(&self) {
        self.recording().emit(|| None);
    }
}

impl<C: Clock> RateLimiter<C> {
    /// Emits the statistics as [`emit_stats`](RateLimiter::emit_stats) does, if the last call that did so is at
    /// least `period` ago on the limiter's clock, and returns whether it did. The first call emits.
    ///
    /// No task is needed for this: call it where the program comes by often enough, for example in a health check.
    /// If it is not due, it reads the clock and loads one word.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::{MockClock, Quota, RateLimiter};
    /// use std::time::Duration;
    ///
    /// let period = Duration::from_secs(10);
    /// let limiter = RateLimiter::builder().quota(Quota::per_second(5)).clock(MockClock::new()).stats().build()?;
    /// assert!(limiter.emit_stats_every(period));
    /// assert!(!limiter.emit_stats_every(period));
    /// limiter.clock().advance(period);
    /// assert!(limiter.emit_stats_every(period));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn emit_stats_every(&self, period: Duration) -> bool {
        self.recording().emit_every(period, self.clock(), || None)
    }
}

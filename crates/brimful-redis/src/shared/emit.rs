//! The emission of statistics as metrics and as events.

use std::fmt;

use super::limiter::RedisRateLimiter;
use crate::engine::Store;

impl<K: fmt::Display + ?Sized, S: Store> RedisRateLimiter<K, S> {
    /// Emits the counts since the last emission: adds them to the metrics below (feature `metrics`), and sends one event to
    /// the target `brimful` at level `INFO` (feature `tracing`). The only label is `policy`, the
    /// [name](crate::RedisRateLimiterBuilder::name) of the policy: never a key.
    ///
    /// If two threads emit, each count is in one of the emissions. [`stats`](RedisRateLimiter::stats) takes nothing from
    /// them.
    ///
    /// # Metrics
    ///
    /// | counter | meaning |
    /// |---|---|
    /// | `brimful_shared_admitted_total`, `brimful_shared_denied_total` | decisions of the store |
    /// | `brimful_shared_admitted_by_policy_total`, `brimful_shared_denied_by_policy_total` | decisions that were not the store's |
    /// | `brimful_shared_requests_total`, `brimful_shared_failures_total` | requests to the store, and those that failed |
    /// | `brimful_shared_breaker_opened_total`, `brimful_shared_breaker_closed_total` | changes of the circuit breaker |
    /// | `brimful_shared_renewals_total` | requests that took a batch for a lease |
    /// | `brimful_shared_connections_total` | connections of the store: the first one, and those after a loss |
    ///
    /// [`SharedStats`](crate::SharedStats) explains each number. The event has its fields.
    ///
    /// # Events at once
    ///
    /// With the feature `tracing`, the target `brimful` also has an event when the breaker opens (`WARN`) and closes
    /// (`INFO`), and for each call that the policy decides (`DEBUG`), with the reason: `timeout`, `failure` or `breaker`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use brimful::Quota;
    /// use brimful_redis::{RedisRateLimiter, RedisStore};
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = RedisStore::connect("redis://127.0.0.1/").await?;
    /// let limiter = RedisRateLimiter::<str>::builder(Quota::per_second(100)).name("uploads").build(store)?;
    /// let limiter = Arc::new(limiter);
    /// let emitter = limiter.clone();
    /// tokio::spawn(async move {
    ///     loop {
    ///         tokio::time::sleep(Duration::from_secs(10)).await;
    ///         emitter.emit_stats();
    ///     }
    /// });
    /// # Ok(())
    /// # }
    /// ```
    pub fn emit_stats(&self) {
        self.requests.emit_stats();
    }
}

//! The emission of the statistics of all keys.

use std::time::Duration;

use super::limiter::KeyedRateLimiter;
use crate::clock::Clock;

impl<K: ?Sized, C, S> KeyedRateLimiter<K, C, S> {
    /// Emits the statistics of all keys since the last emission, as
    /// [`RateLimiter::emit_stats`](crate::RateLimiter::emit_stats). No key is emitted. Takes the lock of each stripe for
    /// a moment.
    pub fn emit_stats(&self) {
        self.buckets.stats.emit(|| Some(self.buckets.key_stats()));
    }
}

impl<K: ?Sized, C: Clock, S> KeyedRateLimiter<K, C, S> {
    /// Emits the statistics as [`emit_stats`](KeyedRateLimiter::emit_stats) does, at most once in a `period`: as
    /// [`RateLimiter::emit_stats_every`](crate::RateLimiter::emit_stats_every).
    pub fn emit_stats_every(&self, period: Duration) -> bool {
        let buckets = &self.buckets;
        buckets.stats.emit_every(period, buckets.clock(), || Some(buckets.key_stats()))
    }
}

//! Changing the quota of all keys, and pausing all keys.

use std::time::Duration;

use super::limiter::KeyedRateLimiter;
use crate::clock::Clock;
use crate::error::SetQuotaError;
use crate::quota::QuotaChange;

impl<K: ?Sized, C: Clock, S> KeyedRateLimiter<K, C, S> {
    /// Replaces the quota of all keys, as [`RateLimiter::set_quota`](crate::RateLimiter::set_quota) does for
    /// one bucket. The time that it takes does not depend on the number of keys: a key's bucket is carried over
    /// by the next call on it. It does depend on the number of keys that callers wait on, whose queues are notified
    /// one after the other.
    ///
    /// A key that is not used while four resets, proportional changes or higher bursts are made is carried over
    /// exactly. If there are more, the oldest do not count for it: it may then hold more than it would have
    /// otherwise, but never more than its burst.
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::set_quota`](crate::RateLimiter::set_quota); a higher burst takes as many of the 18 years
    /// as a reset does.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::{KeyedRateLimiter, MockClock, Quota, QuotaChange};
    ///
    /// let clients = KeyedRateLimiter::<str, _>::with_clock(Quota::per_minute(100), MockClock::new());
    /// assert!(clients.try_acquire_n("alice", 40).is_ok());
    /// clients.set_quota(QuotaChange::proportional(Quota::per_minute(10)))?;
    /// assert_eq!(clients.key("alice").available_tokens(), 6.0);
    /// assert_eq!(clients.key("bob").available_tokens(), 10.0);
    /// # Ok::<(), brimful::SetQuotaError>(())
    /// ```
    pub fn set_quota(&self, change: impl Into<QuotaChange>) -> Result<(), SetQuotaError> {
        self.buckets.table.change_quota(change.into(), self.live())?;
        self.buckets.stats.changed();
        Ok(())
    }

    /// Admits nothing, on any key, for `duration`. As
    /// [`RateLimiter::pause_for`](crate::RateLimiter::pause_for).
    pub fn pause_for(&self, duration: Duration) {
        self.buckets.table.pause(duration, self.live());
        self.buckets.stats.paused();
    }
}

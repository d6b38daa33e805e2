//! Changing a quota of several, and pausing.

use std::time::Duration;

use super::holder::Holder;
use super::keyed::KeyedCompositeLimiter;
use super::limiter::CompositeLimiter;
use super::queued::Effect;
use crate::cell::TimeSource;
use crate::clock::Clock;
use crate::error::{LimitName, SetQuotaError, SetQuotaErrorKind};
use crate::quota::{Quota, QuotaChange, Quotas};

/// Returns the position of the limit with this name.
fn position(quotas: &Quotas, limit: &str) -> Result<usize, SetQuotaError> {
    let position = quotas.iter().position(|(name, _)| name == limit);
    position.ok_or_else(|| SetQuotaError(SetQuotaErrorKind::NoSuchLimit(LimitName::new(limit))))
}

impl<C: Clock> CompositeLimiter<C> {
    /// Returns the current quota of the limit with this name.
    #[must_use]
    pub fn quota(&self, limit: &str) -> Option<Quota> {
        Some(self.limits.limits()[position(self.quotas(), limit).ok()?].limit.quota())
    }

    /// Replaces the quota of the limit with this name, as
    /// [`RateLimiter::set_quota`](crate::RateLimiter::set_quota) does. A limit can have any quota up to its first
    /// one, or up to that of [`up_to`](crate::CompositeLimiterBuilder::up_to). Its name stays the same, also if it is
    /// its first quota in text.
    ///
    /// # Errors
    ///
    /// If no limit has this name, and as [`RateLimiter::set_quota`](crate::RateLimiter::set_quota).
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::{CompositeLimiter, MockClock, Quota};
    ///
    /// let quotas = "burst: 100/s; daily: 50000/day".parse()?;
    /// let limiter = CompositeLimiter::with_clock(quotas, MockClock::new());
    /// limiter.set_quota("daily", Quota::per_day(10_000))?;
    /// assert_eq!(limiter.quota("daily"), Some(Quota::per_day(10_000)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_quota(&self, limit: &str, change: impl Into<QuotaChange>) -> Result<(), SetQuotaError> {
        let position = position(self.quotas(), limit)?;
        self.limits.limits()[position].limit.set_quota(change)?;
        self.limits.recording().changed();
        Holder::Single(&self.limits).changed(Effect::Requoted);
        Ok(())
    }

    /// Admits nothing for `duration`, as [`RateLimiter::pause_for`](crate::RateLimiter::pause_for) does.
    pub fn pause_for(&self, duration: Duration) {
        self.limits.limits().iter().for_each(|limit| limit.limit.pause_for(duration));
        self.limits.recording().paused();
        Holder::Single(&self.limits).changed(Effect::Later);
    }
}

impl<K: ?Sized, C: Clock, S> KeyedCompositeLimiter<K, C, S> {
    /// Returns the current quota of the limit with this name.
    #[must_use]
    pub fn quota(&self, limit: &str) -> Option<Quota> {
        Some(self.limits.limits()[position(self.quotas(), limit).ok()?].limit.quota())
    }

    /// Replaces the quota of the limit with this name, on all keys, as
    /// [`KeyedRateLimiter::set_quota`](crate::KeyedRateLimiter::set_quota) does.
    ///
    /// # Errors
    ///
    /// If no limit has this name, and as [`KeyedRateLimiter::set_quota`](crate::KeyedRateLimiter::set_quota).
    pub fn set_quota(&self, limit: &str, change: impl Into<QuotaChange>) -> Result<(), SetQuotaError> {
        let position = position(self.quotas(), limit)?;
        let buckets = &self.limits.limits()[position].limit;
        buckets.table.change_quota(change.into(), TimeSource::clock(buckets.clock()))?;
        self.limits.recording().changed();
        self.limits.changed(Effect::Requoted);
        Ok(())
    }

    /// Admits nothing, on any key, for `duration`. As [`RateLimiter::pause_for`](crate::RateLimiter::pause_for).
    pub fn pause_for(&self, duration: Duration) {
        for limit in self.limits.limits() {
            limit.limit.table.pause(duration, TimeSource::clock(limit.limit.clock()));
        }
        self.limits.recording().paused();
        self.limits.changed(Effect::Later);
    }
}

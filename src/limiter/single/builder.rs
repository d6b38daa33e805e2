//! [`RateLimiterBuilder`].

use core::fmt;
use std::borrow::Cow;

use crate::clock::{Clock, QuantaClock, Timer};
use crate::error::{BuildError, BuildErrorKind};
use crate::limiter::state::{BACKGROUND, MAX_WAITERS, RateLimiter};
use crate::queue::TimerFactory;
use crate::quota::Quota;
use crate::stats::StatsOptions;

/// A builder of a [`RateLimiter`]. Only [`quota`](Self::quota) is required.
///
/// # Examples
///
/// ```
/// use brimful::{MockClock, Quota, RateLimiter};
///
/// let limiter = RateLimiter::builder()
///     .quota(Quota::per_second(10).initial(0))
///     .clock(MockClock::new())
///     .build()?;
/// assert!(!limiter.allow());
/// # Ok::<(), brimful::BuildError>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct RateLimiterBuilder<C = QuantaClock> {
    quota: Option<Quota>,
    highest: Option<Quota>,
    clock: C,
    background: u8,
    max_waiters: Option<u32>,
    timer: Option<TimerFactory>,
    stats: StatsOptions,
}

impl RateLimiter {
    /// Returns a builder, with the process's clock by default.
    pub const fn builder() -> RateLimiterBuilder {
        RateLimiterBuilder {
            quota: None,
            highest: None,
            clock: QuantaClock,
            background: BACKGROUND,
            max_waiters: None,
            timer: None,
            stats: StatsOptions::OFF,
        }
    }
}

impl<C: Clock> RateLimiterBuilder<C> {
    /// Sets the quota. Required.
    pub fn quota(self, quota: Quota) -> Self {
        RateLimiterBuilder { quota: Some(quota), ..self }
    }

    /// Sets the highest quota that [`set_quota`](RateLimiter::set_quota) may set: by default the quota. Its
    /// rate, its burst and its debt limit are the highest; its initial amount does not matter.
    ///
    /// The limiter counts in the units of its highest quota, and in a time that runs slower at lower
    /// rates. So name no higher quota than is needed: at a thousandth of the highest rate, a second call
    /// for all of the rest may be refused for up to a thousand nanoseconds (at a rate that is rounded,
    /// 2.5 times that) after a call on a full bucket.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::{Quota, RateLimiter};
    ///
    /// let limiter = RateLimiter::builder().quota(Quota::per_second(10)).up_to(Quota::per_second(100)).build()?;
    /// limiter.set_quota(Quota::per_second(50))?;
    /// assert!(limiter.set_quota(Quota::per_second(200)).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn up_to(self, highest: Quota) -> Self {
        RateLimiterBuilder { highest: Some(highest), ..self }
    }

    /// Sets the clock that the limiter reads.
    pub fn clock<D: Clock>(self, clock: D) -> RateLimiterBuilder<D> {
        let RateLimiterBuilder { quota, highest, background, max_waiters, timer, stats, .. } = self;
        RateLimiterBuilder { quota, highest, clock, background, max_waiters, timer, stats }
    }

    /// Sets the tokens that [`background`](RateLimiter::background) work leaves in the bucket, in
    /// percent of the burst: 20 by default. At 100 or more, such work takes nothing.
    pub fn background_leaves(self, percent: u8) -> Self {
        RateLimiterBuilder { background: percent, ..self }
    }

    /// Sets the most waiters at a time: 1 048 576 by default. Further calls are refused with
    /// [`AcquireError::QueueFull`](crate::AcquireError::QueueFull). A waiter takes about 60 bytes
    /// besides its own future.
    pub fn max_waiters(self, most: usize) -> Self {
        RateLimiterBuilder { max_waiters: Some(u32::try_from(most).unwrap_or(u32::MAX)), ..self }
    }

    /// Sets the timer that wakes waiters. `make` is called at the first wait, and again after a timer
    /// panicked. By default, the clock's own timer is used if it has one, and the
    /// [default timer](Timer) if not.
    pub fn timer<T: Timer + 'static>(self, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        RateLimiterBuilder { timer: Some(TimerFactory::new(make)), ..self }
    }

    /// Makes the limiter count its calls, for [`RateLimiter::stats`]. By default it does not. The counters take
    /// about four kilobytes; a call raises one or two of them, which threads do not share unless there are more
    /// than eight.
    pub fn stats(self) -> Self {
        RateLimiterBuilder { stats: self.stats.on(), ..self }
    }

    /// Sets the name of the policy: the only label of the statistics that `emit_stats` emits, with the features
    /// `metrics` and `tracing`. By default it is the text of the quota. Limiters of one name are added up.
    pub fn name(self, name: impl Into<Cow<'static, str>>) -> Self {
        RateLimiterBuilder { stats: self.stats.named(name.into()), ..self }
    }

    /// Returns the limiter. Its bucket starts now.
    ///
    /// # Errors
    ///
    /// If no quota was given, or if it is above the highest.
    pub fn build(self) -> Result<RateLimiter<C>, BuildError> {
        let quota = self.quota.ok_or(BuildError(BuildErrorKind::NoQuota))?;
        let mut limiter = match self.highest.filter(|highest| *highest != quota) {
            None => RateLimiter::with_clock(quota, self.clock),
            Some(highest) => RateLimiter::with_highest(highest, quota, self.clock)
                .map_err(|above| BuildError(BuildErrorKind::AboveHighest(above)))?,
        };
        limiter.background = self.background;
        let limiter = match (self.max_waiters, self.timer) {
            (None, None) => limiter,
            (most, timer) => limiter.with_queue(most.unwrap_or(MAX_WAITERS), timer),
        };
        Ok(limiter.with_stats(&self.stats))
    }
}

impl<C> fmt::Debug for RateLimiterBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiterBuilder")
            .field("quota", &self.quota.map(|quota| quota.to_string()))
            .finish_non_exhaustive()
    }
}

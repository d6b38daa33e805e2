//! [`CompositeLimiterBuilder`].

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::highest::HighestQuotas;
use super::holder::SingleLimits;
use super::limiter::CompositeLimiter;
use crate::clock::{Clock, QuantaClock, Timer};
use crate::error::{BuildError, BuildErrorKind};
use crate::limiter::{BACKGROUND, RateLimiter};
use crate::queue::{TimerFactory, WaitConfig};
use crate::quota::{Quota, Quotas};
use crate::stats::{Recording, StatsOptions};

/// A builder of a [`CompositeLimiter`]. Only [`quotas`](Self::quotas) is required.
///
/// # Examples
///
/// ```
/// use brimful::{CompositeLimiter, MockClock};
///
/// let limiter = CompositeLimiter::builder()
///     .quotas("10/s; 1000/h".parse()?)
///     .background_leaves(50)
///     .clock(MockClock::new())
///     .build()?;
/// assert!(limiter.background().try_acquire_n(6).is_err() && limiter.background().try_acquire_n(5).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct CompositeLimiterBuilder<C = QuantaClock> {
    quotas: Option<Quotas>,
    highest: HighestQuotas,
    clock: C,
    background: u8,
    max_waiters: Option<u32>,
    timer: Option<TimerFactory>,
    stats: StatsOptions,
}

impl CompositeLimiter {
    /// Returns a builder, with the process's clock by default.
    pub const fn builder() -> CompositeLimiterBuilder {
        CompositeLimiterBuilder {
            quotas: None,
            highest: HighestQuotas::NONE,
            clock: QuantaClock,
            background: BACKGROUND,
            max_waiters: None,
            timer: None,
            stats: StatsOptions::OFF,
        }
    }
}

impl<C: Clock> CompositeLimiterBuilder<C> {
    /// Sets the quotas. Required.
    pub fn quotas(self, quotas: Quotas) -> Self {
        CompositeLimiterBuilder { quotas: Some(quotas), ..self }
    }

    /// Sets the highest quota that [`set_quota`](CompositeLimiter::set_quota) may set for the limit with this name: by
    /// default its first one. If a limit is named twice, the last quota counts. See
    /// [`RateLimiterBuilder::up_to`](crate::RateLimiterBuilder::up_to).
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::{CompositeLimiter, Quota};
    ///
    /// let builder = CompositeLimiter::builder().quotas("burst: 10/s; daily: 5000/day".parse()?);
    /// let limiter = builder.up_to("burst", Quota::per_second(100)).build()?;
    /// limiter.set_quota("burst", Quota::per_second(50))?;
    /// assert!(limiter.set_quota("burst", Quota::per_second(200)).is_err());
    /// assert!(limiter.set_quota("daily", Quota::per_day(5001)).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn up_to(self, limit: &str, highest: Quota) -> Self {
        CompositeLimiterBuilder { highest: self.highest.with(limit, highest), ..self }
    }

    /// Sets the clock that the limiter reads.
    pub fn clock<D: Clock>(self, clock: D) -> CompositeLimiterBuilder<D> {
        let CompositeLimiterBuilder { quotas, highest, background, max_waiters, timer, stats, .. } = self;
        CompositeLimiterBuilder { quotas, highest, clock, background, max_waiters, timer, stats }
    }

    /// Sets the tokens that [`background`](CompositeLimiter::background) work leaves in each bucket, in percent
    /// of its burst: 20 by default. At 100 or more, such work takes nothing.
    pub fn background_leaves(self, percent: u8) -> Self {
        CompositeLimiterBuilder { background: percent, ..self }
    }

    /// Sets the most waiters at a time: 1 048 576 by default. Further calls are refused with
    /// [`AcquireError::QueueFull`](crate::AcquireError::QueueFull). A waiter takes about 250 bytes besides its own
    /// future.
    pub fn max_waiters(self, most: usize) -> Self {
        CompositeLimiterBuilder { max_waiters: Some(u32::try_from(most).unwrap_or(u32::MAX)), ..self }
    }

    /// As [`RateLimiterBuilder::timer`](crate::RateLimiterBuilder::timer).
    pub fn timer<T: Timer + 'static>(self, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        CompositeLimiterBuilder { timer: Some(TimerFactory::new(make)), ..self }
    }

    /// Makes the limiter count its calls, for [`CompositeLimiter::stats`]: each once, and the refusals of each limit. By
    /// default it does not. As for [`RateLimiterBuilder::stats`](crate::RateLimiterBuilder::stats).
    pub fn stats(self) -> Self {
        CompositeLimiterBuilder { stats: self.stats.on(), ..self }
    }

    /// Sets the name of the policy, as [`RateLimiterBuilder::name`](crate::RateLimiterBuilder::name). By default it is
    /// the text of the quotas.
    pub fn name(self, name: impl Into<Cow<'static, str>>) -> Self {
        CompositeLimiterBuilder { stats: self.stats.named(name.into()), ..self }
    }

    /// Returns the limiter. Its buckets start now.
    ///
    /// # Errors
    ///
    /// If no quotas were given, or if [`up_to`](Self::up_to) names a limit that there is not, or a quota below the
    /// first one.
    pub fn build(self) -> Result<CompositeLimiter<C>, BuildError> {
        let quotas = self.quotas.ok_or(BuildError(BuildErrorKind::NoQuota))?;
        let clock = Arc::new(self.clock);
        let limiter = |quota, highest| {
            let builder = RateLimiter::builder().quota(quota).up_to(highest).clock(clock.clone());
            builder.background_leaves(self.background).build()
        };
        let limits = self.highest.limits(&quotas, limiter)?;
        let limits = SingleLimits::new(limits, WaitConfig::new(self.max_waiters, self.timer));
        let limits = limits.with_stats(Recording::new(&self.stats, &quotas));
        Ok(CompositeLimiter::from_parts(limits, quotas, clock))
    }
}

impl<C> fmt::Debug for CompositeLimiterBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompositeLimiterBuilder").field("quotas", &self.quotas).finish_non_exhaustive()
    }
}

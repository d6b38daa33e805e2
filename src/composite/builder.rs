//! [`CompositeLimiterBuilder`].

use std::fmt;

use super::limiter::CompositeLimiter;
use crate::clock::{Clock, QuantaClock, Timer};
use crate::error::{BuildError, BuildErrorKind};
use crate::limiter::BACKGROUND;
use crate::queue::{TimerFactory, WaitConfig};
use crate::quota::Quotas;

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
    clock: C,
    background: u8,
    max_waiters: Option<u32>,
    timer: Option<TimerFactory>,
}

impl CompositeLimiter {
    /// Returns a builder, with the process's clock by default.
    pub const fn builder() -> CompositeLimiterBuilder {
        let (quotas, clock, background, max_waiters, timer) = (None, QuantaClock, BACKGROUND, None, None);
        CompositeLimiterBuilder { quotas, clock, background, max_waiters, timer }
    }
}

impl<C: Clock> CompositeLimiterBuilder<C> {
    /// Sets the quotas. Required.
    pub fn quotas(self, quotas: Quotas) -> Self {
        CompositeLimiterBuilder { quotas: Some(quotas), ..self }
    }

    /// Sets the clock that the limiter reads.
    pub fn clock<D: Clock>(self, clock: D) -> CompositeLimiterBuilder<D> {
        let CompositeLimiterBuilder { quotas, background, max_waiters, timer, .. } = self;
        CompositeLimiterBuilder { quotas, clock, background, max_waiters, timer }
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

    /// Returns the limiter. Its buckets start now.
    ///
    /// # Errors
    ///
    /// If no quotas were given.
    pub fn build(self) -> Result<CompositeLimiter<C>, BuildError> {
        let quotas = self.quotas.ok_or(BuildError(BuildErrorKind::NoQuota))?;
        Ok(CompositeLimiter::from_parts(
            quotas,
            self.clock,
            self.background,
            WaitConfig::new(self.max_waiters, self.timer),
        ))
    }
}

impl<C> fmt::Debug for CompositeLimiterBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompositeLimiterBuilder").field("quotas", &self.quotas).finish_non_exhaustive()
    }
}

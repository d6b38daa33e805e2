//! [`RateLimiterBuilder`].

use core::fmt;

use super::RateLimiter;
use super::leaving::BACKGROUND;
#[cfg(feature = "wait")]
use super::waiters::MAX_WAITERS;
#[cfg(feature = "wait")]
use crate::clock::Timer;
use crate::clock::{Clock, QuantaClock};
use crate::error::{BuildError, BuildErrorKind};
use crate::quota::Quota;
#[cfg(feature = "wait")]
use crate::wait::MakeTimer;

/// Builds a [`RateLimiter`] from parts.
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
    clock: C,
    background: u8,
    #[cfg(feature = "wait")]
    waiters: Terms,
}

/// On what terms one may wait.
#[cfg(feature = "wait")]
#[derive(Clone)]
struct Terms {
    most: Option<u32>,
    timer: Option<MakeTimer>,
}

impl RateLimiter {
    /// A builder, on the process's clock unless told otherwise.
    pub const fn builder() -> RateLimiterBuilder {
        RateLimiterBuilder {
            quota: None,
            clock: QuantaClock,
            background: BACKGROUND,
            #[cfg(feature = "wait")]
            waiters: Terms { most: None, timer: None },
        }
    }
}

impl<C: Clock> RateLimiterBuilder<C> {
    /// What the limiter holds to. Required.
    pub fn quota(self, quota: Quota) -> Self {
        RateLimiterBuilder { quota: Some(quota), ..self }
    }

    /// The clock that the limiter reads.
    pub fn clock<D: Clock>(self, clock: D) -> RateLimiterBuilder<D> {
        RateLimiterBuilder {
            clock,
            quota: self.quota,
            background: self.background,
            #[cfg(feature = "wait")]
            waiters: self.waiters,
        }
    }

    /// What [`background`](RateLimiter::background) work leaves in the bucket, in percent of the
    /// burst: a fifth without this. At 100 or more, it takes nothing.
    pub fn background_leaves(self, percent: u8) -> Self {
        RateLimiterBuilder { background: percent, ..self }
    }

    /// The most who may wait at a time, 1 048 576 without this; more are refused with
    /// [`AcquireError::QueueFull`](crate::AcquireError::QueueFull). Each takes about 60 bytes beside
    /// its own future.
    #[cfg(feature = "wait")]
    pub fn max_waiters(self, most: u32) -> Self {
        RateLimiterBuilder { waiters: Terms { most: Some(most), ..self.waiters }, ..self }
    }

    /// What wakes those who wait: is called for the first of them, and again where a timer
    /// panicked. Without this the clock's own timer, if it has one, or one of async-io's.
    #[cfg(feature = "wait")]
    pub fn timer<T: Timer + 'static>(self, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        let timer = Some(MakeTimer::new(make));
        RateLimiterBuilder { waiters: Terms { timer, ..self.waiters }, ..self }
    }

    /// The limiter. Its bucket starts now.
    ///
    /// # Errors
    ///
    /// Where no quota was given.
    pub fn build(self) -> Result<RateLimiter<C>, BuildError> {
        let quota = self.quota.ok_or(BuildError(BuildErrorKind::NoQuota))?;
        let limiter = RateLimiter { background: self.background, ..RateLimiter::with_clock(quota, self.clock) };
        #[cfg(feature = "wait")]
        let limiter = match self.waiters {
            Terms { most: None, timer: None } => limiter,
            Terms { most, timer } => limiter.with_waiters(most.unwrap_or(MAX_WAITERS), timer),
        };
        Ok(limiter)
    }
}

impl<C> fmt::Debug for RateLimiterBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiterBuilder")
            .field("quota", &self.quota.map(|quota| quota.to_string()))
            .finish_non_exhaustive()
    }
}

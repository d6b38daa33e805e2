//! [`RateLimiterBuilder`].

use super::RateLimiter;
use crate::clock::{Clock, QuantaClock};
use crate::error::{BuildError, BuildErrorKind};
use crate::quota::Quota;

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
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct RateLimiterBuilder<C = QuantaClock> {
    quota: Option<Quota>,
    clock: C,
}

impl RateLimiter {
    /// A builder, on the process's clock unless told otherwise.
    pub const fn builder() -> RateLimiterBuilder {
        RateLimiterBuilder { quota: None, clock: QuantaClock }
    }
}

impl<C: Clock> RateLimiterBuilder<C> {
    /// What the limiter holds to. Required.
    pub fn quota(self, quota: Quota) -> Self {
        RateLimiterBuilder { quota: Some(quota), ..self }
    }

    /// The clock that the limiter reads.
    pub fn clock<D: Clock>(self, clock: D) -> RateLimiterBuilder<D> {
        RateLimiterBuilder { quota: self.quota, clock }
    }

    /// The limiter. Its bucket starts now.
    ///
    /// # Errors
    ///
    /// Where no quota was given.
    pub fn build(self) -> Result<RateLimiter<C>, BuildError> {
        let quota = self.quota.ok_or(BuildError(BuildErrorKind::NoQuota))?;
        Ok(RateLimiter::with_clock(quota, self.clock))
    }
}

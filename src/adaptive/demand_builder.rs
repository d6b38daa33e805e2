//! [`DemandLimitBuilder`].

use std::time::Duration;

use super::demand::DemandLimit;
use super::demand_policy::DemandPolicy;
use crate::clock::{Clock, QuantaClock};
use crate::error::{BuildError, BuildErrorKind};
use crate::limiter::RateLimiter;
use crate::quota::Quota;

/// A builder of a [`DemandLimit`]. Every number has a default.
///
/// # Examples
///
/// ```
/// use brimful::adaptive::DemandLimit;
/// use std::time::Duration;
///
/// let limit = DemandLimit::builder()
///     .period(Duration::from_secs(60))
///     .initial_refill(100)
///     .max_refill(1_000)
///     .max_burst(1_000)
///     .build()?;
/// assert_eq!(limit.limiter().quota().to_string(), "100/min burst 200");
/// # Ok::<(), brimful::BuildError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct DemandLimitBuilder<C = QuantaClock> {
    policy: DemandPolicy,
    clock: C,
}

impl DemandLimit {
    /// Returns a builder, with the default numbers and the process's clock.
    pub const fn builder() -> DemandLimitBuilder {
        let policy = DemandPolicy {
            period: Duration::from_secs(1),
            initial: 5,
            max_refill: 10,
            weight: 50,
            burst_periods: 2,
            max_burst: 20,
        };
        DemandLimitBuilder { policy, clock: QuantaClock }
    }
}

impl<C: Clock> DemandLimitBuilder<C> {
    /// Sets the period after which the refill follows the requests, and in which it is earned: a second by
    /// default.
    pub fn period(self, period: Duration) -> Self {
        self.with(|policy| policy.period = period)
    }

    /// Sets the tokens that are earned in the first period: 5 by default.
    pub fn initial_refill(self, tokens: u32) -> Self {
        self.with(|policy| policy.initial = tokens)
    }

    /// Sets the most tokens that are earned in a period: 10 by default.
    pub fn max_refill(self, tokens: u32) -> Self {
        self.with(|policy| policy.max_refill = tokens)
    }

    /// Sets the share of the last period's requests in the next refill, in percent: 50 by default. The rest is
    /// the share of the current refill. More than 100 counts as 100.
    pub fn weight(self, percent: u8) -> Self {
        self.with(|policy| policy.weight = percent)
    }

    /// Sets the burst, as a number of periods whose refill it is: 2 by default.
    pub fn burst_periods(self, periods: u32) -> Self {
        self.with(|policy| policy.burst_periods = periods)
    }

    /// Sets the highest burst: 20 tokens by default.
    pub fn max_burst(self, tokens: u32) -> Self {
        self.with(|policy| policy.max_burst = tokens)
    }

    /// Sets the clock that the limit reads.
    pub fn clock<D: Clock>(self, clock: D) -> DemandLimitBuilder<D> {
        DemandLimitBuilder { policy: self.policy, clock }
    }

    fn with(mut self, set: impl FnOnce(&mut DemandPolicy)) -> Self {
        set(&mut self.policy);
        self
    }

    /// Returns the limit. Its first period starts now.
    ///
    /// # Errors
    ///
    /// If the period or a number of tokens is zero, if a rate is out of the range of quotas, or if the first
    /// refill is above the highest.
    pub fn build(self) -> Result<DemandLimit<C>, BuildError> {
        let policy = self.policy;
        let valid = |tokens: u32, burst: u32| {
            Quota::try_new(tokens.into(), policy.period)
                .and_then(|quota| quota.try_burst(burst))
                .map_err(|error| BuildError(BuildErrorKind::Quota(error.message())))
        };
        let highest = valid(policy.max_refill, policy.max_burst)?;
        // Every refill between the two is valid as well.
        valid(1, policy.max_burst.min(policy.burst_periods))?;
        valid(policy.initial, policy.max_burst)?;
        let limiter = RateLimiter::builder().quota(policy.quota(policy.initial)).up_to(highest).clock(self.clock);
        Ok(DemandLimit::new(limiter.build()?, policy))
    }
}

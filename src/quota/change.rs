//! [`QuotaChange`]: a new quota, and its effect on the tokens that are there.

use super::value::Quota;

/// A new quota for `set_quota`, and its effect on the tokens and the debt that a bucket has.
///
/// A [`Quota`] converts into the change that [keeps](QuotaChange::keep) them.
///
/// # Examples
///
/// ```
/// use brimful::{MockClock, Quota, QuotaChange, RateLimiter};
///
/// let hundred = Quota::per_second(100);
/// let limiter = RateLimiter::with_clock(hundred, MockClock::new());
/// assert!(limiter.try_acquire_n(20).is_ok());
/// limiter.set_quota(QuotaChange::proportional(hundred.burst(50)))?;
/// assert_eq!(limiter.available_tokens(), 40.0); // still four fifths
/// limiter.set_quota(Quota::per_second(10))?; // keep
/// assert_eq!(limiter.available_tokens(), 10.0); // clipped at the burst
/// limiter.set_quota(QuotaChange::reset(hundred))?;
/// assert_eq!(limiter.available_tokens(), 100.0);
/// # Ok::<(), brimful::SetQuotaError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaChange {
    pub(crate) quota: Quota,
    pub(crate) carry: CarryOver,
}

/// The effect of a change on the tokens that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CarryOver {
    Keep,
    Proportional,
    Reset,
}

impl QuotaChange {
    /// Keeps the tokens and the debt of each bucket, clipped at the new burst.
    #[must_use]
    pub const fn keep(quota: Quota) -> Self {
        QuotaChange { quota, carry: CarryOver::Keep }
    }

    /// Scales the tokens of each bucket by the new burst over the old one: a bucket that is half full
    /// stays half full. Rounded down to a unit; a debt is scaled too, at most to the debt limit of the
    /// limiter's highest quota.
    #[must_use]
    pub const fn proportional(quota: Quota) -> Self {
        QuotaChange { quota, carry: CarryOver::Proportional }
    }

    /// Fills each bucket, and forgets its debt.
    #[must_use]
    pub const fn reset(quota: Quota) -> Self {
        QuotaChange { quota, carry: CarryOver::Reset }
    }

    /// Returns the new quota.
    #[must_use]
    pub const fn quota(&self) -> Quota {
        self.quota
    }
}

/// Keeps the tokens and the debt of each bucket.
impl From<Quota> for QuotaChange {
    fn from(quota: Quota) -> Self {
        QuotaChange::keep(quota)
    }
}

//! Changing a limiter's quota, and pausing a limiter.

use std::time::Duration;

use crate::clock::Clock;
use crate::error::SetQuotaError;
use crate::limiter::state::RateLimiter;
use crate::quota::QuotaChange;

impl<C: Clock> RateLimiter<C> {
    /// Replaces the quota, while other threads take and wait. The tokens and the debt that are there are
    /// kept, clipped at the new burst, or scaled or reset as a [`QuotaChange`] says.
    ///
    /// Calls that begin after this returns are decided by the new quota. The old and the new one both count
    /// only for calls that overlap this call. In a window with changes, the [window
    /// bound](crate#guarantees) is the burst at its start, and the integral of the rate. A window that begins during
    /// a change counts from the change's begin. A reset, or a proportional change to a higher burst, adds
    /// tokens to that.
    ///
    /// Waiters are notified at once: those that would be too late now are refused with
    /// [`TooLate`](crate::AcquireError::TooLate), those that need more than the new burst with
    /// [`ExceedsBurst`](crate::AcquireError::ExceedsBurst), and the others are served at the new rate. Calls
    /// take longer after the first change.
    ///
    /// Amounts are counted in the units of the highest quota that the limiter may have
    /// ([`up_to`](crate::RateLimiterBuilder::up_to)): the new burst and debt limit are rounded down to that
    /// unit. A change loses less than four units, and less than one if it keeps the tokens and does not raise the burst.
    /// A bucket that is not started starts now.
    ///
    /// # Errors
    ///
    /// If the rate, the burst or the debt limit is above that of the highest quota, or if the burst is
    /// below the limiter's resolution. An [unlimited](RateLimiter::unlimited) limiter stays unlimited.
    /// Each reset and each proportional change takes some of the limiter's 18 years: at least a millisecond, and up
    /// to sixteen times as long as the highest burst and the greatest debt together take to refill. After half of
    /// the years are taken, they are errors, and changes that keep the tokens are not. So a limiter that takes more
    /// than half a year to fill and to pay its debt may refuse the first of them. The quota is the old one after an error.
    ///
    /// # Blocking
    ///
    /// Takes the lock of the queue, for as long as it takes to look at each waiter. Calls that do not wait
    /// are not blocked.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::{MockClock, Quota, RateLimiter};
    /// use std::time::Duration;
    ///
    /// let clock = MockClock::new();
    /// let limiter = RateLimiter::with_clock(Quota::per_second(100), clock.clone());
    /// limiter.set_quota(Quota::per_second(10).burst(20))?;
    /// assert!(limiter.try_acquire_n(20).is_ok());
    /// clock.advance(Duration::from_millis(500));
    /// assert_eq!(limiter.available_tokens(), 5.0);
    /// assert_eq!(limiter.quota(), Quota::per_second(10).burst(20));
    /// # Ok::<(), brimful::SetQuotaError>(())
    /// ```
    pub fn set_quota(&self, change: impl Into<QuotaChange>) -> Result<(), SetQuotaError> {
        self.change_quota(change.into())?;
        self.recording().changed();
        Ok(())
    }

    /// Admits nothing for `duration`: for a server that said when to retry. The bucket is refilled
    /// meanwhile. A pause that ends before an earlier one changes nothing.
    ///
    /// Waiters whose deadline is before the end of the pause are refused at once. An
    /// [unlimited](RateLimiter::unlimited) limiter is not paused.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::{MockClock, Quota, RateLimiter};
    /// use std::time::Duration;
    ///
    /// let clock = MockClock::new();
    /// let limiter = RateLimiter::with_clock(Quota::per_second(100), clock.clone());
    /// limiter.pause_for(Duration::from_secs(3)); // Retry-After: 3
    /// let refused = limiter.try_acquire().unwrap_err();
    /// assert_eq!(refused.retry_after(), Some(Duration::from_secs(3)));
    /// clock.advance(Duration::from_secs(3));
    /// assert!(limiter.allow());
    /// ```
    pub fn pause_for(&self, duration: Duration) {
        self.pause(duration);
    }
}

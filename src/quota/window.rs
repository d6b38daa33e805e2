//! Quotas that admit at most a number of tokens in any window of a length: their rate and their burst.
//!
//! A bucket with the burst b and the rate r admits at most `b + r × (w − 1 ns)` in a window [a, a + w):
//! readings are whole nanoseconds, so the last reading in the window is at most w − 1 ns after a. Costs
//! of whole tokens have a whole sum, so the sum is at most n if the bound is below n + 1. With
//! `r = (n + 1 − b) / w` the bound is `n + 1 − r × 1 ns`.
//! [`internals::word`](crate::internals::word#proof-strict-windows) has the proof, with all roundings.

use core::time::Duration;

use super::rate::Rate;
use super::value::Quota;
use crate::error::{QuotaError, QuotaErrorKind};
use crate::tokens::Tokens;

/// At most `most` tokens in any window of `nanos` nanoseconds.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) most: u64,
    pub(super) nanos: u128,
}

impl Window {
    /// Returns half of the tokens, rounded up.
    pub(super) const fn default_burst(self) -> Tokens {
        let half = self.most.div_ceil(2);
        Tokens::new(if half > u32::MAX as u64 { u32::MAX } else { half as u32 })
    }

    /// Returns the highest rate that keeps to the window with this burst.
    pub(super) const fn rate(self, burst: Tokens) -> Result<Rate, QuotaError> {
        if self.most == 0 {
            return Err(QuotaError(QuotaErrorKind::ZeroTokens));
        }
        if burst.is_zero() {
            return Err(QuotaError(QuotaErrorKind::ZeroBurst));
        }
        if burst.pico() != 0 {
            return Err(QuotaError(QuotaErrorKind::BurstNotWhole { burst }));
        }
        if burst.whole() as u64 > self.most {
            return Err(QuotaError(QuotaErrorKind::BurstAboveWindow { burst }));
        }
        match Rate::new(self.most - (burst.whole() as u64 - 1), self.nanos) {
            // The rate of the whole window is too fast all the more, and its number was given.
            Err(QuotaError(QuotaErrorKind::TooFast { period, .. })) => {
                Err(QuotaError(QuotaErrorKind::TooFast { tokens: self.most, period }))
            }
            rate => rate,
        }
    }
}

impl Quota {
    /// Returns a quota that admits at most `n` tokens in any window of the length `window`.
    ///
    /// A quota of `n` per period is another thing: [`Quota::per_minute(100)`](Quota::per_minute) admits
    /// a burst of 100 at once and earns 100 more in the same minute, so nearly 200 in its first minute.
    /// Use `at_most` if the limit counts the calls of a window, as the limits of most servers do.
    ///
    /// A window [a, a + `window`) includes its first instant and not its last, so two calls that are
    /// exactly `window` apart are never in one window. Of the calls whose clock reading is in the
    /// window, at most `n` tokens are admitted, less the tokens that are given back meanwhile, for
    /// any a, any threads and any errors of the clock: it is the [window bound](crate#guarantees) in
    /// whole tokens. The count is exact for costs of whole tokens. If costs have fractions, less
    /// than `n + 1` tokens are admitted; pass `n − 1` for at most `n`.
    ///
    /// The quota is a common one: a bucket cannot use all of `n` at once and then all of it again, so
    /// `n` is divided into a burst b and a rate of `n + 1 − b` in each window. This function makes the
    /// burst half of `n`, rounded up (at most `u32::MAX`);
    /// [`at_most_with_burst`](Quota::at_most_with_burst) takes another. For at most 100 a minute:
    ///
    /// | burst: admitted at once | rate: admitted in the long run | calls that come |
    /// |---|---|---|
    /// | 1 | 100/min | evenly |
    /// | 10 | 91/min | in small groups |
    /// | 50, the default | 51/min | in groups, and in between |
    /// | 90 | 11/min | in large groups, with long pauses |
    /// | 100 | 1/min | all at once, once in a long time |
    ///
    /// A call that costs more than the burst is never admitted. If `initial` tokens or a debt are set,
    /// the window holds all the more. To change the burst with [`burst`](Quota::burst) keeps the rate,
    /// so a larger burst breaks the window.
    ///
    /// The text `at most 100 in 1min` is the same quota, and `at most 100 in 1min burst 10` sets the
    /// burst.
    ///
    /// # Errors
    ///
    /// Returns an error if `n` or `window` is zero, or if the rate is above 10⁹ per second or below one
    /// token per 10 000 years.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::{MockClock, Quota, RateLimiter};
    /// use std::time::Duration;
    ///
    /// const MINUTE: Duration = Duration::from_secs(60);
    /// let clock = MockClock::new();
    /// let limiter = RateLimiter::with_clock(Quota::at_most(100, MINUTE)?, clock.clone());
    /// assert_eq!(limiter.quota().to_string(), "51/min burst 50");
    ///
    /// // One call each millisecond, from 0 s on.
    /// let calls = |limiter: &RateLimiter<_>| {
    ///     (0..60_000).filter(|_| { let admitted = limiter.allow(); clock.advance(Duration::from_millis(1)); admitted }).count()
    /// };
    /// assert_eq!(calls(&limiter), 100);
    /// assert_eq!(calls(&RateLimiter::with_clock(Quota::per_minute(100), clock.clone())), 199);
    /// # Ok::<(), brimful::QuotaError>(())
    /// ```
    pub const fn at_most(n: u64, window: Duration) -> Result<Self, QuotaError> {
        let window = Window { most: n, nanos: window.as_nanos() };
        Quota::in_window(window, if n == 0 { Tokens::ONE } else { window.default_burst() })
    }

    /// Returns a quota that admits at most `n` tokens in any window of the length `window`, as
    /// [`at_most`](Quota::at_most) does, with a burst of `burst` tokens. The rate is the highest that
    /// keeps to the window: `n + 1 − burst` in each window.
    ///
    /// # Errors
    ///
    /// Returns an error under the conditions of [`at_most`](Quota::at_most), and if `burst` is zero or
    /// more than `n`.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::Quota;
    /// use std::time::Duration;
    ///
    /// let even = Quota::at_most_with_burst(100, Duration::from_secs(60), 1)?;
    /// assert_eq!(even, Quota::per_minute(100).burst(1));
    /// assert!(Quota::at_most_with_burst(100, Duration::from_secs(60), 101).is_err());
    /// # Ok::<(), brimful::QuotaError>(())
    /// ```
    pub const fn at_most_with_burst(n: u64, window: Duration, burst: u32) -> Result<Self, QuotaError> {
        Quota::in_window(Window { most: n, nanos: window.as_nanos() }, Tokens::new(burst))
    }

    const fn in_window(window: Window, burst: Tokens) -> Result<Self, QuotaError> {
        match window.rate(burst) {
            Ok(rate) => Quota::derive(rate, burst, Tokens::MAX, None),
            Err(error) => Err(error),
        }
    }
}

//! [`Quota`]: a rate, a burst and an initial amount, with the layout that they determine.

use core::hash::{Hash, Hasher};
use core::time::Duration;

use super::rate::{Rate, SECOND};
use crate::error::{QuotaError, QuotaErrorKind};
use crate::tokens::{Decimal, Round, Tokens};
#[cfg(feature = "std")]
use crate::word::Wide;
use crate::word::{Layout, Units};

/// A rate, a burst, and the amount that a bucket starts with. Every `Quota` is valid by
/// construction.
///
/// A bucket earns `rate` tokens continuously and holds at most `burst` of them. It starts
/// full, or with [`initial`](Quota::initial) tokens. A [`commit`](crate::Reservation::commit)
/// of more than was reserved may take it below zero, by at most a burst or
/// [`max_debt`](Quota::max_debt).
///
/// Constructors: [`per_second`](Quota::per_second) and its siblings for whole numbers,
/// [`new`](Quota::new) for any period, [`at_most`](Quota::at_most) for the most of any window,
/// [`parse`](str::parse) or [`quota!`](crate::quota!) for text,
/// [`try_from_rate`](Quota::try_from_rate) for fractions. All but `parse` and `try_from_rate` work
/// in a constant, and an invalid quota in a constant does not compile.
///
/// At run time, the whole-number constructors and setters panic if a number is invalid. For numbers
/// from a setting, [`try_new`](Quota::try_new), [`try_burst`](Quota::try_burst) and
/// [`try_max_debt`](Quota::try_max_debt) return an error instead.
///
/// A quota always has a limit. [`RateLimiter::unlimited`](crate::RateLimiter::unlimited) is a limiter
/// without one.
///
/// Rates range from one token per 10 000 years to 10⁹ per second, bursts up to [`Tokens::MAX`], in
/// any combination.
///
/// Two quotas are equal if they admit the same calls: `60/min` equals `1/s` with a burst of 60.
///
/// # Examples
///
/// ```
/// use brimful::Quota;
/// use std::time::Duration;
///
/// const API: Quota = Quota::per_second(100).burst(200);
/// assert_eq!(API, "100/s burst 200".parse()?);
/// assert_eq!(API.to_string(), "100/s burst 200");
///
/// let slow = Quota::new(10, Duration::from_secs(300));
/// assert_eq!(slow.to_string(), "2/min burst 10");
/// assert!(Quota::try_new(0, Duration::from_secs(1)).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Quota {
    layout: Layout,
    pub(super) rate: Rate,
    /// Exactly the layout's capacity.
    pub(super) burst: Tokens,
    /// The amount as it was given; at least the burst if the bucket starts full.
    pub(super) initial: Tokens,
    /// `None` if it is the burst.
    pub(super) max_debt: Option<Tokens>,
}

impl Quota {
    /// Returns a quota of `tokens` per second, with a burst of the same size.
    ///
    /// # Panics
    ///
    /// Panics if `tokens` is zero or more than 10⁹; in a constant, this is a compile error.
    /// [`Quota::try_new(tokens, Duration::from_secs(1))`](Quota::try_new) returns an error
    /// instead.
    #[must_use]
    pub const fn per_second(tokens: u32) -> Self {
        Quota::new(tokens as u64, Duration::from_secs(1))
    }

    /// Returns a quota of `tokens` per minute, with a burst of the same size. The first minute admits
    /// nearly twice as many; [`at_most`](Quota::at_most) bounds every minute.
    ///
    /// # Panics
    ///
    /// Panics if `tokens` is zero; in a constant, this is a compile error.
    /// [`Quota::try_new(tokens, Duration::from_secs(60))`](Quota::try_new) returns an error
    /// instead.
    #[must_use]
    pub const fn per_minute(tokens: u32) -> Self {
        Quota::new(tokens as u64, Duration::from_secs(60))
    }

    /// Returns a quota of `tokens` per hour, with a burst of the same size.
    ///
    /// # Panics
    ///
    /// Panics if `tokens` is zero; in a constant, this is a compile error.
    /// [`Quota::try_new(tokens, Duration::from_secs(3_600))`](Quota::try_new) returns an error
    /// instead.
    #[must_use]
    pub const fn per_hour(tokens: u32) -> Self {
        Quota::new(tokens as u64, Duration::from_secs(3_600))
    }

    /// Returns a quota of `tokens` per day of 24 hours, with a burst of the same size.
    ///
    /// # Panics
    ///
    /// Panics if `tokens` is zero; in a constant, this is a compile error.
    /// [`Quota::try_new(tokens, Duration::from_secs(86_400))`](Quota::try_new) returns an error
    /// instead.
    #[must_use]
    pub const fn per_day(tokens: u32) -> Self {
        Quota::new(tokens as u64, Duration::from_secs(86_400))
    }

    /// Returns a quota of `tokens` per `period`, with a burst of the same size (at most
    /// `u32::MAX`).
    ///
    /// # Panics
    ///
    /// Panics if `tokens` or `period` is zero, or if the rate is out of range; in a constant, this is
    /// a compile error. [`try_new`](Quota::try_new) returns an error instead.
    #[must_use]
    pub const fn new(tokens: u64, period: Duration) -> Self {
        valid(Quota::try_new(tokens, period))
    }

    /// Returns a quota of `tokens` per `period`, with a burst of the same size (at most
    /// `u32::MAX`).
    ///
    /// # Errors
    ///
    /// Returns an error if `tokens` or `period` is zero, or if the rate is above 10⁹ per second or
    /// below one token per 10 000 years.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::Quota;
    /// use std::time::Duration;
    ///
    /// let per_minute: u32 = "0".parse()?; // a setting
    /// let error = Quota::try_new(per_minute.into(), Duration::from_secs(60)).unwrap_err();
    /// assert_eq!(error.to_string(), "a quota needs at least one token per period");
    /// # Ok::<(), std::num::ParseIntError>(())
    /// ```
    pub const fn try_new(tokens: u64, period: Duration) -> Result<Self, QuotaError> {
        let burst = if tokens > u32::MAX as u64 { u32::MAX } else { tokens as u32 };
        match Rate::new(tokens, period.as_nanos()) {
            Ok(rate) => Quota::derive(rate, Tokens::new(burst), Tokens::MAX, None),
            Err(error) => Err(error),
        }
    }

    /// Returns the same rate with a burst of `tokens`: the most that a bucket holds.
    ///
    /// # Panics
    ///
    /// Panics if `tokens` is zero; in a constant, this is a compile error.
    /// [`try_burst`](Quota::try_burst) returns an error instead, and takes fractions too.
    #[must_use]
    pub const fn burst(self, tokens: u32) -> Self {
        valid(self.with_burst(Tokens::new(tokens)))
    }

    /// Returns the same rate with a burst of `tokens`, rounded down to the quota's
    /// [`resolution`](Quota::resolution).
    ///
    /// # Errors
    ///
    /// Returns an error if the burst is zero, or a fraction of a token below the quota's
    /// resolution.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::{Quota, Tokens};
    ///
    /// let quota = Quota::per_second(1).try_burst(Tokens::try_from(2.5)?)?;
    /// assert_eq!(quota.to_string(), "1/s burst 2.5");
    /// assert!(quota.try_burst(0).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_burst(self, tokens: impl Into<Tokens>) -> Result<Self, QuotaError> {
        self.with_burst(tokens.into())
    }

    /// Sets the amount that a bucket holds when it starts. More than the burst counts as the burst.
    /// Without this setting, a bucket starts full.
    ///
    /// The bucket starts when its limiter is constructed, if the constructor has a clock
    /// ([`RateLimiter::with_clock`](crate::RateLimiter::with_clock), a builder). Otherwise it
    /// starts with the first call or look.
    #[must_use]
    pub const fn initial(self, tokens: u32) -> Self {
        self.with_initial(Tokens::new(tokens))
    }

    /// Sets how far below zero a [`commit`](crate::Reservation::commit) may take the bucket,
    /// rounded down to the quota's [`resolution`](Quota::resolution). Without this setting, the
    /// limit is one burst. A debt far above the burst makes the resolution coarser.
    ///
    /// # Panics
    ///
    /// Panics if the burst is a fraction too small for that coarser resolution; in a constant, this
    /// is a compile error. [`try_max_debt`](Quota::try_max_debt) returns an error instead.
    #[must_use]
    pub const fn max_debt(self, tokens: u32) -> Self {
        valid(self.with_max_debt(Tokens::new(tokens)))
    }

    /// Sets how far below zero a commit may take the bucket, as [`max_debt`](Quota::max_debt) does.
    ///
    /// # Errors
    ///
    /// Returns an error if the burst is a fraction too small for the resolution that the debt makes
    /// coarser.
    pub fn try_max_debt(self, tokens: impl Into<Tokens>) -> Result<Self, QuotaError> {
        self.with_max_debt(tokens.into())
    }

    /// Returns a quota with a fractional rate and burst. Each number counts as the shortest decimal
    /// that reads back as the same number, so `0.1` is exactly one token every ten seconds.
    ///
    /// # Errors
    ///
    /// Returns an error if a number is not finite and above zero, if the rate is above 10⁹ or below
    /// one token per 10 000 years, or if the burst is 2³² or more, or below the amount that the
    /// rate can count.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::Quota;
    ///
    /// let quota = Quota::try_from_rate(0.5, 2.5)?;
    /// assert_eq!(quota.to_string(), "0.5/s burst 2.5");
    /// assert!(Quota::try_from_rate(f64::NAN, 1.0).is_err());
    /// # Ok::<(), brimful::QuotaError>(())
    /// ```
    pub fn try_from_rate(tokens_per_second: f64, capacity: f64) -> Result<Self, QuotaError> {
        let burst = Decimal::from_f64(capacity)
            .filter(|_| capacity > 0.0)
            .and_then(|decimal| decimal.tokens(Round::Down))
            .ok_or(QuotaError(QuotaErrorKind::Capacity(capacity)))?;
        let rate = Decimal::from_f64(tokens_per_second)
            .filter(|_| tokens_per_second > 0.0)
            .ok_or(QuotaError(QuotaErrorKind::Rate(tokens_per_second)))?;
        Quota::derive(Rate::per_second(rate)?, burst, Tokens::MAX, None)
    }

    /// Returns the rate in lowest terms: tokens, and the period that earns them.
    #[must_use]
    pub const fn rate(&self) -> (u64, Duration) {
        (self.rate.tokens, self.rate.period)
    }

    /// Returns the rate in tokens per second, as the nearest `f64`.
    #[must_use]
    pub fn tokens_per_second(&self) -> f64 {
        self.rate.tokens as f64 * SECOND as f64 / self.rate.nanos() as f64
    }

    /// Returns the burst: the most that a bucket holds. A full bucket admits one call for all of
    /// it. If the burst that was asked for has a fraction that this rate cannot count, the result
    /// is rounded down.
    #[must_use]
    pub const fn capacity(&self) -> Tokens {
        self.burst
    }

    /// Returns the amount that a bucket holds when it starts, as it is counted: the burst, unless
    /// [`initial`](Quota::initial) was given.
    #[must_use]
    pub fn initial_tokens(&self) -> Tokens {
        self.layout.tokens_down(self.initial_units())
    }

    /// Returns how far below zero a commit may take a bucket.
    #[must_use]
    pub const fn debt_limit(&self) -> Tokens {
        match self.max_debt {
            Some(debt) => debt,
            None => self.burst,
        }
    }

    /// Returns the unit to which costs are rounded up and bursts are rounded down. The unit itself
    /// is rounded up to 10⁻¹² token. It is the amount earned in 1 to 2.5 ns: 10⁻⁷ token at 100 tokens
    /// per second, one token at 10⁹. It is earned in a longer time only if burst and debt together take
    /// some fifty years to refill, or if one token takes a month or more. Decimal costs are exact down to
    /// the unit, or nearly.
    ///
    /// A full bucket that is taken from between two units starts to refill at the later one. At a rate
    /// that is rounded, such as 3/s, a second call for all of the rest may therefore be refused for up to
    /// three nanoseconds after the first. If every call costs the whole burst, such as a burst of 1, each
    /// call loses up to a unit: at 3/s, 5 parts in 10⁹ of the rate.
    #[must_use]
    pub const fn resolution(&self) -> Tokens {
        self.layout.tokens_up(1)
    }

    /// Returns the rate as tokens per nanoseconds, in lowest terms.
    #[cfg(feature = "std")]
    pub(crate) const fn rate_in_nanos(&self) -> (u64, u128) {
        (self.rate.tokens, self.rate.nanos())
    }

    /// Returns whether the rate is above another's.
    #[cfg(feature = "std")]
    pub(crate) fn is_faster_than(&self, other: &Quota) -> bool {
        let ((tokens, nanos), (other_tokens, other_nanos)) = (self.rate_in_nanos(), other.rate_in_nanos());
        Wide::product(tokens, other_nanos) > Wide::product(other_tokens, nanos)
    }

    pub(crate) const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns the amount that a bucket starts with, in units of the quota's layout.
    pub(crate) fn initial_units(&self) -> Units {
        self.layout.units_clipped(self.initial)
    }

    /// Returns the amount that a bucket starts with.
    #[cfg(feature = "std")]
    pub(crate) const fn initial_amount(&self) -> Tokens {
        self.initial
    }

    pub(crate) const fn starts_full(&self) -> bool {
        self.initial.total_pico() >= self.burst.total_pico()
    }

    pub(super) const fn with_burst(self, burst: Tokens) -> Result<Self, QuotaError> {
        Quota::derive(self.rate, burst, self.initial, self.max_debt)
    }

    pub(super) const fn with_max_debt(self, debt: Tokens) -> Result<Self, QuotaError> {
        Quota::derive(self.rate, self.burst, self.initial, Some(debt))
    }

    pub(super) const fn with_initial(self, initial: Tokens) -> Self {
        Quota { initial, ..self }
    }

    /// Makes a quota with the layout for its parts. Rounds the burst down to the amount that the
    /// units can count. The burst can then be taken in one call, and its text reads back as the same
    /// quota.
    pub(super) const fn derive(
        rate: Rate,
        burst: Tokens,
        initial: Tokens,
        max_debt: Option<Tokens>,
    ) -> Result<Self, QuotaError> {
        if burst.is_zero() {
            return Err(QuotaError(QuotaErrorKind::ZeroBurst));
        }
        let mut kept = burst;
        // A smaller burst may have a finer unit, in which the burst has to be counted again. Units
        // only get finer, so the loop ends.
        loop {
            let debt = match max_debt {
                Some(debt) => debt,
                None => kept,
            };
            let Some(layout) = Layout::derive(rate.tokens, rate.nanos(), kept, debt) else {
                return Err(QuotaError(QuotaErrorKind::BurstTooFine { burst }));
            };
            // Whole tokens are whole units.
            let held = if kept.pico() == 0 { kept } else { layout.tokens_down(layout.capacity()) };
            if held.total_pico() == kept.total_pico() {
                return Ok(Quota { layout, rate, burst: kept, initial, max_debt });
            }
            kept = held;
        }
    }
}

/// Two quotas are equal if they admit the same calls. A quota to which a default was given is equal
/// to a quota that has it by default. They still differ as a base: `burst` changes the values that
/// were not given, and no value that was given.
impl PartialEq for Quota {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Quota {}

impl Hash for Quota {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl Quota {
    fn key(&self) -> (u64, Duration, Tokens, Tokens, Tokens) {
        (self.rate.tokens, self.rate.period, self.burst, self.initial_tokens(), self.debt_limit())
    }
}

const fn valid(quota: Result<Quota, QuotaError>) -> Quota {
    match quota {
        Ok(quota) => quota,
        Err(error) => panic!("{}", error.message()),
    }
}

//! [`Quota`]: a rate and a burst, valid by construction, with the layout of its words.

#[cfg(feature = "serde")]
mod serde;
mod text;

use core::hash::{Hash, Hasher};
use core::time::Duration;

use crate::decimal::{Decimal, Round};
use crate::error::{QuotaError, QuotaErrorKind};
use crate::tokens::Tokens;
use crate::word::{Layout, Units};

pub use text::{ParseQuotaError, QuotaTextError, Quotas};

const SECOND: u64 = 1_000_000_000;

/// The slowest rate: one token per 10 000 years, with years of 366 days.
const SLOWEST_NANOS: u128 = 10_000 * 366 * 86_400 * SECOND as u128;

/// A rate, a burst, and the amount that a bucket starts with. Every `Quota` is valid by
/// construction.
///
/// A bucket earns `rate` tokens continuously and holds at most `burst` of them. It starts
/// full, or with [`initial`](Quota::initial) tokens. A [`commit`](crate::Reservation::commit)
/// of more than was reserved may take it below zero, by at most a burst or
/// [`max_debt`](Quota::max_debt).
///
/// Constructors: [`per_second`](Quota::per_second) and its siblings for whole numbers,
/// [`new`](Quota::new) for any period, [`parse`](str::parse) or [`quota!`](crate::quota!) for text,
/// [`try_from_rate`](Quota::try_from_rate) for fractions. All but `parse` and `try_from_rate` work
/// in a constant, and an invalid quota in a constant does not compile.
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
    /// The rate in lowest terms: `tokens` per `period`.
    tokens: u64,
    period: Duration,
    /// Exactly the layout's capacity.
    burst: Tokens,
    /// The amount as it was given; at least the burst if the bucket starts full.
    initial: Tokens,
    /// `None` if it is the burst.
    max_debt: Option<Tokens>,
}

impl Quota {
    /// Returns a quota of `tokens` per second, with a burst of the same size.
    ///
    /// # Panics
    ///
    /// Panics if `tokens` is zero or more than 10⁹; in a constant, this is a compile error.
    #[must_use]
    pub const fn per_second(tokens: u32) -> Self {
        Quota::new(tokens as u64, Duration::from_secs(1))
    }

    /// Returns a quota of `tokens` per minute, with a burst of the same size.
    ///
    /// # Panics
    ///
    /// Panics if `tokens` is zero; in a constant, this is a compile error.
    #[must_use]
    pub const fn per_minute(tokens: u32) -> Self {
        Quota::new(tokens as u64, Duration::from_secs(60))
    }

    /// Returns a quota of `tokens` per hour, with a burst of the same size.
    ///
    /// # Panics
    ///
    /// Panics if `tokens` is zero; in a constant, this is a compile error.
    #[must_use]
    pub const fn per_hour(tokens: u32) -> Self {
        Quota::new(tokens as u64, Duration::from_secs(3_600))
    }

    /// Returns a quota of `tokens` per day of 24 hours, with a burst of the same size.
    ///
    /// # Panics
    ///
    /// Panics if `tokens` is zero; in a constant, this is a compile error.
    #[must_use]
    pub const fn per_day(tokens: u32) -> Self {
        Quota::new(tokens as u64, Duration::from_secs(86_400))
    }

    /// Returns a quota of `tokens` per `period`, with a burst of the same size (at most
    /// `u32::MAX`).
    ///
    /// # Panics
    ///
    /// Panics if [`try_new`](Quota::try_new) returns an error; in a constant, this is a compile
    /// error.
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
    pub const fn try_new(tokens: u64, period: Duration) -> Result<Self, QuotaError> {
        let burst = if tokens > u32::MAX as u64 { u32::MAX } else { tokens as u32 };
        Quota::from_parts(tokens, period.as_nanos(), Tokens::new(burst))
    }

    /// Returns the same rate with a burst of `tokens`: the most that a bucket holds.
    ///
    /// # Panics
    ///
    /// Panics if `tokens` is zero; in a constant, this is a compile error.
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
    /// is a compile error.
    #[must_use]
    pub const fn max_debt(self, tokens: u32) -> Self {
        valid(self.with_max_debt(Tokens::new(tokens)))
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
        let (tokens, nanos) = Decimal::from_f64(tokens_per_second)
            .filter(|_| tokens_per_second > 0.0)
            .map(per_second)
            .ok_or(QuotaError(QuotaErrorKind::Rate(tokens_per_second)))?;
        Quota::from_parts(tokens, nanos, burst)
    }

    /// Returns the rate in lowest terms: tokens, and the period that earns them.
    #[must_use]
    pub const fn rate(&self) -> (u64, Duration) {
        (self.tokens, self.period)
    }

    /// Returns the rate in tokens per second, as the nearest `f64`.
    #[must_use]
    pub fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 * SECOND as f64 / self.period.as_nanos() as f64
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
    /// is rounded up to 10⁻¹² token. It is the amount earned in 1 to 2.5 ns, or in a longer time if
    /// one token takes a month or more. Decimal costs are exact down to the unit, or nearly: at 100
    /// tokens per second it is 10⁻⁷ token, at 10⁹ it is one token.
    #[must_use]
    pub const fn resolution(&self) -> Tokens {
        self.layout.tokens_up(1)
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

    /// Makes a quota from a rate in any terms.
    const fn from_parts(tokens: u64, nanos: u128, burst: Tokens) -> Result<Self, QuotaError> {
        if tokens == 0 {
            return Err(QuotaError(QuotaErrorKind::ZeroTokens));
        }
        if nanos == 0 {
            return Err(QuotaError(QuotaErrorKind::ZeroPeriod));
        }
        let divisor = gcd(tokens as u128, nanos);
        let (lowest, nanos) = (tokens / divisor as u64, nanos / divisor);
        let period = duration(nanos);
        if lowest as u128 > nanos {
            return Err(QuotaError(QuotaErrorKind::TooFast { tokens, period: duration(nanos * divisor) }));
        }
        // `lowest` is at most 2⁶⁴ and the slowest period below 2⁶⁹.
        if nanos > SLOWEST_NANOS.saturating_mul(lowest as u128) {
            return Err(QuotaError(QuotaErrorKind::TooSlow { tokens, period: duration(nanos * divisor) }));
        }
        Quota::derive(lowest, period, burst, Tokens::MAX, None)
    }

    const fn with_burst(self, burst: Tokens) -> Result<Self, QuotaError> {
        Quota::derive(self.tokens, self.period, burst, self.initial, self.max_debt)
    }

    const fn with_max_debt(self, debt: Tokens) -> Result<Self, QuotaError> {
        Quota::derive(self.tokens, self.period, self.burst, self.initial, Some(debt))
    }

    const fn with_initial(self, initial: Tokens) -> Self {
        Quota { initial, ..self }
    }

    /// Rounds the burst down to the amount that the units can count. The burst can then be taken in
    /// one call, and its text reads back as the same quota.
    const fn derive(
        tokens: u64,
        period: Duration,
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
            let Some(layout) = Layout::derive(tokens, period.as_nanos(), kept, debt) else {
                return Err(QuotaError(QuotaErrorKind::BurstTooFine { burst }));
            };
            let held = layout.tokens_down(layout.capacity());
            if held.total_pico() == kept.total_pico() {
                return Ok(Quota { layout, tokens, period, burst: kept, initial, max_debt });
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
        (self.tokens, self.period, self.burst, self.initial_tokens(), self.debt_limit())
    }
}

const fn valid(quota: Result<Quota, QuotaError>) -> Quota {
    match quota {
        Ok(quota) => quota,
        Err(error) => panic!("{}", error.message()),
    }
}

const fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Clipped at [`Duration::MAX`].
const fn duration(nanos: u128) -> Duration {
    let seconds = nanos / SECOND as u128;
    if seconds > u64::MAX as u128 {
        return Duration::MAX;
    }
    Duration::new(seconds as u64, (nanos % SECOND as u128) as u32)
}

/// The longest period that a [`Duration`] holds, in whole seconds.
const LONGEST_NANOS: u128 = u64::MAX as u128 * SECOND as u128;

/// Converts `rate` tokens per second to tokens per nanoseconds, to within one part in 10¹⁸ if it is
/// not exact. A rate far out of range stays out of range.
fn per_second(rate: Decimal) -> (u64, u128) {
    let scale = rate.exponent.unsigned_abs();
    // A float has at most 17 digits.
    let digits = rate.digits as u64;
    if rate.exponent >= 0 {
        let scale = 10u64.checked_pow(scale).unwrap_or(u64::MAX);
        return (digits.saturating_mul(scale), u128::from(SECOND));
    }
    match 10u128.checked_pow(scale + 9) {
        Some(nanos) => convergent(digits, nanos),
        None => (1, LONGEST_NANOS),
    }
}

/// Returns the last convergent of the continued fraction of `numerator / denominator` whose
/// denominator is at most [`LONGEST_NANOS`].
fn convergent(numerator: u64, denominator: u128) -> (u64, u128) {
    let (mut a, mut b) = (u128::from(numerator), denominator);
    let (mut p, mut q) = ((0u128, 1u128), (1u128, 0u128));
    while b != 0 {
        let digit = a / b;
        let next = digit.saturating_mul(q.1).saturating_add(q.0);
        if next > LONGEST_NANOS {
            break;
        }
        p = (p.1, digit * p.1 + p.0);
        q = (q.1, next);
        (a, b) = (b, a % b);
    }
    // Convergents are in lowest terms, so the numerator is at most the given one. Only zero fits if
    // the rate is far too slow.
    if p.1 == 0 { (1, LONGEST_NANOS) } else { (p.1 as u64, q.1) }
}

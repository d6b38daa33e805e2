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

/// The slowest rate: one token per 10 000 years, a year being at most 366 days.
const SLOWEST_NANOS: u128 = 10_000 * 366 * 86_400 * SECOND as u128;

/// A rate, a burst, and what a bucket starts with. Every `Quota` that exists is valid.
///
/// A bucket earns `rate` tokens continuously and holds at most `burst` of them. It starts
/// full, or with [`initial`](Quota::initial) tokens. A [`commit`](crate::Reservation::commit)
/// of more than was reserved may take it below zero, by at most a burst or
/// [`max_debt`](Quota::max_debt).
///
/// Which constructor: [`per_second`](Quota::per_second) and its sisters for whole numbers,
/// [`new`](Quota::new) for any period, [`parse`](str::parse) or [`quota!`](crate::quota!) for
/// text, [`try_from_rate`](Quota::try_from_rate) for fractions. All but the last are `const`:
/// what is not a valid quota does not compile where it stands in a constant.
///
/// Rates reach from one token per 10 000 years to 10⁹ per second, bursts up to
/// [`Tokens::MAX`], in any combination.
///
/// Two quotas are equal where they admit the same: `60/min` is `1/s` with a burst of 60.
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
    /// As it was given; at least the burst if the bucket starts full.
    initial: Tokens,
    /// `None` where it is the burst.
    max_debt: Option<Tokens>,
}

impl Quota {
    /// `tokens` per second, with a burst of as many.
    ///
    /// # Panics
    ///
    /// On zero, or more than 10⁹; in a constant, at compile time.
    #[must_use]
    pub const fn per_second(tokens: u32) -> Self {
        Quota::new(tokens as u64, Duration::from_secs(1))
    }

    /// `tokens` per minute, with a burst of as many.
    ///
    /// # Panics
    ///
    /// On zero; in a constant, at compile time.
    #[must_use]
    pub const fn per_minute(tokens: u32) -> Self {
        Quota::new(tokens as u64, Duration::from_secs(60))
    }

    /// `tokens` per hour, with a burst of as many.
    ///
    /// # Panics
    ///
    /// On zero; in a constant, at compile time.
    #[must_use]
    pub const fn per_hour(tokens: u32) -> Self {
        Quota::new(tokens as u64, Duration::from_secs(3_600))
    }

    /// `tokens` per day of 24 hours, with a burst of as many.
    ///
    /// # Panics
    ///
    /// On zero; in a constant, at compile time.
    #[must_use]
    pub const fn per_day(tokens: u32) -> Self {
        Quota::new(tokens as u64, Duration::from_secs(86_400))
    }

    /// `tokens` per `period`, with a burst of as many (at most `u32::MAX`).
    ///
    /// # Panics
    ///
    /// Where [`try_new`](Quota::try_new) has an error; in a constant, at compile time.
    #[must_use]
    pub const fn new(tokens: u64, period: Duration) -> Self {
        valid(Quota::try_new(tokens, period))
    }

    /// `tokens` per `period`, with a burst of as many (at most `u32::MAX`).
    ///
    /// # Errors
    ///
    /// No tokens, no period, a rate above 10⁹ per second or below one per 10 000 years.
    pub const fn try_new(tokens: u64, period: Duration) -> Result<Self, QuotaError> {
        let burst = if tokens > u32::MAX as u64 { u32::MAX } else { tokens as u32 };
        Quota::from_parts(tokens, period.as_nanos(), Tokens::new(burst))
    }

    /// The same rate with a burst of `tokens`: the most that a bucket holds.
    ///
    /// # Panics
    ///
    /// On zero; in a constant, at compile time.
    #[must_use]
    pub const fn burst(self, tokens: u32) -> Self {
        valid(self.with_burst(Tokens::new(tokens)))
    }

    /// The same rate with a burst of `tokens`, rounded down to the quota's
    /// [`resolution`](Quota::resolution).
    ///
    /// # Errors
    ///
    /// Zero, or a fraction of a token below the quota's resolution.
    pub fn try_burst(self, tokens: impl Into<Tokens>) -> Result<Self, QuotaError> {
        self.with_burst(tokens.into())
    }

    /// What a bucket holds when it starts; more than the burst is the burst. Without it, a
    /// bucket starts full.
    ///
    /// The bucket starts when its limiter is constructed, where a clock is at hand
    /// ([`RateLimiter::with_clock`](crate::RateLimiter::with_clock), a builder), or else with
    /// the first call or look.
    #[must_use]
    pub const fn initial(self, tokens: u32) -> Self {
        self.with_initial(Tokens::new(tokens))
    }

    /// How far below zero a [`commit`](crate::Reservation::commit) may take the bucket, rounded
    /// down to the quota's [`resolution`](Quota::resolution). Without it, one burst. A debt
    /// that is far above the burst makes the resolution coarser.
    ///
    /// # Panics
    ///
    /// Where the burst is a fraction too small for that coarser resolution; in a constant, at
    /// compile time.
    #[must_use]
    pub const fn max_debt(self, tokens: u32) -> Self {
        valid(self.with_max_debt(Tokens::new(tokens)))
    }

    /// A fractional rate and burst. Each number counts as the shortest decimal that reads back
    /// as it, so `0.1` is exactly a token every ten seconds.
    ///
    /// # Errors
    ///
    /// What is not a finite number above zero, a rate above 10⁹ or below one token per 10 000
    /// years, a burst of 2³² and more or below what the rate can count.
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

    /// The rate in lowest terms: tokens, and the period that earns them.
    #[must_use]
    pub const fn rate(&self) -> (u64, Duration) {
        (self.tokens, self.period)
    }

    /// The rate as a number, to the nearest `f64`.
    #[must_use]
    pub fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 * SECOND as f64 / self.period.as_nanos() as f64
    }

    /// The burst: the most that a bucket holds. A full bucket admits one call for all of it. If the
    /// burst that was asked for has a fraction that this rate cannot count, this is that burst
    /// rounded down.
    #[must_use]
    pub const fn capacity(&self) -> Tokens {
        self.burst
    }

    /// What a bucket holds when it starts, as it is counted: the burst, unless
    /// [`initial`](Quota::initial) was given.
    #[must_use]
    pub fn initial_tokens(&self) -> Tokens {
        self.layout.tokens_down(self.initial_units())
    }

    /// How far below zero a commit may take a bucket.
    #[must_use]
    pub const fn debt_limit(&self) -> Tokens {
        match self.max_debt {
            Some(debt) => debt,
            None => self.burst,
        }
    }

    /// The unit that costs are rounded up to and bursts down to, itself rounded up to 10⁻¹²
    /// token: what is earned in 1 to 2.5 ns, or longer where a token takes a month or more.
    /// Decimal costs are exact down to it, or nearly: at 100 tokens per second it is 10⁻⁷
    /// token, at 10⁹ it is a token.
    #[must_use]
    pub const fn resolution(&self) -> Tokens {
        self.layout.tokens_up(1)
    }

    /// How long a tick is. A bucket's word notes in which tick of the clock it was last written; a tick
    /// is a power of two of nanoseconds, about as long as the bucket takes to refill. It costs no
    /// accuracy: what a bucket holds is known to the nanosecond. A denial by a reading of an
    /// earlier tick than the last write, as clocks that differ may give, looks a second time. Slots
    /// of a [`KeyedRateLimiter`](crate::KeyedRateLimiter) have shorter ones.
    #[must_use]
    pub const fn tick(&self) -> Duration {
        Duration::from_nanos(self.layout.tick_nanos())
    }

    /// How long a word tells what its bucket holds. A bucket that was not written for longer than that is
    /// full, whatever it held.
    #[must_use]
    pub const fn horizon(&self) -> Duration {
        Duration::from_nanos(self.layout.horizon_nanos())
    }

    pub(crate) const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What a bucket starts with, in units of the quota's layout.
    pub(crate) fn initial_units(&self) -> Units {
        self.layout.units_clipped(self.initial)
    }

    /// What a bucket starts with.
    #[cfg(feature = "std")]
    pub(crate) const fn initial_amount(&self) -> Tokens {
        self.initial
    }

    pub(crate) const fn starts_full(&self) -> bool {
        self.initial.total_pico() >= self.burst.total_pico()
    }

    /// From any terms of the rate.
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

    /// With the burst rounded down to what the units can count: it can then be taken in one call,
    /// and its text reads back as the same quota.
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
        // A smaller burst may have a finer unit, in which it has to be counted again. Units get
        // finer only, so this ends.
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

/// Two quotas are equal where they admit the same. One to which a default was given is equal to
/// one that has it, and yet another base: `burst` changes what was not given, but nothing that
/// was.
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

/// `rate` tokens per second as tokens per nanoseconds, to within a part in 10¹⁸ where it is not
/// exact. What is out of range by far stays out of range.
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

/// The last convergent of the continued fraction of `numerator / denominator` whose
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
    // Convergents are in lowest terms, so the numerator is at most the one given; none but
    // zero fits where the rate is too slow by far.
    if p.1 == 0 { (1, LONGEST_NANOS) } else { (p.1 as u64, q.1) }
}

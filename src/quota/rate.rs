//! [`Rate`]: tokens per period, in lowest terms and within range.

use core::time::Duration;

use crate::error::{QuotaError, QuotaErrorKind};
use crate::tokens::Decimal;

pub(super) const SECOND: u64 = 1_000_000_000;

/// The slowest rate: one token per 10 000 years, with years of 366 days.
const SLOWEST_NANOS: u128 = 10_000 * 366 * 86_400 * SECOND as u128;

/// The longest period that a [`Duration`] holds, in whole seconds.
const LONGEST_NANOS: u128 = u64::MAX as u128 * SECOND as u128;

/// A rate in lowest terms: `tokens` per `period`. It is at most 10⁹ tokens per second, and at least
/// one token per 10 000 years.
#[derive(Clone, Copy)]
pub(super) struct Rate {
    pub(super) tokens: u64,
    pub(super) period: Duration,
}

impl Rate {
    /// Returns a rate of `tokens` per `nanos` nanoseconds, in any terms.
    pub(super) const fn new(tokens: u64, nanos: u128) -> Result<Self, QuotaError> {
        if tokens == 0 {
            return Err(QuotaError(QuotaErrorKind::ZeroTokens));
        }
        if nanos == 0 {
            return Err(QuotaError(QuotaErrorKind::ZeroPeriod));
        }
        let (lowest, least) = lowest_terms(tokens, nanos);
        if lowest as u128 > least {
            return Err(QuotaError(QuotaErrorKind::TooFast { tokens, period: duration(nanos) }));
        }
        // `lowest` is at most 2⁶⁴ and the slowest period below 2⁶⁹.
        if least > SLOWEST_NANOS && least > SLOWEST_NANOS.saturating_mul(lowest as u128) {
            return Err(QuotaError(QuotaErrorKind::TooSlow { tokens, period: duration(nanos) }));
        }
        Ok(Rate { tokens: lowest, period: duration(least) })
    }

    /// Returns a rate of `tokens` per second, to within one part in 10¹⁸ if it is not exact.
    pub(super) fn per_second(tokens: Decimal) -> Result<Self, QuotaError> {
        let (tokens, nanos) = decimal_terms(tokens);
        Rate::new(tokens, nanos)
    }

    pub(super) const fn nanos(self) -> u128 {
        self.period.as_nanos()
    }
}

const fn lowest_terms(tokens: u64, nanos: u128) -> (u64, u128) {
    if nanos <= u64::MAX as u128 {
        let nanos = nanos as u64;
        let divisor = gcd_of_words(tokens, nanos);
        return (tokens / divisor, (nanos / divisor) as u128);
    }
    let divisor = gcd(tokens as u128, nanos);
    (tokens / divisor as u64, nanos / divisor)
}

pub(super) const fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        if a <= u64::MAX as u128 && b <= u64::MAX as u128 {
            return gcd_of_words(a as u64, b as u64) as u128;
        }
        (a, b) = (b, a % b);
    }
    a
}

const fn gcd_of_words(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Clipped at [`Duration::MAX`].
const fn duration(nanos: u128) -> Duration {
    if nanos <= u64::MAX as u128 {
        return Duration::from_nanos(nanos as u64);
    }
    let seconds = nanos / SECOND as u128;
    if seconds > u64::MAX as u128 {
        return Duration::MAX;
    }
    Duration::new(seconds as u64, (nanos % SECOND as u128) as u32)
}

/// Converts `rate` tokens per second to tokens per nanoseconds, to within one part in 10¹⁸ if it is
/// not exact. A rate far out of range stays out of range.
fn decimal_terms(rate: Decimal) -> (u64, u128) {
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

/// Converts `count` per `period` units of `unit` nanoseconds to tokens per nanoseconds in lowest
/// terms. Returns `None` if the terms are too long to be kept. A rate out of range stays out of
/// range. Neither number is zero.
pub(super) const fn terms(count: Decimal, period: Decimal, unit: u64) -> Option<(u64, u128)> {
    const TOO_FAST: (u64, u128) = (u64::MAX, 1);
    const TOO_SLOW: (u64, u128) = (1, LONGEST_NANOS);
    let Some(nanos) = period.digits.checked_mul(unit as u128) else { return None };
    let divisor = gcd(count.digits, nanos);
    let (mut tokens, mut nanos) = (count.digits / divisor, nanos / divisor);
    let mut power = count.exponent as i64 - period.exponent as i64;
    // Cancelling at each step keeps the terms from ever being longer than the result.
    while power > 0 {
        let divisor = gcd(10, nanos);
        nanos /= divisor;
        tokens = match tokens.checked_mul(10 / divisor) {
            Some(tokens) => tokens,
            None => return Some(TOO_FAST),
        };
        power -= 1;
    }
    while power < 0 {
        let divisor = gcd(10, tokens);
        tokens /= divisor;
        nanos = match nanos.checked_mul(10 / divisor) {
            Some(nanos) => nanos,
            None if SLOWEST_NANOS.checked_mul(tokens).is_some() => return Some(TOO_SLOW),
            None => return None,
        };
        power += 1;
    }
    if tokens > nanos {
        return Some(TOO_FAST);
    }
    if nanos > SLOWEST_NANOS.saturating_mul(tokens) {
        return Some(TOO_SLOW);
    }
    if tokens > u64::MAX as u128 || nanos > Duration::MAX.as_nanos() {
        return None;
    }
    Some((tokens as u64, nanos))
}

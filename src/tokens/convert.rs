//! Conversions to [`Tokens`] that can fail.

use core::str::FromStr;

use super::amount::Tokens;
use super::decimal::{Decimal, Round};
use super::error::TokensError;

/// Whole tokens, below 2³².
impl TryFrom<u64> for Tokens {
    type Error = TokensError;

    fn try_from(whole: u64) -> Result<Self, TokensError> {
        u32::try_from(whole).map(Tokens::new).map_err(|_| TokensError::number(whole as f64))
    }
}

/// Whole tokens, below 2³².
impl TryFrom<usize> for Tokens {
    type Error = TokensError;

    fn try_from(whole: usize) -> Result<Self, TokensError> {
        Tokens::try_from(whole as u64)
    }
}

/// Converts to the shortest decimal that reads back as this `f64` (so that `0.1` is a tenth),
/// rounded up to 10⁻¹².
///
/// # Errors
///
/// Returns an error for NaN, an infinite or negative number, and 2³² or more.
impl TryFrom<f64> for Tokens {
    type Error = TokensError;

    fn try_from(amount: f64) -> Result<Self, TokensError> {
        Decimal::from_f64(amount).and_then(|decimal| decimal.tokens(Round::Up)).ok_or(TokensError::number(amount))
    }
}

/// Parses a decimal number such as `12`, `0.5` or `1_000.25`, with at most twelve decimals.
impl FromStr for Tokens {
    type Err = TokensError;

    fn from_str(text: &str) -> Result<Self, TokensError> {
        Decimal::parse_exactly(text.as_bytes())
            .and_then(|decimal| decimal.tokens(Round::Exactly))
            .ok_or(TokensError::text())
    }
}

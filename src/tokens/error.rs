//! [`TokensError`].

use core::error::Error;
use core::fmt;

/// The reason for which a number or a text is not an amount of [`Tokens`](crate::Tokens).
#[derive(Clone, Copy, PartialEq)]
pub struct TokensError(Option<f64>);

impl TokensError {
    pub(super) const fn number(number: f64) -> Self {
        TokensError(Some(number))
    }

    pub(super) const fn text() -> Self {
        TokensError(None)
    }
}

impl fmt::Display for TokensError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(number) = self.0 {
            write!(f, "{number}: ")?;
        }
        f.write_str("an amount of tokens is a number from 0 up to 4294967295.999999999999, with at most 12 decimals")
    }
}

impl fmt::Debug for TokensError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokensError").field(&format_args!("\"{self}\"")).finish()
    }
}

impl Error for TokensError {}

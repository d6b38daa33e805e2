//! The error of quotas that are made from numbers.

use core::error::Error;
use core::fmt;
use core::time::Duration;

use crate::tokens::Tokens;

use super::show::shows_message;

/// The reason for which numbers do not make a [`Quota`](crate::Quota).
#[derive(Clone, Copy, PartialEq)]
pub struct QuotaError(pub(crate) QuotaErrorKind);

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum QuotaErrorKind {
    ZeroTokens,
    ZeroPeriod,
    TooFast {
        tokens: u64,
        period: Duration,
    },
    TooSlow {
        tokens: u64,
        period: Duration,
    },
    ZeroBurst,
    BurstTooFine {
        burst: Tokens,
    },
    /// Of a window.
    BurstNotWhole {
        burst: Tokens,
    },
    /// The burst alone exceeds the window.
    BurstAboveWindow {
        burst: Tokens,
    },
    #[cfg_attr(not(feature = "std"), allow(dead_code))]
    Rate(f64),
    #[cfg_attr(not(feature = "std"), allow(dead_code))]
    Capacity(f64),
}

impl QuotaError {
    /// The message without the values, for a panic in a constant.
    pub(crate) const fn message(self) -> &'static str {
        match self.0 {
            QuotaErrorKind::ZeroTokens => "a quota needs at least one token per period",
            QuotaErrorKind::ZeroPeriod => "a quota needs a period longer than zero",
            QuotaErrorKind::TooFast { .. } => "a rate above 1000000000 tokens per second: count in larger tokens",
            QuotaErrorKind::TooSlow { .. } => "a rate below one token per 10000 years: count in smaller tokens",
            QuotaErrorKind::ZeroBurst => "a quota needs a burst above zero, or nothing could ever be admitted",
            QuotaErrorKind::BurstTooFine { .. } => "a burst below what this rate can count: raise the burst to a token",
            QuotaErrorKind::BurstNotWhole { .. } => {
                "a burst with a fraction, and a window counts whole tokens: round it"
            }
            QuotaErrorKind::BurstAboveWindow { .. } => "a burst above the number of the whole window: lower it",
            QuotaErrorKind::Rate(_) => "a rate must be a finite number above zero",
            QuotaErrorKind::Capacity(_) => "a burst must be a finite number above zero and below 4294967296",
        }
    }
}

impl fmt::Display for QuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            QuotaErrorKind::TooFast { tokens, period } | QuotaErrorKind::TooSlow { tokens, period } => {
                let noun = if tokens == 1 { "token" } else { "tokens" };
                write!(f, "{tokens} {noun} per {period:?} is ")?;
            }
            QuotaErrorKind::BurstTooFine { burst }
            | QuotaErrorKind::BurstNotWhole { burst }
            | QuotaErrorKind::BurstAboveWindow { burst } => write!(f, "a burst of {burst} tokens is ")?,
            QuotaErrorKind::Rate(value) | QuotaErrorKind::Capacity(value) => write!(f, "{value}: ")?,
            QuotaErrorKind::ZeroTokens | QuotaErrorKind::ZeroPeriod | QuotaErrorKind::ZeroBurst => {}
        }
        f.write_str(self.message())
    }
}

shows_message!(QuotaError);

impl Error for QuotaError {}

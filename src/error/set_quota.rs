//! The error of a change of a quota.

use core::error::Error;
use core::fmt;
use core::time::Duration;

use crate::tokens::Tokens;

use super::limit_name::LimitName;
use super::show::shows_message;

/// The reason for which a limiter kept its quota.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SetQuotaError(pub(crate) SetQuotaErrorKind);

/// Rates are tokens, and the period that earns them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetQuotaErrorKind {
    Rate { asked: (u64, Duration), highest: (u64, Duration) },
    Burst { asked: Tokens, highest: Tokens },
    Debt { asked: Tokens, highest: Tokens },
    TooFine { asked: Tokens, unit: Tokens },
    Unlimited,
    TooManyEras,
    NoSuchLimit(LimitName),
}

impl fmt::Display for SetQuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remedy = "name the highest quota by `up_to` when the limiter is built";
        match self.0 {
            SetQuotaErrorKind::NoSuchLimit(name) => {
                write!(f, "no limit has the name {name:?}: the names are those of `quotas`")
            }
            SetQuotaErrorKind::Rate { asked: (tokens, period), highest: (most, most_period) } => {
                write!(f, "{tokens} per {period:?} is above the highest rate, {most} per {most_period:?}: {remedy}")
            }
            SetQuotaErrorKind::Burst { asked, highest } => {
                write!(f, "a burst of {asked} is above the highest burst, {highest}: {remedy}")
            }
            SetQuotaErrorKind::Debt { asked, highest } => {
                write!(f, "a debt of {asked} is above the highest debt, {highest}: lower `max_debt`, or {remedy}")
            }
            SetQuotaErrorKind::TooFine { asked, unit } => {
                write!(f, "a burst of {asked} is below the limiter's resolution, {unit}: raise the burst")
            }
            SetQuotaErrorKind::Unlimited => {
                f.write_str("the limiter was made by `unlimited`, and cannot have a limit: build one with a quota")
            }
            SetQuotaErrorKind::TooManyEras => f.write_str(
                "resets, proportional changes and higher bursts have taken half of the limiter's 18 years, or one of them \
                 would: build a new limiter",
            ),
        }
    }
}

shows_message!(SetQuotaError);

impl Error for SetQuotaError {}

//! Quotas as text.
use core::fmt;
use core::str::FromStr;

use super::Quota;

/// Why a text is not a quota.
#[derive(Clone, Debug, PartialEq)]
pub struct ParseQuotaError(());

impl fmt::Display for ParseQuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no")
    }
}
impl core::error::Error for ParseQuotaError {}
impl FromStr for Quota {
    type Err = ParseQuotaError;
    fn from_str(_: &str) -> Result<Self, Self::Err> {
        Err(ParseQuotaError(()))
    }
}
impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.rate())
    }
}
impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quota({self})")
    }
}

//! Quotas as the oracle's bounds, in parts of 10⁻¹² token, which every quota is a whole number
//! of.

use anyhow::anyhow;
use brimful::{ParseQuotaError, Quota, Tokens};
use brimful_oracle::bucket::PICO;
use brimful_oracle::window::{Bound, Margin};

/// The window bound of a quota.
pub(crate) fn bound(quota: &Quota) -> Bound {
    let (tokens, period) = quota.rate();
    Bound::new(pico(quota.capacity()), u128::from(tokens) * u128::from(PICO), period.as_nanos())
}

/// `count` whole tokens.
pub(crate) fn whole(count: u64) -> i128 {
    i128::from(count) * i128::from(PICO)
}

/// A margin in tokens, nearly.
pub(crate) fn tokens(margin: &Margin) -> f64 {
    margin.as_f64() / PICO as f64
}

/// An amount in 10⁻¹² token.
pub(crate) fn pico(tokens: Tokens) -> u128 {
    u128::from(tokens.whole()) * u128::from(PICO) + u128::from(tokens.pico())
}

/// The quota that an option gives.
pub(crate) fn parse_quota(text: &str) -> anyhow::Result<Quota> {
    text.parse().map_err(|error: ParseQuotaError| anyhow!("--quota: {error}\n{}", error.caret()))
}

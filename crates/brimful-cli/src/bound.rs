//! Quotas as bounds of the oracle, in 10⁻¹² token. Each amount of a quota is a whole number of
//! these.

use anyhow::{Context, anyhow, bail};
use brimful::{ParseQuotaError, Quota, Quotas, Tokens};
use brimful_oracle::bucket::PICO;
use brimful_oracle::window::{Bound, Margin};
use serde_json::Value;

/// Returns the window bound of a quota.
pub(crate) fn bound(quota: &Quota) -> Bound {
    let (tokens, period) = quota.rate();
    Bound::new(pico(quota.capacity()), u128::from(tokens) * u128::from(PICO), period.as_nanos())
}

/// Returns `count` whole tokens in 10⁻¹² token.
pub(crate) fn whole(count: u64) -> i128 {
    i128::from(count) * i128::from(PICO)
}

/// Returns a margin in tokens, rounded to a float.
pub(crate) fn tokens(margin: &Margin) -> f64 {
    margin.as_f64() / PICO as f64
}

/// Returns an amount in 10⁻¹² token.
pub(crate) fn pico(tokens: Tokens) -> u128 {
    u128::from(tokens.whole()) * u128::from(PICO) + u128::from(tokens.pico())
}

/// Writes an amount in 10⁻¹² token for JSON. Whole tokens are a whole number.
pub(crate) fn number(pico: u128) -> Value {
    let token = u128::from(PICO);
    match u64::try_from(pico / token) {
        Ok(tokens) if pico.is_multiple_of(token) => tokens.into(),
        _ => (pico as f64 / token as f64).into(),
    }
}

/// Reads the one quota of `--quota`.
pub(crate) fn parse_quota(text: &str) -> anyhow::Result<Quota> {
    let quotas = parse_quotas(text).context("--quota")?;
    match *quotas.as_slice() {
        [quota] => Ok(quota),
        _ => bail!("--quota: one quota at a time, and {text:?} has {}", quotas.iter().len()),
    }
}

/// Reads quotas with semicolons between them, each perhaps with a name.
pub(crate) fn parse_quotas(text: &str) -> anyhow::Result<Quotas> {
    text.parse().map_err(|error: ParseQuotaError| anyhow!("{error}\n{}", error.caret()))
}

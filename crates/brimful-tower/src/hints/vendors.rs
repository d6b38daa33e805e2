//! The headers of vendors, one for each number of a limit.

use std::time::Duration;

use brimful::model::{Dimension, DimensionHint};
use http::HeaderMap;

use super::members::members;
use super::time;

/// The names of the headers of one dimension.
struct Names {
    dimension: Dimension,
    limit: &'static str,
    remaining: &'static str,
    reset: &'static str,
    /// The header with the time from now, which needs no clock.
    reset_after: Option<&'static str>,
}

impl Names {
    const fn new(dimension: Dimension, limit: &'static str, remaining: &'static str, reset: &'static str) -> Self {
        Names { dimension, limit, remaining, reset, reset_after: None }
    }

    const fn or_after(self, name: &'static str) -> Self {
        Names { reset_after: Some(name), ..self }
    }

    /// Reads one dimension. A number that is malformed is left out.
    fn read(&self, headers: &HeaderMap, now: Duration) -> DimensionHint {
        let mut hint = DimensionHint::new();
        hint.limit = text(headers, self.limit).and_then(limit);
        hint.remaining = text(headers, self.remaining).and_then(time::number);
        let after = self.reset_after.and_then(|name| time::retry_after(text(headers, name)?, now));
        hint.reset_in = after.or_else(|| time::reset(text(headers, self.reset)?, now));
        hint
    }
}

/// The names of headers that name their dimension.
const SPECIFIC: [Names; 6] = [
    // OpenAI, and servers that follow it.
    Names::new(
        Dimension::Rpm,
        "x-ratelimit-limit-requests",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-reset-requests",
    ),
    Names::new(Dimension::Tpm, "x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    // Anthropic.
    Names::new(
        Dimension::Rpm,
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-reset",
    ),
    Names::new(
        Dimension::Tpm,
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
    ),
    Names::new(
        Dimension::InputTpm,
        "anthropic-ratelimit-input-tokens-limit",
        "anthropic-ratelimit-input-tokens-remaining",
        "anthropic-ratelimit-input-tokens-reset",
    ),
    Names::new(
        Dimension::OutputTpm,
        "anthropic-ratelimit-output-tokens-limit",
        "anthropic-ratelimit-output-tokens-remaining",
        "anthropic-ratelimit-output-tokens-reset",
    ),
];

/// The names of headers without a dimension.
const PLAIN: [Names; 2] = [
    // GitHub, Discord, and many others.
    Names::new(Dimension::Rpm, "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
        .or_after("x-ratelimit-reset-after"),
    // The IETF's drafts up to 06. Other servers write a number of seconds since 1970.
    Names::new(Dimension::Rpm, "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"),
];

/// Returns the hints of headers that name their dimension.
pub(super) fn specific(headers: &HeaderMap, now: Duration) -> impl Iterator<Item = (Dimension, DimensionHint)> {
    SPECIFIC.iter().map(move |names| (names.dimension, names.read(headers, now)))
}

/// Returns the hints of headers without a dimension.
pub(super) fn plain(headers: &HeaderMap, now: Duration) -> impl Iterator<Item = (Dimension, DimensionHint)> {
    PLAIN.iter().map(move |names| (names.dimension, names.read(headers, now)))
}

/// Reads a limit. In the IETF's drafts, policies may follow the number: `100, 100;w=60`.
fn limit(text: &str) -> Option<u64> {
    let of_draft = || {
        let members = members(text)?;
        let (limit, policies) = members.split_first()?;
        policies.iter().all(|policy| policy.number("w").is_some()).then(|| limit.item.number())?
    };
    time::number(text).or_else(of_draft)
}

/// Returns the value of a header, if it is text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<&'a str> {
    headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok()).map(str::trim)
}

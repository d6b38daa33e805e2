//! The fields `RateLimit` and `RateLimit-Policy` of the IETF's drafts 07 to 10.

use brimful::model::{Dimension, DimensionHint};
use http::HeaderMap;

use super::members::{Bare, Member, members};
use super::time;

/// The window in seconds from which a limit is one of requests per day.
const DAY: u64 = 86_400;

/// Returns the hints for requests, of the limit with the fewest requests left if there are several. Limits of another
/// unit are left out.
pub(super) fn hints(headers: &HeaderMap) -> impl Iterator<Item = (Dimension, DimensionHint)> {
    let (policies, limits) = (lines(headers, "ratelimit-policy"), lines(headers, "ratelimit"));
    let policies = members(&policies).unwrap_or_default();
    let limits = members(&limits).unwrap_or_default();
    let of_draft_07 = limit_of_draft_07(&limits, &policies);
    let mut found: Vec<_> = limits.iter().filter_map(|limit| limit_of_draft_10(limit, &policies)).collect();
    found.extend(of_draft_07);
    // Ties: the one that is reset last.
    found.sort_by_key(|(_, hint)| (hint.remaining, std::cmp::Reverse(hint.reset_in)));
    found.into_iter()
}

/// Reads `"default";r=50;t=30`, with the policy `"default";q=100;w=60`.
fn limit_of_draft_10(limit: &Member<'_>, policies: &[Member<'_>]) -> Option<(Dimension, DimensionHint)> {
    let Bare::Text(_) = limit.item else { return None };
    let remaining = limit.number("r")?;
    let policy = policies.iter().find(|policy| policy.item == limit.item);
    if let Some(Bare::Text(unit)) = policy.and_then(|policy| policy.parameter("qu")) {
        // `request` in earlier drafts.
        matches!(unit, "requests" | "request").then_some(())?;
    }
    let mut hint = DimensionHint::new().remaining(remaining);
    hint.limit = policy.and_then(|policy| policy.number("q"));
    hint.reset_in = limit.number("t").map(time::seconds);
    Some((dimension(policy), hint))
}

/// Reads `limit=100, remaining=50, reset=5`, with the policy `100;w=60`.
fn limit_of_draft_07(limits: &[Member<'_>], policies: &[Member<'_>]) -> Option<(Dimension, DimensionHint)> {
    let value = |key| limits.iter().find(|member| member.key == Some(key))?.item.number();
    let limit = value("limit")?;
    let policy = policies.iter().find(|policy| policy.item == Bare::Integer(limit));
    let mut hint = DimensionHint::new().limit(limit);
    hint.remaining = value("remaining");
    hint.reset_in = value("reset").map(time::seconds);
    Some((dimension(policy), hint))
}

fn dimension(policy: Option<&Member<'_>>) -> Dimension {
    match policy.and_then(|policy| policy.number("w")) {
        Some(DAY..) => Dimension::Rpd,
        _ => Dimension::Rpm,
    }
}

/// Returns all lines of a header as one list; an empty one if a line is no text.
fn lines(headers: &HeaderMap, name: &str) -> String {
    let lines: Result<Vec<_>, _> = headers.get_all(name).iter().map(http::HeaderValue::to_str).collect();
    lines.map(|lines| lines.join(",")).unwrap_or_default()
}

//! [`FromHeaders`]: hints of a server, from its headers.

use std::time::{Duration, UNIX_EPOCH};

use brimful::model::{Dimension, DimensionHint, ServerHints};
use http::{HeaderMap, StatusCode};

use super::{ietf, time, vendors};

/// The wall clock, by which servers date their headers.
#[expect(clippy::disallowed_types, reason = "dates in headers count from 1970")]
type WallTime = std::time::SystemTime;

/// Makes [`ServerHints`] of the headers of a response, for
/// [`observe`](brimful::model::ModelLimiter::observe).
///
/// | headers | read as |
/// |---|---|
/// | `Retry-After`, in seconds, as seconds since 1970, or as a date; `retry-after-ms`; with status 429, 403 or 503 | the time to retry |
/// | `x-ratelimit-*-requests` and `-tokens`, of `OpenAI` and others: `6m0s`, `12ms` | requests and tokens per minute |
/// | `anthropic-ratelimit-*`, with dates of RFC 3339 | requests, tokens, input and output tokens per minute |
/// | `x-ratelimit-*`, of GitHub, Discord and others, in seconds or as seconds since 1970, and `x-ratelimit-reset-after` before `x-ratelimit-reset` | requests per minute |
/// | `RateLimit` and `RateLimit-Policy` of the IETF's drafts 07 to 10 | requests per day if the window is a day or longer, else per minute |
/// | `RateLimit-Limit`, `-Remaining` and `-Reset` of earlier drafts | requests per minute |
///
/// A limit of requests in another window than a minute or a day, such as GitHub's hour, is read as one per minute: there
/// is no other dimension for it. If several of these name the same dimension, the first one in this table counts.
///
/// Status 429 is a refusal, and so is status 403 with a time to retry or with no requests left, by which GitHub refuses.
///
/// A header that is malformed is ignored. A time in the past is zero, and a time of more than a day is a day.
///
/// # Examples
///
/// ```
/// use brimful::model::{Dimension, ServerHints};
/// use brimful_tower::FromHeaders;
/// use http::{HeaderMap, HeaderValue, StatusCode};
/// use std::time::{Duration, SystemTime};
///
/// let mut headers = HeaderMap::new();
/// headers.insert("retry-after", HeaderValue::from_static("20"));
/// headers.insert("x-ratelimit-remaining-tokens", HeaderValue::from_static("149984"));
/// headers.insert("x-ratelimit-reset-tokens", HeaderValue::from_static("6m0s"));
///
/// let hints = ServerHints::from_headers(StatusCode::TOO_MANY_REQUESTS, &headers, SystemTime::now());
/// assert!(hints.is_refused());
/// assert_eq!(hints.retry_time(), Some(Duration::from_secs(20)));
/// assert_eq!(hints.of(Dimension::Tpm).remaining, Some(149_984));
/// assert_eq!(hints.of(Dimension::Tpm).reset_in, Some(Duration::from_secs(360)));
/// ```
pub trait FromHeaders: Sized {
    /// Returns the hints of a response, from its status and headers, and the current time. If the response has a `Date`,
    /// times since 1970 and dates count from that, and from its `Age` if a cache kept it, because it is of the server's
    /// clock. A `Date` before 2001 is that of no clock.
    fn from_headers(status: StatusCode, headers: &HeaderMap, now: WallTime) -> Self;
}

/// The beginnings of the names of all headers that are read.
const BEGINNINGS: [&str; 4] = ["retry-after", "ratelimit", "x-ratelimit-", "anthropic-ratelimit-"];

impl FromHeaders for ServerHints {
    fn from_headers(status: StatusCode, headers: &HeaderMap, now: WallTime) -> Self {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let mut hints = ServerHints::new();
        // Most responses have none of the headers. To look for the beginnings once is faster than to look for each name.
        if !headers.keys().any(|name| BEGINNINGS.iter().any(|beginning| name.as_str().starts_with(beginning))) {
            return if status == StatusCode::TOO_MANY_REQUESTS { hints.refused() } else { hints };
        }
        // The server's clock, by which it wrote the other dates.
        let date = vendors::text(headers, "date");
        let now = date.and_then(|date| time::of_response(date, vendors::text(headers, "age"))).unwrap_or(now);
        // After another status, it is about this request alone.
        let is_for_all =
            [StatusCode::TOO_MANY_REQUESTS, StatusCode::FORBIDDEN, StatusCode::SERVICE_UNAVAILABLE].contains(&status);
        let retry = if is_for_all { retry_after(headers, now) } else { None };
        if let Some(time) = retry {
            hints = hints.retry_after(time);
        }
        let found = vendors::specific(headers, now).chain(ietf::hints(headers)).chain(vendors::plain(headers, now));
        for (dimension, hint) in found {
            if hints.of(dimension) == DimensionHint::new() {
                hints = hints.dimension(dimension, hint);
            }
        }
        let none_left = [Dimension::Rpm, Dimension::Rpd].iter().any(|&of| hints.of(of).remaining == Some(0));
        let is_refused = match status {
            StatusCode::TOO_MANY_REQUESTS => true,
            StatusCode::FORBIDDEN => retry.is_some() || none_left,
            _ => false,
        };
        if is_refused { hints.refused() } else { hints }
    }
}

/// Returns the time to retry: the exact one of `retry-after-ms`, if there is one; one of zero only if there is no other.
fn retry_after(headers: &HeaderMap, now: Duration) -> Option<Duration> {
    let millis = vendors::text(headers, "retry-after-ms").and_then(time::milliseconds);
    let after = || time::retry_after(vendors::text(headers, "retry-after")?, now);
    millis.filter(|time| !time.is_zero()).or_else(after).or(millis)
}

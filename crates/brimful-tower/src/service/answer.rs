//! [`Refusal`]: a request that was refused, and the response to it.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::key::MissingKey;

/// A request that was refused, for a [handler](crate::RateLimitLayerBuilder::on_refused) that answers it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Refusal<'a> {
    /// The status: 429 if a policy refused the request. 503 if there is no room for a new key or for a further waiter, or
    /// if the limiter was closed. The [status](MissingKey::status) of a missing key.
    pub status: StatusCode,
    /// The names of the policies that refused the request: none if it has no key.
    pub violated: &'a [&'a str],
    /// The time until the same request is admitted, if that is known.
    pub retry_after: Option<Duration>,
    /// The headers for the response.
    pub headers: HeaderMap,
    /// The reason for which the request has no key.
    pub missing_key: Option<&'a MissingKey>,
}

/// A function that answers refused requests.
pub(super) type Handler = Box<dyn Fn(Refusal<'_>) -> Response<Bytes> + Send + Sync>;

impl Refusal<'_> {
    /// Returns the response: problem details of RFC 9457, with the names of the policies that refused the request.
    #[must_use]
    pub fn into_response(self) -> Response<Bytes> {
        let mut response = Response::new(self.problem().into());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }

    /// Returns the problem details as JSON.
    fn problem(&self) -> String {
        // The types are those of the IETF's draft of `RateLimit`.
        let (kind, title) = match (self.missing_key, self.status) {
            (Some(_), status) => ("about:blank", status.canonical_reason().unwrap_or("Refused")),
            (None, StatusCode::SERVICE_UNAVAILABLE) => (
                "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
                "Request cannot be satisfied due to temporary server capacity constraints",
            ),
            (None, _) => (
                "https://iana.org/assignments/http-problem-types#quota-exceeded",
                "Request cannot be satisfied as assigned quota has been exceeded",
            ),
        };
        let status = self.status.as_u16();
        let mut json = String::with_capacity(256);
        // A `String` takes all that is written.
        let _ = write!(json, "{{\"type\":\"{kind}\",\"title\":\"{title}\",\"status\":{status}");
        if let Some(missing) = self.missing_key {
            json.push_str(",\"detail\":");
            write_json(&mut json, &missing.to_string());
        }
        for (nth, policy) in self.violated.iter().enumerate() {
            json.push_str(if nth == 0 { ",\"violated-policies\":[" } else { "," });
            write_json(&mut json, policy);
        }
        json.push_str(if self.violated.is_empty() { "}" } else { "]}" });
        json
    }
}

/// Writes a string of JSON.
fn write_json(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\0'..='\x1f' => _ = write!(out, "\\u{:04x}", u32::from(c)),
            _ => out.push(c),
        }
    }
    out.push('"');
}

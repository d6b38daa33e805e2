//! The answer with problem details.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};

use super::refusal::Refusal;

/// Returns the response with problem details of RFC 9457.
pub(super) fn response(refusal: Refusal<'_>) -> Response<Bytes> {
    let mut response = Response::new(json(&refusal).into());
    *response.status_mut() = refusal.status;
    *response.headers_mut() = refusal.headers;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

/// Returns the problem details as JSON.
fn json(refusal: &Refusal<'_>) -> String {
    // The types are those of the IETF's draft of `RateLimit`.
    let (kind, title) = match (refusal.missing_key, refusal.status) {
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
    let mut json = String::with_capacity(256);
    for part in ["{\"type\":\"", kind, "\",\"title\":\"", title, "\",\"status\":", refusal.status.as_str()] {
        json.push_str(part);
    }
    if let Some(missing) = refusal.missing_key {
        json.push_str(",\"detail\":");
        write_json(&mut json, &missing.text_for_client());
    }
    for (nth, policy) in refusal.violated.iter().enumerate() {
        json.push_str(if nth == 0 { ",\"violated-policies\":[" } else { "," });
        write_json(&mut json, policy);
    }
    json.push_str(if refusal.violated.is_empty() { "}" } else { "]}" });
    json
}

/// Writes a string of JSON.
fn write_json(out: &mut String, text: &str) {
    out.push('"');
    let is_plain = |byte| !matches!(byte, b'"' | b'\\' | b'\0'..=b'\x1f');
    if text.bytes().all(is_plain) {
        out.push_str(text);
    } else {
        for c in text.chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                // A `String` takes all that is written.
                '\0'..='\x1f' => _ = write!(out, "\\u{:04x}", u32::from(c)),
                _ => out.push(c),
            }
        }
    }
    out.push('"');
}

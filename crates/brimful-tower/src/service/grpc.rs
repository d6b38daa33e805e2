//! The answer to a request of gRPC.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::refusal::Refusal;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const RETRY_PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// Returns the response in the form "trailers only".
pub(super) fn response(refusal: Refusal<'_>) -> Response<Bytes> {
    let (status, message) = (status(&refusal), message(&refusal));
    let pushback = pushback(&refusal);
    let mut response = Response::new(Bytes::new());
    *response.headers_mut() = refusal.headers;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, refusal.grpc_type.cloned().unwrap_or(GRPC));
    // Caches take a response with this status, if it says nothing else.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(GRPC_STATUS, HeaderValue::from_static(status));
    // It is printable ASCII, which is a value.
    if let Ok(message) = HeaderValue::from_maybe_shared(Bytes::from(message)) {
        headers.insert(GRPC_MESSAGE, message);
    }
    if let Some(pushback) = pushback {
        headers.insert(RETRY_PUSHBACK, pushback);
    }
    response
}

/// Returns the number of the status, by the status of HTTP.
fn status(refusal: &Refusal<'_>) -> &'static str {
    match refusal.status {
        StatusCode::TOO_MANY_REQUESTS => "8",
        StatusCode::SERVICE_UNAVAILABLE => "14",
        StatusCode::BAD_REQUEST => "3",
        StatusCode::UNAUTHORIZED => "16",
        StatusCode::FORBIDDEN => "7",
        _ => "13",
    }
}

/// Returns the time after which a client may retry. A request without a key, or without a permit, says nothing of it.
fn pushback(refusal: &Refusal<'_>) -> Option<HeaderValue> {
    match refusal.retry_after {
        Some(wait) => Some(millis(wait).into()),
        None if refusal.status == StatusCode::TOO_MANY_REQUESTS => Some(HeaderValue::from_static("-1")),
        None => None,
    }
}

/// Rounds up to milliseconds, at least 1 and at most what clients read: 2³¹ − 1, about 25 days.
fn millis(wait: Duration) -> u32 {
    let millis = wait.as_nanos().div_ceil(1_000_000).max(1);
    u32::try_from(millis).unwrap_or(u32::MAX).min(i32::MAX as u32)
}

/// Returns the text, in which all bytes but the printable ones of ASCII are written as `%` and two digits.
fn message(refusal: &Refusal<'_>) -> String {
    let mut out = String::with_capacity(64);
    match refusal.missing_key {
        Some(missing) => push(&mut out, &missing.text_for_client()),
        None => {
            let reason = if refusal.status == StatusCode::TOO_MANY_REQUESTS { "quota exceeded" } else { "no capacity" };
            push(&mut out, reason);
            for (nth, policy) in refusal.violated.iter().enumerate() {
                push(&mut out, if nth == 0 { ": " } else { ", " });
                push(&mut out, policy);
            }
        }
    }
    out
}

fn push(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(byte.into()),
            // A `String` takes all that is written.
            _ => _ = write!(out, "%{byte:02X}"),
        }
    }
}

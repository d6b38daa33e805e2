//! [`Refusal`]: a request that was refused.

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::key::{MissingKey, RequestHead};

/// The form of the answer to a request that was refused.
///
/// A request of gRPC is answered as [`Grpc`](AnswerForm::Grpc), unless the form is [`HeadersOnly`](AnswerForm::HeadersOnly).
/// It is a `POST` whose `Content-Type` is `application/grpc`, `application/grpc-web` or `application/grpc-web-text`, as such
/// or followed by `+` or `;`.
///
/// A client chooses its `Content-Type`. So any client can have its refusal with the status 200, in the form of gRPC. If
/// caches or monitors go by the status and the service has no gRPC, choose `HeadersOnly`, or
/// [answer](crate::RateLimitLayerBuilder::on_refused) by a function of your own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerForm {
    /// The headers, and problem details of RFC 9457 in JSON, with the names of the policies that refused the request.
    #[default]
    Problem,
    /// The headers alone, with an empty body, for requests of gRPC too. This is the cheapest form.
    HeadersOnly,
    /// A response of gRPC without a message, in the form "trailers only": the status is 200, and there is no body.
    ///
    /// `grpc-status` is 8, `RESOURCE_EXHAUSTED`, for 429, and 14, `UNAVAILABLE`, for 503. A missing key is 3,
    /// `INVALID_ARGUMENT`, 16, `UNAUTHENTICATED`, or 7, `PERMISSION_DENIED`, for 400, 401 and 403, and 13, `INTERNAL`, for
    /// other statuses. `Cache-Control: no-store` keeps it out of caches. `grpc-message` names the policies. `grpc-retry-pushback-ms` is the time of `Retry-After` in
    /// milliseconds, rounded up; it is −1, by which a client does not retry, if the request is never admitted. The other
    /// headers are there too, and clients read them as metadata.
    Grpc,
}

/// A request that was refused, for a [handler](crate::RateLimitLayerBuilder::on_refused) that answers it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Refusal<'a> {
    /// The status: 429 if a policy refused the request. 503 if there is no room for a new key or for a further waiter, if
    /// there is no permit, if the limiter was closed, or if the store of a shared limiter was not available. The [status](MissingKey::status) of a missing key.
    pub status: StatusCode,
    /// The names of the policies that refused the request: none if it has no key.
    pub violated: &'a [&'a str],
    /// The time until the same request is admitted, if that is known.
    pub retry_after: Option<Duration>,
    /// The headers for the response.
    pub headers: HeaderMap,
    /// The reason for which the request has no key.
    pub missing_key: Option<&'a MissingKey>,
    /// The form of the answer.
    pub form: AnswerForm,
    /// The `Content-Type` of a request of gRPC.
    pub(super) grpc_type: Option<&'a HeaderValue>,
}

impl<'a> Refusal<'a> {
    /// Returns a refusal of this request, without headers.
    pub(super) fn new(head: &RequestHead<'a>, status: StatusCode, form: AnswerForm) -> Self {
        let grpc_type = if form == AnswerForm::HeadersOnly { None } else { grpc_type(head.method, head.headers) };
        Refusal {
            status,
            violated: &[],
            retry_after: None,
            headers: HeaderMap::new(),
            missing_key: None,
            form: if grpc_type.is_some() { AnswerForm::Grpc } else { form },
            grpc_type,
        }
    }
}

/// Returns the `Content-Type` of a request if it is of gRPC.
pub(super) fn grpc_type<'a>(method: &Method, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
    if method != Method::POST {
        return None;
    }
    headers.get(CONTENT_TYPE).filter(|value| is_grpc(value.as_bytes()))
}

/// Whether this `Content-Type` is of gRPC, or of gRPC-Web.
fn is_grpc(content_type: &[u8]) -> bool {
    let end = content_type.iter().position(|byte| matches!(byte, b'+' | b';')).unwrap_or(content_type.len());
    let names = ["application/grpc", "application/grpc-web", "application/grpc-web-text"];
    names.iter().any(|name| content_type[..end].eq_ignore_ascii_case(name.as_bytes()))
}

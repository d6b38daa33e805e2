//! Rate limits for HTTP, by [`brimful`], on tower's conventions.
//!
//! - [`RateLimitLayer`] limits the requests to a service, by a [key](mod@key) of each request: their rate, or those in
//!   flight.
//! - [`BackPressureLayer`] has no keys, and makes callers of any service wait until it is ready.
//! - [`address`] finds the address of a client behind proxies, and makes a key of it.
//! - [`headers()`] makes response headers of a decision.
//! - [`client::ThrottleLayer`] lets the calls of a client wait for their turn, and heeds what servers say.
//! - [`FromHeaders`] reads the limits of a server from the headers of its responses.
//!
//! [`address`], [`headers()`] and [`FromHeaders`] are usable without tower.
//!
//! # Limits of a server
//!
//! A layer is made of a [limiter](Limiter), which has the quotas and the buckets, and of a [key](mod@key). Its
//! [builder](RateLimitLayerBuilder) has the rest:
//!
//! | purpose | setting |
//! |---|---|
//! | let requests wait, not only refuse them | [`wait_up_to`](RateLimitLayerBuilder::wait_up_to) |
//! | several quotas at once | a [`KeyedCompositeLimiter`](brimful::KeyedCompositeLimiter) |
//! | requests in flight, until their responses have ended | a [`ConcurrencyLimit`](brimful::ConcurrencyLimit), or one with keys |
//! | tiers of clients, reads and writes | [`Classes`] of limiters |
//! | one limit for several servers | a [shared limiter](Limiter#limiters-that-many-processes-share), with the feature `redis` |
//! | a cost by the request | [`cost`](RateLimitLayerBuilder::cost) |
//! | a cost by the response: failures only, bytes, tokens | [`settle`](RateLimitLayerBuilder::settle) |
//! | no limit for some requests | [`exempt_paths`](RateLimitLayerBuilder::exempt_paths), [`exempt_methods`](RateLimitLayerBuilder::exempt_methods) |
//! | headers of admitted requests too | [`headers_on_admitted`](RateLimitLayerBuilder::headers_on_admitted) |
//! | another answer | [`answer`](RateLimitLayerBuilder::answer), [`on_refused`](RateLimitLayerBuilder::on_refused); gRPC is answered as such |
//! | try a limit before it refuses | [`shadow`](RateLimitLayerBuilder::shadow) |
//! | know of refusals, and of quotas that are used up | [`on_event`](RateLimitLayerBuilder::on_event), [`share_used`](RateLimitLayerBuilder::share_used) |
//! | change settings at run time | a [`Handle`]; quotas at the limiter |
//! | find mistakes in the settings | [`checks`] |
//!
//! **Order of layers.** Put a limit outside of what costs much, and inside of what finds the key, such as authentication. Of
//! two limits, put the one in flight outside, so that a request without a permit costs no tokens.
//!
//! If requests [wait](RateLimitLayerBuilder::wait_up_to) for a rate, put the limit in flight inside instead: a request that
//! waits within it holds its permit meanwhile, so that a few waiting requests of one key could hold the permits of all. A
//! request without a permit then costs tokens, unless the limit of the rate
//! [settles](RateLimitLayerBuilder::settle) responses with the status 503 at zero.
//!
//! **Several limits.** Of several layers, the outer one charges a request before the inner one sees it. So a request that
//! the inner one refuses stays charged by the outer one, and a client that keeps coming uses up both. If it should cost
//! nothing outside, let the outer layer settle it at zero, and any other request at one token:
//! `.settle(|response| Settlement::now(u32::from(response.status != StatusCode::TOO_MANY_REQUESTS)))`. Several quotas of one
//! key need no several layers.
//!
//! **Costs by the response.** A request takes its cost when it is admitted, and the settlement corrects that. A request whose
//! client goes away before the response costs its cost, and one whose body is dropped costs what the function says of the
//! part that was taken. So a client that goes away before the response pays its cost. If the function counts the part that
//! was taken, a client that goes away in the middle of the body pays that part only; let the function return the full cost
//! [then](Settlement::at_end) if that is too little.
//!
//! ```
//! use brimful::{ConcurrencyLimit, KeyedRateLimiter, Quota};
//! use brimful_tower::key::{ClientAddress, Everyone};
//! use brimful_tower::{RateLimitLayer, Settlement};
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use std::convert::Infallible;
//! use std::net::SocketAddr;
//! use std::sync::Arc;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! // Three failed logins an hour from each address, and 100 logins in flight.
//! let failures = Arc::new(KeyedRateLimiter::new(Quota::per_hour(3)));
//! let in_flight = Arc::new(ConcurrencyLimit::new(100));
//! let service = ServiceBuilder::new()
//!     .layer(RateLimitLayer::new(in_flight.clone(), Everyone))
//!     .layer(
//!         RateLimitLayer::builder(failures, ClientAddress::new())
//!             .settle(|response| Settlement::now(u32::from(response.status == StatusCode::UNAUTHORIZED)))
//!             .build(),
//!     )
//!     .service(service_fn(async |login: Request<&str>| {
//!         let mut response = Response::new(Full::<Bytes>::default());
//!         if *login.body() != "secret" {
//!             *response.status_mut() = StatusCode::UNAUTHORIZED;
//!         }
//!         Ok::<_, Infallible>(response)
//!     }));
//!
//! let peer: SocketAddr = "192.0.2.7:4711".parse()?;
//! let mut answers = Vec::new();
//! for password in ["secret", "guess", "guess", "guess", "secret"] {
//!     let login = Request::builder().extension(peer).body(password)?;
//!     answers.push(service.clone().oneshot(login).await?.status().as_u16());
//! }
//! assert_eq!(answers, [200, 401, 401, 401, 429]);
//! assert_eq!(in_flight.in_flight(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

pub mod address;
pub mod checks;
pub mod client;
pub mod headers;
pub mod hints;
pub mod key;
mod limits;
mod service;

pub use headers::headers;
pub use hints::FromHeaders;
pub use limits::{Classes, Limiter};
pub use service::{
    AnswerForm, BackPressure, BackPressureFuture, BackPressureLayer, BodyEnd, Degraded, Event, Handle, RateLimit,
    RateLimitLayer, RateLimitLayerBuilder, Refusal, ResponseBody, ResponseFuture, ResponseHead, Settlement,
};

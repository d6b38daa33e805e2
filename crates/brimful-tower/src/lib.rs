//! Rate limits for HTTP, by [`brimful`], on tower's conventions.
//!
//! - [`RateLimitLayer`] limits the rate of requests to a service, by a [key](mod@key) of each request.
//! - [`address`] finds the address of a client behind proxies, and makes a key of it.
//! - [`headers()`] makes response headers of a decision.
//! - [`client::ThrottleLayer`] lets the calls of a client wait for their turn, and heeds what servers say.
//! - [`FromHeaders`] reads the limits of a server from the headers of its responses.
//!
//! [`address`], [`headers()`] and [`FromHeaders`] are usable without tower.

pub mod address;
pub mod client;
pub mod headers;
pub mod hints;
pub mod key;
mod service;

pub use headers::headers;
pub use hints::FromHeaders;
pub use service::{Limiter, RateLimit, RateLimitLayer, RateLimitLayerBuilder, Refusal, ResponseBody, ResponseFuture};

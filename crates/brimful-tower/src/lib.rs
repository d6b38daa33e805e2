//! Rate limits for HTTP, by [`brimful`], on tower's conventions.
//!
//! - [`RateLimitLayer`] limits the rate of requests to a service, by a [key](mod@key) of each request.
//! - [`address`] finds the address of a client behind proxies, and makes a key of it.
//! - [`headers()`] makes response headers of a decision.
//! - [`FromHeaders`] reads the limits of a server from the headers of its responses.
//!
//! The last three are usable without tower.

pub mod address;
pub mod checks;
pub mod headers;
pub mod hints;
pub mod key;
mod limits;
mod service;

pub use headers::headers;
pub use hints::FromHeaders;
pub use limits::{Classes, Limiter};
pub use service::{
    AnswerForm, BackPressure, BackPressureFuture, BackPressureLayer, BodyEnd, Event, Handle, RateLimit, RateLimitLayer,
    RateLimitLayerBuilder, Refusal, ResponseBody, ResponseFuture, ResponseHead, Settlement,
};

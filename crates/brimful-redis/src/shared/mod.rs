//! The limiter: verbs on buckets that many processes share.

mod breaker;
mod builder;
mod decision;
#[cfg(any(feature = "metrics", feature = "tracing"))]
mod emit;
mod error;
mod events;
mod fallback;
mod limiter;
mod requests;
mod reservation;
mod stats;

pub use builder::RedisRateLimiterBuilder;
pub use decision::{LimitState, SharedDecision, Source};
pub use error::{BuildError, SharedError, Unavailable};
pub use fallback::FailurePolicy;
pub use limiter::RedisRateLimiter;
pub(crate) use limiter::Wait;
pub use reservation::SharedReservation;
pub use stats::SharedStats;

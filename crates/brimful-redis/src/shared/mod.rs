//! The limiter: verbs on buckets that many processes share.

mod breaker;
mod builder;
mod decision;
mod error;
mod fallback;
mod limiter;
mod owned;
mod requests;
mod reservation;
mod stats;
mod waiting;

pub use builder::RedisRateLimiterBuilder;
pub use decision::{LimitState, SharedDecision, Source};
pub use error::{BuildError, SharedError, Unavailable};
pub use fallback::FailurePolicy;
pub use limiter::RedisRateLimiter;
pub(crate) use limiter::Wait;
pub use owned::SharedFuture;
pub(crate) use requests::{Hook, Requests};
pub use reservation::{OwnedSharedReservation, SharedReservation};
pub use stats::SharedStats;
pub(crate) use waiting::{Refusal, until_admitted};

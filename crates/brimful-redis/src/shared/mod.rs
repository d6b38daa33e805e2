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
mod owned;
mod requests;
mod reservation;
mod settings;
mod stats;
mod waiting;

pub use builder::RedisRateLimiterBuilder;
pub use decision::{LimitState, SharedDecision, Source};
pub use error::{BuildError, SharedError, Unavailable};
pub use fallback::FailurePolicy;
pub(crate) use fallback::Fallback;
pub use limiter::RedisRateLimiter;
pub(crate) use limiter::Wait;
pub use owned::SharedFuture;
pub(crate) use requests::{Requests, next_id, until_known};
pub use reservation::{OwnedSharedReservation, SharedReservation};
pub(crate) use settings::Settings;
pub use stats::SharedStats;
pub(crate) use waiting::{AFTER_FAILURE, Refusal, random, until_admitted};

//! brimful's rate limits, shared by many machines, on Redis.
//!
//! - [`RedisRateLimiter`] decides on the server: one round trip for a decision, exact for all processes together.
//! - [`LeasedRateLimiter`] takes tokens in batches and decides by itself: many decisions for one round trip, and a wider
//!   bound.
//! - [`SharedModelLimiter`] limits the calls to LLM APIs, by requests and tokens of each model.
//! - [`redis`](mod@redis) is the engine Redis. [`engine`] has the arithmetic of the buckets, and the narrow interface of a store.

pub mod engine;
mod leased;
mod model;
pub mod redis;
mod shared;

pub use self::redis::RedisStore;
pub use leased::{LeasedRateLimiter, LeasedRateLimiterBuilder};
pub use model::{
    DimensionUse, SharedModelCause, SharedModelError, SharedModelLimiter, SharedModelLimiterBuilder, SharedPermit,
};
pub use shared::{
    BuildError, FailurePolicy, LimitState, OwnedSharedReservation, RedisRateLimiter, RedisRateLimiterBuilder,
    SharedDecision, SharedError, SharedFuture, SharedReservation, SharedStats, Source, Unavailable,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

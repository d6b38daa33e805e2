//! brimful's rate limits, shared by many machines, on Redis.
//!
//! - [`RedisRateLimiter`] decides on the server: one round trip for a decision, exact for all processes together.
//! - [`LeasedRateLimiter`] takes tokens in batches and decides by itself: many decisions for one round trip, and a wider
//!   bound.
//! - [`SharedModelLimiter`] limits the calls to LLM APIs, by requests and tokens of each model.
//! - [`RedisSlidingWindowLimiter`] grants at most `n` tokens in any window of a length.
//! - [`RedisConcurrencyLimit`] limits the calls in flight, by permits that a dead process does not keep.
//! - [`redis`](mod@redis) is the engine Redis, and `postgres` the engine PostgreSQL (feature `postgres`). [`engine`] has the arithmetic of the buckets, and the narrow interface of a store.

pub mod engine;
mod leased;
mod model;
mod permits;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod redis;
mod shared;
mod window;

#[cfg(feature = "postgres")]
pub use self::postgres::{PostgresStore, PostgresStoreBuilder};
pub use self::redis::RedisStore;
pub use leased::{LeasedRateLimiter, LeasedRateLimiterBuilder};
pub use model::{
    DimensionUse, SharedModelCause, SharedModelError, SharedModelLimiter, SharedModelLimiterBuilder, SharedModelPermit,
};
pub use permits::{RedisConcurrencyLimit, RedisConcurrencyLimitBuilder, SharedPermit, SharedPermitError};
pub use shared::{
    BuildError, FailurePolicy, LimitState, OwnedSharedReservation, RedisRateLimiter, RedisRateLimiterBuilder,
    SharedDecision, SharedError, SharedFuture, SharedReservation, SharedStats, Source, Unavailable,
};
pub use window::{RedisSlidingWindowLimiter, RedisSlidingWindowLimiterBuilder};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

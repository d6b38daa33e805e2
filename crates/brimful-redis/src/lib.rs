//! brimful's rate limits, shared by many machines, on Redis.
//!
//! - [`RedisRateLimiter`] decides on the server: one round trip for a decision, exact for all processes together.
//! - [`LeasedRateLimiter`] takes tokens in batches and decides by itself: many decisions for one round trip, and a wider
//!   bound.
//! - [`redis`](mod@redis) is the engine Redis, and `postgres` the engine PostgreSQL (feature `postgres`). [`engine`] has the arithmetic of the buckets, and the narrow interface of a store.

pub mod engine;
mod leased;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod redis;
mod shared;

#[cfg(feature = "postgres")]
pub use self::postgres::{PostgresStore, PostgresStoreBuilder};
pub use self::redis::RedisStore;
pub use leased::{LeasedRateLimiter, LeasedRateLimiterBuilder};
pub use shared::{
    BuildError, FailurePolicy, LimitState, RedisRateLimiter, RedisRateLimiterBuilder, SharedDecision, SharedError,
    SharedReservation, SharedStats, Source, Unavailable,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

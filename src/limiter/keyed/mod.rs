//! [`KeyedRateLimiter`]: a bucket for each key.

mod batch;
mod builder;
mod change;
#[cfg(any(feature = "metrics", feature = "tracing"))]
mod emit;
mod hasher;
mod limiter;
mod top;
mod verbs;

pub use builder::KeyedRateLimiterBuilder;
pub use hasher::{SipHasher, SipState};
pub use limiter::KeyedRateLimiter;

//! [`KeyedRateLimiter`]: a bucket for each key.

mod batch;
mod builder;
mod change;
mod hasher;
mod limiter;
mod verbs;

pub use builder::KeyedRateLimiterBuilder;
pub use hasher::{SipHasher, SipState};
pub use limiter::KeyedRateLimiter;

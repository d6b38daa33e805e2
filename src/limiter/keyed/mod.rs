//! [`KeyedRateLimiter`]: a bucket for each key.

mod batch;
mod buckets;
mod builder;
mod hasher;
mod limiter;
mod verbs;

pub(super) use buckets::Buckets;
pub use builder::KeyedRateLimiterBuilder;
pub use hasher::{SipHasher, SipState};
pub use limiter::KeyedRateLimiter;

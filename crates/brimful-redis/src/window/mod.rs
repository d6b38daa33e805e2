//! Sliding windows that many processes share.

mod builder;
mod limiter;
mod script;

pub use builder::RedisSlidingWindowLimiterBuilder;
pub use limiter::RedisSlidingWindowLimiter;

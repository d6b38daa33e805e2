//! [`RateLimiter`]: one bucket.

#[cfg(feature = "std")]
mod builder;
mod limiter;
#[cfg(feature = "std")]
mod queue;
mod verbs;

#[cfg(feature = "std")]
pub use builder::RateLimiterBuilder;
pub use limiter::RateLimiter;

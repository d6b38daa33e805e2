//! The state of the limiters: the bucket of a [`RateLimiter`], and the buckets of a keyed limiter.

#[cfg(feature = "std")]
mod buckets;
#[cfg(feature = "std")]
mod change;
#[cfg(feature = "std")]
mod queue;
mod rate_limiter;

#[cfg(feature = "std")]
pub(crate) use buckets::Buckets;
#[cfg(feature = "std")]
pub(crate) use queue::MAX_WAITERS;
#[cfg(feature = "std")]
pub(crate) use rate_limiter::BACKGROUND;
pub use rate_limiter::RateLimiter;

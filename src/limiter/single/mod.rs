//! The builder of a [`RateLimiter`](super::RateLimiter), and the verbs beside the everyday ones.

#[cfg(feature = "std")]
mod builder;
#[cfg(feature = "std")]
mod change;
#[cfg(any(feature = "metrics", feature = "tracing"))]
mod emit;
mod verbs;

#[cfg(feature = "std")]
pub use builder::RateLimiterBuilder;

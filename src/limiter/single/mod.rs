//! The builder of a [`RateLimiter`](super::RateLimiter), and the verbs beside the everyday ones.

#[cfg(feature = "std")]
mod builder;
#[cfg(feature = "std")]
mod change;
mod verbs;

#[cfg(feature = "std")]
pub use builder::RateLimiterBuilder;

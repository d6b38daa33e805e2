//! [`Limiter`]: the limiters that the middleware can use.

use super::calls::Calls;

/// A limiter that the middleware can use: a [`KeyedRateLimiter`](brimful::KeyedRateLimiter) or a
/// [`KeyedCompositeLimiter`](brimful::KeyedCompositeLimiter) with keys of the type `K`; or a
/// [`RateLimiter`](brimful::RateLimiter) or a [`CompositeLimiter`](brimful::CompositeLimiter), which has one bucket of
/// each quota for all keys.
///
/// It is implemented for these only.
pub trait Limiter<K>: Calls<K> {}

impl<K, L: Calls<K>> Limiter<K> for L {}

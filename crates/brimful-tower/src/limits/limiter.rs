//! [`Limiter`]: the limiters that the middleware can use.

use super::calls::Calls;

/// A limiter that the middleware can use.
///
/// | limiter | limits |
/// |---|---|
/// | [`KeyedRateLimiter`](brimful::KeyedRateLimiter) | the rate of the requests of each key |
/// | [`KeyedCompositeLimiter`](brimful::KeyedCompositeLimiter) | the same, by several quotas |
/// | [`RateLimiter`](brimful::RateLimiter), [`CompositeLimiter`](brimful::CompositeLimiter) | the rate of all requests |
/// | [`KeyedConcurrencyLimit`](brimful::KeyedConcurrencyLimit) | the requests of each key that are in flight |
/// | [`ConcurrencyLimit`](brimful::ConcurrencyLimit) | the requests that are in flight |
/// | [`Classes`](crate::Classes) of one of these | the requests of each class by a limiter of its own |
///
/// A request holds its permit of a concurrency limit until the server has taken the body of its response to the end and
/// asks for more, or the body has failed, or is dropped. Bytes in the buffers of the server and of the sockets are then
/// not counted. A response without a body gives the permit back with its head: so does 101 `Switching Protocols`, so that
/// a connection that was upgraded is not in flight.
///
/// A request takes one permit, whatever its cost, unless the cost is zero. If it is refused, the status is 503, and there is
/// no `Retry-After`, because the time at which a permit is free is not known.
///
/// It is implemented for these only.
pub trait Limiter<K>: Calls<K> {}

impl<K, L: Calls<K>> Limiter<K> for L {}

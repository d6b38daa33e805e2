//! [`Limiter`]: the limiters that the middleware can use.

use super::calls::Numbers;

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
/// | `RedisRateLimiter`, `LeasedRateLimiter` of `brimful-redis`, with the feature `redis` | the rate of the requests of each key, by one or several quotas, of all servers together |
///
/// A request holds its permit of a concurrency limit until the server has taken the body of its response to the end and
/// asks for more, or the body has failed, or is dropped. Bytes in the buffers of the server and of the sockets are then
/// not counted. A response without a body gives the permit back with its head: so does 101 `Switching Protocols`, so that
/// a connection that was upgraded is not in flight.
///
/// A request takes one permit, whatever its cost, unless the cost is zero. If it is refused, the status is 503, and there is
/// no `Retry-After`, because the time at which a permit is free is not known.
///
/// # Limiters that many processes share
///
/// A key has to be written by `Display`, as an address is, or be borrowed as a type that is, as a
/// [path](crate::key::PathKey) is as `str`. Two keys that are written alike share a bucket: a
/// [`KeyFn`](crate::key::KeyFn) that returns a `String` writes any other key. The layer runs on a tokio runtime.
///
/// - **The decision** takes a round trip, and no longer than the deadline of the limiter; meanwhile the request keeps what
///   the inner service has reserved for it in `poll_ready`. A lease decides without one if it has the tokens. The headers of responses are those of the decision; a lease and a policy know few numbers.
/// - **A client that goes away** while its decision is on its way pays its cost, if the store has charged it. While its
///   request [waits](crate::RateLimitLayerBuilder::wait_up_to), nothing is charged, and tokens that were granted are given
///   back if the service does not get the request.
/// - **Waits** have no order: a request that waits sleeps for the time that the store reports, and up to a tenth more, and
///   asks again, until its longest wait is over. The limiter does not bound the number of requests that wait. In
///   [shadow mode](crate::RateLimitLayerBuilder::shadow), a request that would wait is counted as one that would be refused.
/// - **Settlements** for another cost than was taken ask the store once more, on a task of their own. If the store does not
///   answer, the difference is neither charged nor given back.
/// - **When the store is not available**, the limiter's policy decides. The service sees it by
///   [`Degraded`](crate::Degraded) in the extensions of the request, and the function for events by
///   [`Event::Degraded`](crate::Event::Degraded). A request that is refused because of the store, and not for its rate, is
///   answered with 503, with `Retry-After` if it is known when the store is asked again. One that a local share refuses is
///   answered with 429.
///
/// It is implemented for these only.
pub trait Limiter<K>: Numbers<K> {}

impl<K, L: Numbers<K>> Limiter<K> for L {}

//! [`Turns`]: the limiters that give each call of a client its turn.

use std::hash::{BuildHasher, Hash};

use brimful::{Clock, KeyedCompositeLimiter, KeyedRateLimiter, Quota};

use super::error::ThrottleError;
use crate::limits::Calls;

/// A limiter that gives each call of a key its turn: a [`KeyedRateLimiter`], a
/// [`KeyedCompositeLimiter`], or [`HostLimits`](crate::client::HostLimits); or, with the feature `redis`, a
/// `RedisRateLimiter` or a `LeasedRateLimiter`, whose calls have no order. A call takes one token.
///
/// It is implemented for these only.
pub trait Turns<K>: Calls<K, Error: Into<ThrottleError>> {
    /// The clock of the limiter.
    type Clock: Clock + Clone + Send + Sync + 'static;

    /// Returns the clock.
    fn clock(&self) -> &Self::Clock;

    /// Returns the quota of the key with the highest rate.
    fn fastest(&self, key: &K) -> Quota;
}

impl<K, C, S> Turns<K> for KeyedRateLimiter<K, C, S>
where
    K: Hash + 'static,
    C: Clock + Clone + Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    type Clock = C;

    fn clock(&self) -> &C {
        self.clock()
    }

    fn fastest(&self, _: &K) -> Quota {
        self.quota()
    }
}

impl<K, C, S> Turns<K> for KeyedCompositeLimiter<K, C, S>
where
    K: Hash + 'static,
    C: Clock + Clone + Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    type Clock = C;

    fn clock(&self) -> &C {
        self.clock()
    }

    fn fastest(&self, _: &K) -> Quota {
        fastest(self.quotas().iter().map(|(name, quota)| self.quota(name).unwrap_or(quota)))
    }
}

#[cfg(feature = "redis")]
mod shared {
    use std::borrow::Borrow;
    use std::fmt::Display;

    use brimful::QuantaClock;
    use brimful_redis::engine::Store;
    use brimful_redis::{LeasedRateLimiter, RedisRateLimiter};

    use super::{Hash, Quota, Turns, fastest};

    impl<K, Q, S> Turns<K> for RedisRateLimiter<Q, S>
    where
        K: Borrow<Q>,
        Q: Display + ?Sized + 'static,
        S: Store,
    {
        type Clock = QuantaClock;

        fn clock(&self) -> &QuantaClock {
            &QuantaClock
        }

        fn fastest(&self, _: &K) -> Quota {
            fastest(self.quotas().as_slice().iter().copied())
        }
    }

    impl<K, Q, S> Turns<K> for LeasedRateLimiter<Q, S>
    where
        K: Borrow<Q>,
        Q: Display + Hash + ?Sized + 'static,
        S: Store,
    {
        type Clock = QuantaClock;

        fn clock(&self) -> &QuantaClock {
            &QuantaClock
        }

        fn fastest(&self, _: &K) -> Quota {
            fastest(self.quotas().as_slice().iter().copied())
        }
    }
}

/// Returns the quota with the highest rate.
pub(super) fn fastest(quotas: impl Iterator<Item = Quota>) -> Quota {
    let by_rate = |a: &Quota, b: &Quota| a.tokens_per_second().total_cmp(&b.tokens_per_second());
    quotas.max_by(by_rate).unwrap_or(Quota::per_second(1))
}

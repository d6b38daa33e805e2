//! [`Turns`]: the calls that the middleware makes to a limiter.

use std::future::Future;
use std::hash::{BuildHasher, Hash};

use brimful::{
    AcquireError, Clock, CompositeAcquireError, Granted, KeyedCompositeLimiter, KeyedRateLimiter, OwnedAcquire,
    OwnedCompositeAcquire, Quota,
};

use super::error::ThrottleError;

/// A limiter that gives each call of a key its turn: a [`KeyedRateLimiter`], a
/// [`KeyedCompositeLimiter`], or [`HostLimits`](crate::client::HostLimits). A call takes
/// one token.
///
/// It is implemented for these only.
pub trait Turns<K>: Sealed + Send + Sync + 'static {
    /// The clock of the limiter.
    type Clock: Clock + Clone + Send + Sync + 'static;

    /// A wait for a turn.
    type Wait: Future<Output = Result<Granted, Self::Error>> + Unpin + Send;

    /// The reason for which a wait ended in vain.
    type Error: Into<ThrottleError>;

    /// Returns the clock.
    fn clock(&self) -> &Self::Clock;

    /// Takes a turn, if none waits and the token is there.
    fn try_take(&self, key: &K) -> bool;

    /// Waits for a turn, in order of arrival, until a deadline of the clock.
    fn wait(&self, key: &K, deadline: u64) -> Self::Wait;

    /// Gives back the turn of a call that did not leave.
    fn give_back(&self, key: &K);

    /// Returns the quota of the key with the highest rate.
    fn fastest(&self, key: &K) -> Quota;
}

/// Keeps others from implementing [`Turns`].
pub trait Sealed {}

impl<K, C, S> Sealed for KeyedRateLimiter<K, C, S> {}

impl<K, C, S> Sealed for KeyedCompositeLimiter<K, C, S> {}

impl<K, C, S> Turns<K> for KeyedRateLimiter<K, C, S>
where
    K: Hash + 'static,
    C: Clock + Clone + Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    type Clock = C;
    type Wait = OwnedAcquire<C>;
    type Error = AcquireError;

    fn clock(&self) -> &C {
        self.clock()
    }

    #[inline]
    fn try_take(&self, key: &K) -> bool {
        self.allow(key)
    }

    fn wait(&self, key: &K, deadline: u64) -> OwnedAcquire<C> {
        self.acquire_n_owned(key, 1).until(deadline)
    }

    fn give_back(&self, key: &K) {
        self.key(key).add_tokens(1);
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
    type Wait = OwnedCompositeAcquire<C>;
    type Error = CompositeAcquireError;

    fn clock(&self) -> &C {
        self.clock()
    }

    #[inline]
    fn try_take(&self, key: &K) -> bool {
        self.allow(key)
    }

    fn wait(&self, key: &K, deadline: u64) -> OwnedCompositeAcquire<C> {
        self.acquire_owned(key).until(deadline)
    }

    fn give_back(&self, key: &K) {
        self.key(key).add_tokens(1);
    }

    fn fastest(&self, _: &K) -> Quota {
        fastest(self.quotas().iter().map(|(name, quota)| self.quota(name).unwrap_or(quota)))
    }
}

/// Returns the quota with the highest rate.
pub(super) fn fastest(quotas: impl Iterator<Item = Quota>) -> Quota {
    let by_rate = |a: &Quota, b: &Quota| a.tokens_per_second().total_cmp(&b.tokens_per_second());
    quotas.max_by(by_rate).unwrap_or(Quota::per_second(1))
}

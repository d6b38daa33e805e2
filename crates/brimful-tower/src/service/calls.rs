//! [`Calls`]: the calls that the middleware makes to a limiter.

use std::future::Future;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::time::Duration;

use brimful::{
    AcquireCause, AcquireError, Clock, CompositeAcquireError, CompositeDecision, CompositeLimiter, Decision, Granted,
    KeyedCompositeLimiter, KeyedRateLimiter, OwnedAcquire, OwnedCompositeAcquire, Quota, RateLimiter, Tokens,
};

use crate::headers::Decided;

/// The calls that the middleware makes.
pub trait Calls<K>: Send + Sync + 'static {
    /// The decision on a request, which can be put into its extensions.
    type Decision: Clone + Send + Sync + 'static;

    /// A wait for the tokens of a request.
    type Wait: Future<Output = Result<Granted, Self::Error>> + Unpin;

    /// The reason for which a wait ended in vain.
    type Error: Vain;

    /// Takes the tokens of a request if they are there.
    fn decide(&self, key: &K, cost: Tokens) -> Self::Decision;

    fn decided(decision: &Self::Decision) -> Decided<'_>;

    /// Waits for the tokens of a request, but not longer than `longest`.
    fn wait(self: &Arc<Self>, key: &K, cost: Tokens, longest: Duration) -> Self::Wait;

    /// Returns the current quota of the policy with this name.
    fn quota(&self, policy: &str) -> Option<Quota>;
}

/// The error of a wait.
pub trait Vain {
    fn cause(&self) -> AcquireCause;
    fn retry_after(&self) -> Option<Duration>;
}

impl Vain for AcquireError {
    fn cause(&self) -> AcquireCause {
        AcquireCause::Tokens(*self)
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after()
    }
}

impl Vain for CompositeAcquireError {
    fn cause(&self) -> AcquireCause {
        self.cause()
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after()
    }
}

impl<K, C, S> Calls<K> for KeyedRateLimiter<K, C, S>
where
    K: Hash + 'static,
    C: Clock + Clone + Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    type Decision = Decision;
    type Wait = OwnedAcquire<C>;
    type Error = AcquireError;

    #[inline]
    fn decide(&self, key: &K, cost: Tokens) -> Decision {
        self.decide(key, cost)
    }

    fn decided(decision: &Decision) -> Decided<'_> {
        decision.into()
    }

    fn wait(self: &Arc<Self>, key: &K, cost: Tokens, longest: Duration) -> OwnedAcquire<C> {
        self.acquire_n_owned(key, cost).within(longest)
    }

    fn quota(&self, _: &str) -> Option<Quota> {
        Some(self.quota())
    }
}

impl<K, C, S> Calls<K> for KeyedCompositeLimiter<K, C, S>
where
    K: Hash + 'static,
    C: Clock + Clone + Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    type Decision = CompositeDecision;
    type Wait = OwnedCompositeAcquire<C>;
    type Error = CompositeAcquireError;

    #[inline]
    fn decide(&self, key: &K, cost: Tokens) -> CompositeDecision {
        self.decide(key, cost)
    }

    fn decided(decision: &CompositeDecision) -> Decided<'_> {
        decision.into()
    }

    fn wait(self: &Arc<Self>, key: &K, cost: Tokens, longest: Duration) -> OwnedCompositeAcquire<C> {
        self.acquire_n_owned(key, cost).within(longest)
    }

    fn quota(&self, policy: &str) -> Option<Quota> {
        self.quota(policy)
    }
}

/// One bucket for all keys.
impl<K, C: Clock + Clone + Send + Sync + 'static> Calls<K> for RateLimiter<C> {
    type Decision = Decision;
    type Wait = OwnedAcquire<C>;
    type Error = AcquireError;

    #[inline]
    fn decide(&self, _: &K, cost: Tokens) -> Decision {
        self.decide(cost)
    }

    fn decided(decision: &Decision) -> Decided<'_> {
        decision.into()
    }

    fn wait(self: &Arc<Self>, _: &K, cost: Tokens, longest: Duration) -> OwnedAcquire<C> {
        self.acquire_n_owned(cost).within(longest)
    }

    fn quota(&self, _: &str) -> Option<Quota> {
        Some(self.quota())
    }
}

/// One bucket of each quota for all keys.
impl<K, C: Clock + Clone + Send + Sync + 'static> Calls<K> for CompositeLimiter<C> {
    type Decision = CompositeDecision;
    type Wait = OwnedCompositeAcquire<C>;
    type Error = CompositeAcquireError;

    #[inline]
    fn decide(&self, _: &K, cost: Tokens) -> CompositeDecision {
        self.decide(cost)
    }

    fn decided(decision: &CompositeDecision) -> Decided<'_> {
        decision.into()
    }

    fn wait(self: &Arc<Self>, _: &K, cost: Tokens, longest: Duration) -> OwnedCompositeAcquire<C> {
        self.acquire_n_owned(cost).within(longest)
    }

    fn quota(&self, policy: &str) -> Option<Quota> {
        self.quota(policy)
    }
}

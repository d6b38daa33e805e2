//! The limiters of rates.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::time::Duration;

use brimful::{
    AcquireCause, AcquireError, Clock, CompositeAcquireError, CompositeDecision, CompositeLimiter, Decision, Granted,
    KeyedCompositeLimiter, KeyedRateLimiter, OwnedAcquire, OwnedCompositeAcquire, OwnedCompositeReservation,
    OwnedReservation, Quota, RateLimiter, Tokens,
};

use super::calls::{Calls, Held, Vain};
use crate::headers::Decided;

impl Vain for AcquireError {
    fn is_of_quota(&self) -> bool {
        matches!(self, AcquireError::TooLate(_) | AcquireError::ExceedsBurst(_))
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after()
    }
}

impl Vain for CompositeAcquireError {
    fn is_of_quota(&self) -> bool {
        matches!(self.cause(), AcquireCause::Tokens(error) if error.is_of_quota())
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after()
    }
}

impl<C: Clock + Send + Sync + 'static> Held for OwnedReservation<C> {
    const LASTS: bool = false;

    fn settle(self, cost: Tokens) {
        // The tokens that the limit of debt leaves uncharged stay so.
        let _ = self.commit(cost);
    }
}

impl<C: Clock + Send + Sync + 'static> Held for OwnedCompositeReservation<C> {
    const LASTS: bool = false;

    fn settle(self, cost: Tokens) {
        let _ = self.commit(cost);
    }
}

/// The calls to a limiter with keys, which all have the same form.
macro_rules! keyed {
    ($limiter:ident, $decision:ident, $wait:ident, $error:ident, $held:ident, |$this:ident, $policy:ident| $quota:expr) => {
        impl<K, C, S> Calls<K> for $limiter<K, C, S>
        where
            K: Hash + 'static,
            C: Clock + Clone + Send + Sync + 'static,
            S: BuildHasher + Send + Sync + 'static,
        {
            type Decision = $decision;
            type Outcome = $decision;
            type Held = $held<C>;
            type Wait = $wait<C>;
            type Granted = Granted;
            type Error = $error;

            #[inline]
            fn decide(self: &Arc<Self>, key: &K, cost: Tokens) -> $decision {
                (**self).decide(key, cost)
            }

            fn has(&self, key: &K, cost: Tokens) -> bool {
                self.key(key).time_until(cost) == Some(Duration::ZERO)
            }

            #[inline]
            fn allowed(decision: &$decision) -> bool {
                decision.allowed()
            }

            #[inline]
            fn permit(_: &mut $decision) -> Option<$held<C>> {
                None
            }

            #[inline]
            fn decision(decision: $decision) -> $decision {
                decision
            }

            fn decided(decision: &$decision) -> Option<Decided<'_>> {
                Some(decision.into())
            }

            fn wait(self: &Arc<Self>, key: &K, cost: Tokens, longest: Duration) -> $wait<C> {
                self.acquire_n_owned(key, cost).within(longest)
            }

            fn granted(_: Granted) -> Option<$held<C>> {
                None
            }

            fn hold(self: &Arc<Self>, key: &K, taken: Tokens) -> Option<$held<C>> {
                Some(self.settle_later(key, taken))
            }

            fn quota(&self, _: &K, $policy: &str) -> Option<Quota> {
                let $this = self;
                $quota
            }
        }
    };
}

/// The calls to a limiter with one bucket of each quota for all keys.
macro_rules! single {
    ($limiter:ident, $decision:ident, $wait:ident, $error:ident, $held:ident, |$this:ident, $policy:ident| $quota:expr) => {
        impl<K, C: Clock + Clone + Send + Sync + 'static> Calls<K> for $limiter<C> {
            type Decision = $decision;
            type Outcome = $decision;
            type Held = $held<C>;
            type Wait = $wait<C>;
            type Granted = Granted;
            type Error = $error;

            #[inline]
            fn decide(self: &Arc<Self>, _: &K, cost: Tokens) -> $decision {
                (**self).decide(cost)
            }

            fn has(&self, _: &K, cost: Tokens) -> bool {
                self.time_until(cost) == Some(Duration::ZERO)
            }

            #[inline]
            fn allowed(decision: &$decision) -> bool {
                decision.allowed()
            }

            #[inline]
            fn permit(_: &mut $decision) -> Option<$held<C>> {
                None
            }

            #[inline]
            fn decision(decision: $decision) -> $decision {
                decision
            }

            fn decided(decision: &$decision) -> Option<Decided<'_>> {
                Some(decision.into())
            }

            fn wait(self: &Arc<Self>, _: &K, cost: Tokens, longest: Duration) -> $wait<C> {
                self.acquire_n_owned(cost).within(longest)
            }

            fn granted(_: Granted) -> Option<$held<C>> {
                None
            }

            fn hold(self: &Arc<Self>, _: &K, taken: Tokens) -> Option<$held<C>> {
                Some(self.settle_later(taken))
            }

            fn quota(&self, _: &K, $policy: &str) -> Option<Quota> {
                let $this = self;
                $quota
            }
        }
    };
}

keyed!(KeyedRateLimiter, Decision, OwnedAcquire, AcquireError, OwnedReservation, |limiter, _policy| Some(
    limiter.quota()
));
keyed!(
    KeyedCompositeLimiter,
    CompositeDecision,
    OwnedCompositeAcquire,
    CompositeAcquireError,
    OwnedCompositeReservation,
    |limiter, policy| limiter.quota(policy)
);
single!(RateLimiter, Decision, OwnedAcquire, AcquireError, OwnedReservation, |limiter, _policy| Some(limiter.quota()));
single!(
    CompositeLimiter,
    CompositeDecision,
    OwnedCompositeAcquire,
    CompositeAcquireError,
    OwnedCompositeReservation,
    |limiter, policy| limiter.quota(policy)
);

//! The limiters of rates.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::time::Duration;

use brimful::{
    AcquireCause, AcquireError, Clock, CompositeAcquireError, CompositeDecision, CompositeLimiter, Decision, Granted,
    KeyedCompositeLimiter, KeyedRateLimiter, OwnedAcquire, OwnedCompositeAcquire, OwnedCompositeReservation,
    OwnedReservation, Quota, RateLimiter, Tokens,
};

use super::calls::{Begun, Calls, Held, Longest, Never, Numbers, Vain, set_longest};
use crate::headers::Decided;

impl Vain for AcquireError {
    fn is_of_quota(&self) -> bool {
        matches!(self, AcquireError::TooLate(_) | AcquireError::ExceedsBurst(_))
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after()
    }

    fn is_closed(&self) -> bool {
        matches!(self, AcquireError::LimiterClosed(_))
    }
}

impl Vain for CompositeAcquireError {
    fn is_of_quota(&self) -> bool {
        matches!(self.cause(), AcquireCause::Tokens(error) if error.is_of_quota())
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after()
    }

    fn is_closed(&self) -> bool {
        match self.cause() {
            AcquireCause::Tokens(error) => error.is_closed(),
            AcquireCause::Permit(error) => error.is_closed(),
            _ => false,
        }
    }
}

impl<C: Clock + Send + Sync + 'static> Held for OwnedReservation<C> {
    const LASTS: bool = false;

    fn settle(self, cost: Tokens, uncharged: impl FnOnce(Tokens) + Send + 'static) {
        uncharged(self.commit(cost));
    }
}

impl<C: Clock + Send + Sync + 'static> Held for OwnedCompositeReservation<C> {
    const LASTS: bool = false;

    fn settle(self, cost: Tokens, uncharged: impl FnOnce(Tokens) + Send + 'static) {
        uncharged(self.commit(cost));
    }
}

/// The calls to a limiter: of one quota or of several, with keys or without. The argument is the key, if it has keys.
macro_rules! rates {
    (
        [$($generics:tt)*] $limiter:ty, |$key:ident| $($argument:ident)?,
        $decision:ident, $wait:ident, $error:ident, $held:ident,
        |$this:ident, $policy:ident| $quota:expr
    ) => {
        impl<C: Clock + Clone + Send + Sync + 'static, $($generics)*> Calls<K> for $limiter {
            type Decision = $decision;
            type Outcome = $decision;
            type Deciding = Never<$decision>;
            type Held = $held<C>;
            type Wait = $wait<C>;
            type Granted = Granted;
            type Error = $error;

            #[inline]
            fn decide(self: &Arc<Self>, $key: &K, cost: Tokens, _: bool) -> Begun<$decision, Self::Deciding> {
                Begun::Now((**self).decide($($argument,)? cost))
            }

            #[inline]
            fn allowed(decision: &$decision) -> bool {
                decision.allowed()
            }

            #[inline]
            fn decision(decision: $decision) -> $decision {
                decision
            }

            #[inline]
            fn held(
                self: &Arc<Self>,
                $key: &K,
                taken: Tokens,
                _: &mut $decision,
                settles: bool,
            ) -> Option<$held<C>> {
                settles.then(|| self.settle_later($($argument,)? taken))
            }

            fn wait(
                self: &Arc<Self>,
                $key: &K,
                cost: Tokens,
                longest: Longest,
                _: Option<&$decision>,
            ) -> $wait<C> {
                set_longest!(self.acquire_n_owned($($argument,)? cost), longest)
            }

            fn granted(self: &Arc<Self>, $key: &K, cost: Tokens, _: Granted) -> Option<$held<C>> {
                Some(self.settle_later($($argument,)? cost))
            }
        }

        impl<C: Clock + Clone + Send + Sync + 'static, $($generics)*> Numbers<K> for $limiter {
            const KEEPS_PLACES: bool = true;

            fn has(&self, $key: &K, cost: Tokens) -> bool {
                self$(.key($argument))?.time_until(cost) == Some(Duration::ZERO)
            }

            fn decided(decision: &$decision) -> Option<Decided<'_>> {
                Some(decision.into())
            }

            fn look(self: &Arc<Self>, $key: &K) -> Option<$decision> {
                // A cost of zero charges nothing.
                Some((**self).decide($($argument,)? Tokens::ZERO))
            }

            fn quota(&self, _: &K, $policy: &str) -> Option<Quota> {
                let $this = self;
                $quota
            }
        }
    };
}

rates!(
    [K: Hash + 'static, S: BuildHasher + Send + Sync + 'static] KeyedRateLimiter<K, C, S>, |key| key,
    Decision, OwnedAcquire, AcquireError, OwnedReservation,
    |limiter, _policy| Some(limiter.quota())
);
rates!(
    [K: Hash + 'static, S: BuildHasher + Send + Sync + 'static] KeyedCompositeLimiter<K, C, S>, |key| key,
    CompositeDecision, OwnedCompositeAcquire, CompositeAcquireError, OwnedCompositeReservation,
    |limiter, policy| limiter.quota(policy)
);
// One bucket of each quota for all keys.
rates!(
    [K] RateLimiter<C>, |_key|,
    Decision, OwnedAcquire, AcquireError, OwnedReservation,
    |limiter, _policy| Some(limiter.quota())
);
rates!(
    [K] CompositeLimiter<C>, |_key|,
    CompositeDecision, OwnedCompositeAcquire, CompositeAcquireError, OwnedCompositeReservation,
    |limiter, policy| limiter.quota(policy)
);

//! The limiters of requests in flight.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::time::Duration;

use brimful::{
    AcquirePermitError, Clock, ConcurrencyLimit, KeyedConcurrencyLimit, OwnedAcquirePermit, OwnedPermit, Quota, Tokens,
    TryAcquirePermitError,
};

use super::calls::{Begun, Calls, Held, Longest, Never, Numbers, Vain, set_longest};
use crate::headers::Decided;

impl Vain for AcquirePermitError {
    fn is_of_quota(&self) -> bool {
        false
    }

    fn retry_after(&self) -> Option<Duration> {
        None
    }

    fn is_closed(&self) -> bool {
        matches!(self, AcquirePermitError::LimiterClosed(_))
    }
}

impl<C: Clock + Send + Sync + 'static> Held for OwnedPermit<C> {
    const LASTS: bool = true;

    fn settle(self, _: Tokens, _: impl FnOnce(Tokens) + Send + 'static) {}
}

type Decision = Result<(), TryAcquirePermitError>;

/// A permit, unless the cost was zero.
type Outcome<C> = Result<Option<OwnedPermit<C>>, TryAcquirePermitError>;

/// Takes a permit, unless the cost is zero.
#[inline]
fn decide<C>(
    cost: Tokens,
    take: impl FnOnce() -> Result<OwnedPermit<C>, TryAcquirePermitError>,
) -> Begun<Outcome<C>, Never<Outcome<C>>> {
    Begun::Now(if cost.is_zero() { Ok(None) } else { take().map(Some) })
}

/// The calls to a limit. The argument is the key, if the limit has keys.
macro_rules! permits {
    ([$($generics:tt)*] $limiter:ty, |$key:ident| $($argument:ident)?) => {
        impl<C: Clock + Clone + Send + Sync + 'static, $($generics)*> Calls<K> for $limiter {
            type Decision = Decision;
            type Outcome = Outcome<C>;
            type Deciding = Never<Outcome<C>>;
            type Held = OwnedPermit<C>;
            type Wait = OwnedAcquirePermit<C>;
            type Granted = OwnedPermit<C>;
            type Error = AcquirePermitError;

            #[inline]
            fn decide(self: &Arc<Self>, $key: &K, cost: Tokens, _: bool) -> Begun<Outcome<C>, Self::Deciding> {
                decide(cost, || self.try_acquire_owned($($argument)?))
            }

            #[inline]
            fn allowed(outcome: &Outcome<C>) -> bool {
                outcome.is_ok()
            }

            #[inline]
            fn decision(outcome: Outcome<C>) -> Decision {
                outcome.map(drop)
            }

            #[inline]
            fn held(
                self: &Arc<Self>,
                _: &K,
                _: Tokens,
                outcome: &mut Outcome<C>,
                _: bool,
            ) -> Option<OwnedPermit<C>> {
                outcome.as_mut().ok()?.take()
            }

            fn wait(
                self: &Arc<Self>,
                $key: &K,
                _: Tokens,
                longest: Longest,
                _: Option<&Decision>,
            ) -> OwnedAcquirePermit<C> {
                set_longest!(self.acquire_owned($($argument)?), longest)
            }

            fn granted(self: &Arc<Self>, _: &K, _: Tokens, granted: OwnedPermit<C>) -> Option<OwnedPermit<C>> {
                Some(granted)
            }
        }

        impl<C: Clock + Clone + Send + Sync + 'static, $($generics)*> Numbers<K> for $limiter {
            /// A permit would be held for no response.
            const KEEPS_PLACES: bool = false;

            /// Costs are not settled, so that a request takes its permit at once.
            fn has(&self, _: &K, _: Tokens) -> bool {
                false
            }

            fn decided(_: &Decision) -> Option<Decided<'_>> {
                None
            }

            fn look(self: &Arc<Self>, _: &K) -> Option<Decision> {
                Some(Ok(()))
            }

            fn quota(&self, _: &K, _: &str) -> Option<Quota> {
                None
            }
        }
    };
}

permits!([K: Hash + 'static, S: BuildHasher + Send + Sync + 'static] KeyedConcurrencyLimit<K, C, S>, |key| key);
// One limit for all keys.
permits!([K] ConcurrencyLimit<C>, |_key|);

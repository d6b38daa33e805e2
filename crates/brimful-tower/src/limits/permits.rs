//! The limiters of requests in flight.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::time::Duration;

use brimful::{
    AcquirePermitError, Clock, ConcurrencyLimit, KeyedConcurrencyLimit, OwnedAcquirePermit, OwnedPermit, Quota, Tokens,
    TryAcquirePermitError,
};

use super::calls::{Calls, Held, Vain};
use crate::headers::Decided;

impl Vain for AcquirePermitError {
    fn is_of_quota(&self) -> bool {
        false
    }

    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

impl<C: Clock + Send + Sync + 'static> Held for OwnedPermit<C> {
    const LASTS: bool = true;

    fn settle(self, _: Tokens) {}
}

type Decision = Result<(), TryAcquirePermitError>;

/// A permit, unless the cost was zero.
type Outcome<C> = Result<Option<OwnedPermit<C>>, TryAcquirePermitError>;

/// Takes a permit, unless the cost is zero.
#[inline]
fn decide<C>(cost: Tokens, take: impl FnOnce() -> Result<OwnedPermit<C>, TryAcquirePermitError>) -> Outcome<C> {
    if cost.is_zero() { Ok(None) } else { take().map(Some) }
}

/// The calls that do not depend on the key.
macro_rules! same {
    () => {
        type Decision = Decision;
        type Outcome = Outcome<C>;
        type Held = OwnedPermit<C>;
        type Wait = OwnedAcquirePermit<C>;
        type Granted = OwnedPermit<C>;
        type Error = AcquirePermitError;

        /// Costs are not settled, so that a request takes its permit at once.
        fn has(&self, _: &K, _: Tokens) -> bool {
            false
        }

        #[inline]
        fn allowed(outcome: &Outcome<C>) -> bool {
            outcome.is_ok()
        }

        #[inline]
        fn permit(outcome: &mut Outcome<C>) -> Option<OwnedPermit<C>> {
            outcome.as_mut().ok()?.take()
        }

        #[inline]
        fn decision(outcome: Outcome<C>) -> Decision {
            outcome.map(drop)
        }

        fn decided(_: &Decision) -> Option<Decided<'_>> {
            None
        }

        fn granted(granted: OwnedPermit<C>) -> Option<OwnedPermit<C>> {
            Some(granted)
        }

        fn hold(self: &Arc<Self>, _: &K, _: Tokens) -> Option<OwnedPermit<C>> {
            None
        }

        fn quota(&self, _: &K, _: &str) -> Option<Quota> {
            None
        }
    };
}

impl<K, C, S> Calls<K> for KeyedConcurrencyLimit<K, C, S>
where
    K: Hash + 'static,
    C: Clock + Clone + Send + Sync + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    same!();

    #[inline]
    fn decide(self: &Arc<Self>, key: &K, cost: Tokens) -> Outcome<C> {
        decide(cost, || self.try_acquire_owned(key))
    }

    fn wait(self: &Arc<Self>, key: &K, _: Tokens, longest: Duration) -> OwnedAcquirePermit<C> {
        self.acquire_owned(key).within(longest)
    }
}

/// One limit for all keys.
impl<K, C: Clock + Clone + Send + Sync + 'static> Calls<K> for ConcurrencyLimit<C> {
    same!();

    #[inline]
    fn decide(self: &Arc<Self>, _: &K, cost: Tokens) -> Outcome<C> {
        decide(cost, || self.try_acquire_owned())
    }

    fn wait(self: &Arc<Self>, _: &K, _: Tokens, longest: Duration) -> OwnedAcquirePermit<C> {
        self.acquire_owned().within(longest)
    }
}

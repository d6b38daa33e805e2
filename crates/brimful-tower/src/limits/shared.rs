//! The limiters of rates that many processes share.

use std::borrow::Borrow;
use std::fmt::Display;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use brimful::{Clock, QuantaClock, Quota, Quotas, Tokens};
use brimful_redis::engine::Store;
use brimful_redis::{
    LeasedRateLimiter, OwnedSharedReservation, RedisRateLimiter, SharedDecision, SharedError, SharedFuture, Source,
};
use tokio::runtime::Handle;

use super::calls::{Begun, Calls, Held, Longest, Numbers, Vain};
use crate::headers::Decided;

impl Vain for SharedError {
    fn is_of_quota(&self) -> bool {
        matches!(self, SharedError::RateLimited { .. } | SharedError::ExceedsBurst { .. })
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after()
    }

    fn is_closed(&self) -> bool {
        false
    }
}

/// Tokens of a shared limiter, which a task settles or gives back.
pub struct SharedHeld<K: Display + ?Sized + 'static, S: Store> {
    /// `None` when it was settled.
    reservation: Option<OwnedSharedReservation<K, S>>,
    runtime: Handle,
}

impl<K: Display + ?Sized + 'static, S: Store> SharedHeld<K, S> {
    /// Holds the tokens; `None` outside of a runtime, in which every decision is made.
    fn new(reservation: OwnedSharedReservation<K, S>) -> Option<Self> {
        let runtime = Handle::try_current().ok()?;
        Some(SharedHeld { reservation: Some(reservation), runtime })
    }

    /// Settles the tokens on a task of its own, unless the cost is what was reserved.
    fn end(&mut self, cost: Tokens, uncharged: impl FnOnce(Tokens) + Send + 'static) {
        let Some(reservation) = self.reservation.take() else { return };
        let reserved = reservation.reserved();
        if cost == reserved {
            return uncharged(Tokens::ZERO);
        }
        self.runtime.spawn(async move {
            // Without an answer of the store, what is missing is not charged, as far as is known.
            uncharged(reservation.commit(cost).await.unwrap_or(cost.saturating_sub(reserved)));
        });
    }
}

impl<K: Display + ?Sized + 'static, S: Store> Held for SharedHeld<K, S> {
    const LASTS: bool = false;

    fn settle(mut self, cost: Tokens, uncharged: impl FnOnce(Tokens) + Send + 'static) {
        self.end(cost, uncharged);
    }
}

impl<K: Display + ?Sized + 'static, S: Store> Drop for SharedHeld<K, S> {
    fn drop(&mut self) {
        self.end(Tokens::ZERO, drop);
    }
}

/// Returns the time until the end of a wait.
fn time_until(longest: Longest) -> Duration {
    match longest {
        Longest::Within(time) => time,
        Longest::Until(deadline) => Duration::from_nanos(deadline.saturating_sub(QuantaClock.now())),
    }
}

/// Returns the quota of a policy.
fn quota_of(quotas: &Quotas, policy: &str) -> Option<Quota> {
    match quotas.as_slice() {
        // It has the name of the layer's policy.
        [one] => Some(*one),
        _ => quotas.iter().find(|(name, _)| *name == policy).map(|(_, quota)| quota),
    }
}

/// The calls to a limiter, whose key is written by `Display`.
macro_rules! shared {
    ([$($bounds:tt)*] $limiter:ident, |$this:ident, $key:ident, $cost:ident| $now:expr) => {
        impl<K, Q, S> Calls<K> for $limiter<Q, S>
        where
            K: Borrow<Q>,
            Q: Display $($bounds)* + ?Sized + 'static,
            S: Store,
        {
            type Decision = SharedDecision;
            type Outcome = SharedDecision;
            type Deciding = SharedFuture<SharedDecision>;
            type Held = SharedHeld<Q, S>;
            type Wait = SharedFuture<Result<SharedDecision, SharedError>>;
            type Granted = SharedDecision;
            type Error = SharedError;

            fn decide(
                self: &Arc<Self>,
                key: &K,
                cost: Tokens,
                pays_later: bool,
            ) -> Begun<SharedDecision, Self::Deciding> {
                let ($this, $key, $cost) = (self, key.borrow(), cost);
                if pays_later {
                    return Begun::Later($this.preview_owned($key, $cost));
                }
                $now
            }

            fn allowed(decision: &SharedDecision) -> bool {
                decision.allowed()
            }

            fn decision(decision: SharedDecision) -> SharedDecision {
                decision
            }

            fn held(
                self: &Arc<Self>,
                key: &K,
                taken: Tokens,
                decision: &mut SharedDecision,
                settles: bool,
            ) -> Option<Self::Held> {
                if !settles {
                    return None;
                }
                SharedHeld::new(self.settle_later(key.borrow(), taken, decision.source()))
            }

            fn wait(
                self: &Arc<Self>,
                key: &K,
                cost: Tokens,
                longest: Longest,
                refused: Option<&SharedDecision>,
            ) -> Self::Wait {
                let refusal = refused.and_then(|refused| refused.refusal().cloned());
                self.acquire_n_owned(key.borrow(), cost, time_until(longest), refusal)
            }

            fn granted(self: &Arc<Self>, key: &K, cost: Tokens, decision: SharedDecision) -> Option<Self::Held> {
                SharedHeld::new(self.settle_later(key.borrow(), cost, decision.source()))
            }
        }

        impl<K, Q, S> Numbers<K> for $limiter<Q, S>
        where
            K: Borrow<Q>,
            Q: Display $($bounds)* + ?Sized + 'static,
            S: Store,
        {
            /// A wait asks the store by itself, without a queue.
            const KEEPS_PLACES: bool = false;

            fn has(&self, _: &K, _: Tokens) -> bool {
                false
            }

            fn decided(decision: &SharedDecision) -> Option<Decided<'_>> {
                Some(decision.into())
            }

            fn look(self: &Arc<Self>, _: &K) -> Option<SharedDecision> {
                None
            }

            fn of_wait(granted: &SharedDecision) -> Option<SharedDecision> {
                Some(granted.clone())
            }

            fn is_degraded(decision: &SharedDecision) -> bool {
                decision.source() == Source::Policy
            }

            fn quota(&self, _: &K, policy: &str) -> Option<Quota> {
                quota_of(self.quotas(), policy)
            }
        }
    };
}

shared!([] RedisRateLimiter, |limiter, key, cost| Begun::Later(limiter.decide_owned(key, cost)));
shared!([+ Hash] LeasedRateLimiter, |limiter, key, cost| match limiter.decide_leased(key, cost) {
    Some(decision) => Begun::Now(decision),
    None => Begun::Later(limiter.decide_owned(key, cost)),
});

//! Tokens taken for a cost that is known later.

use core::fmt;

use super::RateLimiter;
use super::account::Account;
use super::source::given;
use crate::clock::Clock;
use crate::tokens::Tokens;

#[cfg(feature = "std")]
use super::keyed::{Bucket, KeyedRateLimiter};
#[cfg(feature = "std")]
use crate::clock::QuantaClock;
#[cfg(feature = "std")]
use crate::table::Fingerprint;
#[cfg(feature = "std")]
use std::sync::Arc;

/// Where a reservation is settled.
trait Ledger {
    /// Settles `reserved` tokens for `actual`, at the time given or else now, and returns what
    /// could not be charged.
    fn book(&self, reserved: Tokens, actual: Tokens, at: Option<u64>) -> Tokens;
}

impl<C: Clock> Ledger for &RateLimiter<C> {
    fn book(&self, reserved: Tokens, actual: Tokens, at: Option<u64>) -> Tokens {
        match at {
            Some(now_ns) => self.settle(reserved, actual, given(now_ns)),
            None => self.settle(reserved, actual, self.live()),
        }
    }
}

#[cfg(feature = "std")]
impl<C: Clock> Ledger for Arc<RateLimiter<C>> {
    fn book(&self, reserved: Tokens, actual: Tokens, at: Option<u64>) -> Tokens {
        (&**self).book(reserved, actual, at)
    }
}

#[cfg(feature = "std")]
impl<C: Clock> Ledger for Bucket<'_, C> {
    fn book(&self, reserved: Tokens, actual: Tokens, at: Option<u64>) -> Tokens {
        match at {
            Some(now_ns) => self.settle(reserved, actual, given(now_ns)),
            None => self.settle(reserved, actual, self.live()),
        }
    }
}

/// A bucket of a shared keyed limiter.
#[cfg(feature = "std")]
struct Shared<K: ?Sized, C: Clock, S> {
    limiter: Arc<KeyedRateLimiter<K, C, S>>,
    key: Fingerprint,
}

#[cfg(feature = "std")]
impl<K: ?Sized, C: Clock, S> Ledger for Shared<K, C, S> {
    fn book(&self, reserved: Tokens, actual: Tokens, at: Option<u64>) -> Tokens {
        self.limiter.bucket(self.key).book(reserved, actual, at)
    }
}

/// Tokens to be settled once, here: what comes after finds nothing reserved.
struct Pledge<L: Ledger> {
    ledger: L,
    tokens: Tokens,
    /// The time it was made at, where the caller gave one.
    given: Option<u64>,
}

impl<L: Ledger> Pledge<L> {
    fn settle(&mut self, actual: Tokens, at: Option<u64>) -> Tokens {
        let reserved = core::mem::take(&mut self.tokens);
        self.ledger.book(reserved, actual, at.or(self.given))
    }
}

impl<L: Ledger> Drop for Pledge<L> {
    fn drop(&mut self) {
        if !self.tokens.is_zero() {
            self.settle(Tokens::ZERO, None);
        }
    }
}

/// The verbs of a reservation, whatever it is settled with.
macro_rules! reservation {
    ($name:ident, [$($generics:tt)*], [$($args:tt)*]) => {
        impl<$($generics)*> $name<$($args)*> {
            /// What was reserved and not settled yet.
            #[must_use]
            pub fn tokens(&self) -> Tokens {
                self.0.tokens
            }

            /// Settles for the cost that it really was: gives back the rest, or charges what was
            /// missing, which may take the bucket into debt, by default down to one burst below
            /// zero ([`Quota::max_debt`](crate::Quota::max_debt)). Returns what that limit left
            /// uncharged, rounded up to a unit: usually zero.
            pub fn commit(mut self, actual: impl Into<Tokens>) -> Tokens {
                self.0.settle(actual.into(), None)
            }

            /// Gives all back.
            pub fn cancel(self) {}

            /// [`commit`](Self::commit) at `now_ns`.
            pub fn commit_at(mut self, now_ns: u64, actual: impl Into<Tokens>) -> Tokens {
                self.0.settle(actual.into(), Some(now_ns))
            }

            /// [`cancel`](Self::cancel) at `now_ns`.
            pub fn cancel_at(self, now_ns: u64) {
                self.commit_at(now_ns, Tokens::ZERO);
            }
        }

        impl<$($generics)*> fmt::Debug for $name<$($args)*> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("tokens", &self.0.tokens).finish_non_exhaustive()
            }
        }
    };
}

/// Tokens taken now, for a call whose true cost is known later. Made by
/// [`RateLimiter::try_reserve_n`].
///
/// [`commit`](Reservation::commit) settles it; [`cancel`](Reservation::cancel), or dropping it,
/// gives all back. What is given back is clipped at the burst.
#[must_use = "dropping a reservation gives its tokens back at once"]
pub struct Reservation<'a, #[cfg(feature = "std")] C: Clock = QuantaClock, #[cfg(not(feature = "std"))] C: Clock>(
    Pledge<&'a RateLimiter<C>>,
);

impl<'a, C: Clock> Reservation<'a, C> {
    #[inline]
    pub(super) fn new(ledger: &'a RateLimiter<C>, tokens: Tokens, given: Option<u64>) -> Self {
        Reservation(Pledge { ledger, tokens, given })
    }
}

reservation!(Reservation, [C: Clock], ['_, C]);

/// A [`Reservation`] that keeps its limiter alive. Made by
/// [`RateLimiter::try_reserve_n_owned`].
#[cfg(feature = "std")]
#[must_use = "dropping a reservation gives its tokens back at once"]
pub struct OwnedReservation<C: Clock = QuantaClock>(Pledge<Arc<RateLimiter<C>>>);

#[cfg(feature = "std")]
impl<C: Clock> OwnedReservation<C> {
    pub(super) fn new(ledger: Arc<RateLimiter<C>>, tokens: Tokens, given: Option<u64>) -> Self {
        OwnedReservation(Pledge { ledger, tokens, given })
    }
}

#[cfg(feature = "std")]
reservation!(OwnedReservation, [C: Clock], [C]);

/// Tokens of one key taken now, for a call whose true cost is known later. Made by
/// [`KeyedRateLimiter::try_reserve_n`]; as [`Reservation`] otherwise.
///
/// It does not keep the key in the table. Where the key was forgotten before this is settled, its
/// bucket was full or shares the debt of those that were evicted, and what is given back or
/// charged is given to or charged from that.
#[cfg(feature = "std")]
#[must_use = "dropping a reservation gives its tokens back at once"]
pub struct KeyedReservation<'a, C: Clock = QuantaClock>(Pledge<Bucket<'a, C>>);

#[cfg(feature = "std")]
impl<'a, C: Clock> KeyedReservation<'a, C> {
    #[inline]
    pub(super) fn new(ledger: Bucket<'a, C>, tokens: Tokens, given: Option<u64>) -> Self {
        KeyedReservation(Pledge { ledger, tokens, given })
    }
}

#[cfg(feature = "std")]
reservation!(KeyedReservation, [C: Clock], ['_, C]);

/// A [`KeyedReservation`] that keeps its limiter alive. Made by
/// [`KeyedRateLimiter::try_reserve_n_owned`].
#[cfg(feature = "std")]
#[must_use = "dropping a reservation gives its tokens back at once"]
pub struct OwnedKeyedReservation<K: ?Sized, C: Clock = QuantaClock, S = super::keyed::SipState>(
    Pledge<Shared<K, C, S>>,
);

#[cfg(feature = "std")]
impl<K: ?Sized, C: Clock, S> OwnedKeyedReservation<K, C, S> {
    pub(super) fn new(
        limiter: Arc<KeyedRateLimiter<K, C, S>>,
        key: Fingerprint,
        tokens: Tokens,
        given: Option<u64>,
    ) -> Self {
        OwnedKeyedReservation(Pledge { ledger: Shared { limiter, key }, tokens, given })
    }
}

#[cfg(feature = "std")]
reservation!(OwnedKeyedReservation, [K: ?Sized, C: Clock, S], [K, C, S]);

//! [`Reservation`]: tokens taken for a cost that is known later.

use core::fmt;

use super::{RateLimiter, given};
use crate::clock::Clock;
#[cfg(feature = "std")]
use crate::clock::QuantaClock;
use crate::tokens::Tokens;

/// Tokens taken now, for a call whose true cost is known later. Made by
/// [`RateLimiter::try_reserve_n`].
///
/// [`commit`](Reservation::commit) settles it; [`cancel`](Reservation::cancel), or dropping it,
/// gives all back. What is given back is clipped at the burst.
#[must_use = "dropping a reservation gives its tokens back at once"]
pub struct Reservation<'a, #[cfg(feature = "std")] C: Clock = QuantaClock, #[cfg(not(feature = "std"))] C: Clock> {
    limiter: &'a RateLimiter<C>,
    held: Held,
}

/// What a reservation holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    tokens: Tokens,
    /// The time it was made at, where the caller gave one.
    given: Option<u64>,
}

impl<'a, C: Clock> Reservation<'a, C> {
    #[inline]
    pub(super) fn new(limiter: &'a RateLimiter<C>, tokens: Tokens, given: Option<u64>) -> Self {
        Reservation { limiter, held: Held { tokens, given } }
    }

    /// What was reserved and not settled yet.
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        self.held.tokens
    }

    /// Settles for the cost that it really was: gives back the rest, or charges what was
    /// missing, which may take the bucket into debt, by default down to one burst below zero
    /// ([`Quota::max_debt`](crate::Quota::max_debt)). Returns what that limit left uncharged,
    /// rounded up to a unit: usually zero.
    pub fn commit(mut self, actual: impl Into<Tokens>) -> Tokens {
        self.held.settle(self.limiter, actual.into(), None)
    }

    /// Gives all back.
    pub fn cancel(self) {}

    /// [`commit`](Reservation::commit) at `now_ns`.
    pub fn commit_at(mut self, now_ns: u64, actual: impl Into<Tokens>) -> Tokens {
        self.held.settle(self.limiter, actual.into(), Some(now_ns))
    }

    /// [`cancel`](Reservation::cancel) at `now_ns`.
    pub fn cancel_at(self, now_ns: u64) {
        self.commit_at(now_ns, Tokens::ZERO);
    }
}

impl<C: Clock> Drop for Reservation<'_, C> {
    fn drop(&mut self) {
        self.held.settle(self.limiter, Tokens::ZERO, None);
    }
}

impl<C: Clock> fmt::Debug for Reservation<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation").field("tokens", &self.held.tokens).finish_non_exhaustive()
    }
}

/// A [`Reservation`] that keeps its limiter alive. Made by
/// [`RateLimiter::try_reserve_n_owned`].
#[cfg(feature = "std")]
#[must_use = "dropping a reservation gives its tokens back at once"]
pub struct OwnedReservation<C: Clock = QuantaClock> {
    limiter: std::sync::Arc<RateLimiter<C>>,
    held: Held,
}

#[cfg(feature = "std")]
impl<C: Clock> OwnedReservation<C> {
    pub(super) fn new(limiter: std::sync::Arc<RateLimiter<C>>, tokens: Tokens, given: Option<u64>) -> Self {
        OwnedReservation { limiter, held: Held { tokens, given } }
    }

    /// As [`Reservation::tokens`].
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        self.held.tokens
    }

    /// As [`Reservation::commit`].
    pub fn commit(mut self, actual: impl Into<Tokens>) -> Tokens {
        self.held.settle(&self.limiter, actual.into(), None)
    }

    /// As [`Reservation::cancel`].
    pub fn cancel(self) {}

    /// As [`Reservation::commit_at`].
    pub fn commit_at(mut self, now_ns: u64, actual: impl Into<Tokens>) -> Tokens {
        self.held.settle(&self.limiter, actual.into(), Some(now_ns))
    }

    /// As [`Reservation::cancel_at`].
    pub fn cancel_at(self, now_ns: u64) {
        self.commit_at(now_ns, Tokens::ZERO);
    }
}

#[cfg(feature = "std")]
impl<C: Clock> Drop for OwnedReservation<C> {
    fn drop(&mut self) {
        self.held.settle(&self.limiter, Tokens::ZERO, None);
    }
}

#[cfg(feature = "std")]
impl<C: Clock> fmt::Debug for OwnedReservation<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedReservation").field("tokens", &self.held.tokens).finish_non_exhaustive()
    }
}

impl Held {
    /// Settles once: what comes after finds nothing reserved.
    fn settle<C: Clock>(&mut self, limiter: &RateLimiter<C>, actual: Tokens, at: Option<u64>) -> Tokens {
        let reserved = core::mem::take(&mut self.tokens);
        match at.or(self.given) {
            Some(now_ns) => limiter.settle(reserved, actual, given(now_ns)),
            None => limiter.settle(reserved, actual, limiter.live()),
        }
    }
}

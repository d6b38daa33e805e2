//! [`AllOf`]: limits of different kinds, keys and costs, joined for one call.

use std::fmt;

use super::decision::CompositeDecision;
use super::error::LimitError;
use super::name::LimitName;
use super::together::{self, Part, Parts};
use crate::clock::{Clock, QuantaClock};
use crate::limiter::Bucket;
use crate::limiter::Found;
use crate::tokens::Tokens;
use crate::word::Word;

/// The tokens that a call takes from one limit, and the limit's name. See [`AllOf`].
pub struct Charge<'a, C = QuantaClock> {
    name: &'a str,
    bucket: Bucket<'a, C>,
    n: Tokens,
}

impl<'a, C> Charge<'a, C> {
    /// Returns a charge of `n` tokens to a limit: a [`RateLimiter`](crate::RateLimiter), the
    /// [`key`](crate::KeyedRateLimiter::key) of a keyed one, or a view that leaves tokens in the bucket. The
    /// name is the one that errors show; more than 31 bytes are cut.
    pub fn new(name: &'a str, limit: impl Into<Bucket<'a, C>>, n: impl Into<Tokens>) -> Self {
        Charge { name, bucket: limit.into(), n: n.into() }
    }
}

impl<C> fmt::Debug for Charge<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Charge").field("limit", &self.name).field("tokens", &self.n).finish()
    }
}

/// Limits of different kinds, keys and costs, joined for one call: all of them are charged, or none.
///
/// The limits are charged in the given order, and may be used by other calls at the same time, alone or joined
/// with others in any order: no call waits for another, so there is no deadlock, and each limit keeps its own
/// bound. While this call takes from the limits, another call may be denied by a charge that is given back a
/// moment later.
///
/// To charge the same limits for every call, see [`CompositeLimiter`](crate::CompositeLimiter).
///
/// # Examples
///
/// ```
/// use brimful::{AllOf, Charge, KeyedRateLimiter, MockClock, Quota, RateLimiter};
///
/// let clock = MockClock::new();
/// let all = RateLimiter::with_clock(Quota::per_second(1_000), clock.clone());
/// let tenants = KeyedRateLimiter::<str, _>::with_clock(Quota::per_minute(100), clock.clone());
/// let tokens = KeyedRateLimiter::<u64, _>::with_clock(Quota::per_minute(1_500), clock.clone());
///
/// let call = || {
///     AllOf::new([
///         Charge::new("requests", &all, 1),
///         Charge::new("tenant", tenants.key("acme"), 1),
///         Charge::new("tokens", tokens.key(&7), 800),
///     ])
/// };
/// assert!(call().try_acquire().is_ok());
/// let refused = call().try_acquire().unwrap_err();
/// assert_eq!(refused.to_string(), "limit \"tokens\": rate limited: retry after 4s");
/// assert_eq!(all.available_tokens(), 999.0); // charged once
/// ```
#[must_use = "nothing is taken until a verb is called"]
pub struct AllOf<'a, const N: usize, C = QuantaClock> {
    charges: [Charge<'a, C>; N],
}

impl<'a, const N: usize, C: Clock> AllOf<'a, N, C> {
    /// Joins the limits of a call.
    #[inline]
    pub fn new(charges: [Charge<'a, C>; N]) -> Self {
        AllOf { charges }
    }

    /// Takes the tokens of every charge, or none.
    ///
    /// # Errors
    ///
    /// [`LimitError`], which names the limit that refused the call; if several did, the one with the longest
    /// wait. Nothing was charged anywhere.
    #[inline]
    pub fn try_acquire(&self) -> Result<(), LimitError> {
        together::take_all::<_, N>(self, None, &mut |_, _| ()).map_err(|refused| refused.error(self))
    }

    /// Takes the tokens of every charge, or none, and returns the decision with the numbers of each limit.
    pub fn decide(&self) -> CompositeDecision {
        CompositeDecision::of(self, None, || ())
    }

    /// Gives back what an admitted call took, if it turned out that the call is not made after all. What is
    /// given back is clipped at each burst.
    pub fn give_back(&self) {
        together::give_back(self, N, None);
    }
}

impl<'a, C: Clock, const N: usize> Parts for &AllOf<'a, N, C> {
    type Clock = C;
    type Place = Found<'a>;

    const SAME_CLOCK: bool = false;

    #[inline]
    fn len(&self) -> usize {
        N
    }

    #[inline]
    fn part(&self, nth: usize) -> Part<'_, C> {
        let Charge { bucket, n, .. } = &self.charges[nth];
        Part { target: bucket.target(), n: *n, leaving: bucket.left() }
    }

    fn name(&self, nth: usize) -> LimitName {
        LimitName::new(self.charges[nth].name)
    }

    #[inline]
    fn find(&self, nth: usize) -> Option<(Found<'a>, Word)> {
        self.charges[nth].bucket.target().find()
    }

    #[inline]
    fn is_here(&self, place: Found<'a>) -> bool {
        place.is_here()
    }

    #[inline]
    fn swap(&self, _: usize, place: Found<'a>, seen: Word, next: Word) -> bool {
        place.compare_exchange(seen, next)
    }
}

impl<const N: usize, C> fmt::Debug for AllOf<'_, N, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.charges).finish()
    }
}

//! [`AllOf`]: limits of different kinds, keys and costs, joined for one call.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};

use super::decision::CompositeDecision;
use super::error::{LimitCause, LimitError};
use super::together::{self, MOST_LIMITS, Part, Parts};
use crate::clock::{Clock, QuantaClock};
use crate::concurrency::{AcquirePermit, BorrowedTarget, ConcurrencyLimit, KeyedConcurrencyLimit, Permit};
use crate::error::LimitName;
use crate::limiter::{Acquire, Bucket, Found};
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

/// One permit that a call takes from a concurrency limit, and the limit's name. See [`AllOf`].
pub struct PermitCharge<'a, C = QuantaClock> {
    name: &'a str,
    target: BorrowedTarget<'a, C>,
}

impl<'a, C> PermitCharge<'a, C> {
    /// Returns a charge of one permit of a limit.
    pub fn new(name: &'a str, limit: &'a ConcurrencyLimit<C>) -> Self {
        PermitCharge { name, target: limit.target() }
    }

    /// Returns a charge of one permit of a key.
    pub fn of_key<K, Q, S>(name: &'a str, limit: &'a KeyedConcurrencyLimit<K, C, S>, key: &Q) -> Self
    where
        K: Hash + Borrow<Q> + ?Sized,
        Q: Hash + ?Sized,
        C: Clock,
        S: BuildHasher,
    {
        PermitCharge { name, target: limit.target(key) }
    }
}

impl<C> fmt::Debug for PermitCharge<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PermitCharge").field("limit", &self.name).finish_non_exhaustive()
    }
}

/// The permits that an admitted call holds, which it gives back when this is dropped. Tokens are spent, and are
/// not given back by it: see [`AllOf::give_back`].
pub struct Held<'a, const M: usize = 0> {
    permits: [Option<Permit<'a>>; M],
}

impl<'a, const M: usize> Held<'a, M> {
    /// Returns the permits, in order.
    pub fn into_permits(self) -> impl Iterator<Item = Permit<'a>> {
        self.permits.into_iter().flatten()
    }
}

impl<const M: usize> fmt::Debug for Held<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("permits", &M).finish()
    }
}

/// Limits of different kinds, keys and costs, joined for one call: all of them are charged, or none.
///
/// The limits are charged in the given order, after the permits of concurrency limits are taken. They may be used
/// by other calls at the same time, alone or joined with others in any order: no call holds anything while it
/// waits for another, so there is no deadlock, and each limit keeps its own bound. While this call takes from the
/// limits, another call may be denied by a charge that is given back a moment later.
///
/// To charge the same limits for every call, and to serve waiters in order over all of them, see
/// [`CompositeLimiter`](crate::CompositeLimiter).
///
/// # Examples
///
/// ```
/// use brimful::{AllOf, Charge, ConcurrencyLimit, KeyedRateLimiter, MockClock, PermitCharge, Quota, RateLimiter};
///
/// let clock = MockClock::new();
/// let all = RateLimiter::with_clock(Quota::per_second(1_000), clock.clone());
/// let tenants = KeyedRateLimiter::<str, _>::with_clock(Quota::per_minute(100), clock.clone());
/// let tokens = KeyedRateLimiter::<u64, _>::with_clock(Quota::per_minute(1_500), clock.clone());
/// let parallel = ConcurrencyLimit::with_clock(10, clock.clone());
///
/// let call = || {
///     AllOf::new([
///         Charge::new("requests", &all, 1),
///         Charge::new("tenant", tenants.key("acme"), 1),
///         Charge::new("tokens", tokens.key(&7), 800),
///     ])
///     .permits([PermitCharge::new("parallel", &parallel)])
/// };
/// let held = call().try_acquire()?; // the permit, until it is dropped
/// let refused = call().try_acquire().unwrap_err();
/// assert_eq!(refused.to_string(), "limit \"tokens\": rate limited: retry after 4s");
/// assert_eq!((all.available_tokens(), parallel.in_flight()), (999.0, 1)); // charged once
/// drop(held);
/// assert_eq!(parallel.in_flight(), 0);
/// # Ok::<(), brimful::LimitError>(())
/// ```
#[must_use = "nothing is taken until a verb is called"]
pub struct AllOf<'a, const N: usize, const M: usize = 0, C = QuantaClock> {
    charges: [Charge<'a, C>; N],
    permits: [PermitCharge<'a, C>; M],
}

impl<'a, const N: usize, C> AllOf<'a, N, 0, C> {
    /// Joins the limits of a call: at most eight, which is checked when it is compiled.
    #[inline]
    pub fn new(charges: [Charge<'a, C>; N]) -> Self {
        const { assert!(N <= MOST_LIMITS, "at most eight limits of tokens can be joined") };
        AllOf { charges, permits: [] }
    }

    /// Adds concurrency limits, of which the call takes a permit each.
    #[inline]
    pub fn permits<const M: usize>(self, permits: [PermitCharge<'a, C>; M]) -> AllOf<'a, N, M, C> {
        AllOf { charges: self.charges, permits }
    }
}

impl<'a, const N: usize, const M: usize, C: Clock> AllOf<'a, N, M, C> {
    /// Takes the tokens of every charge and all permits, or nothing.
    ///
    /// # Errors
    ///
    /// [`LimitError`], which names the limit that refused the call: the first concurrency limit without a free
    /// permit; or, of the limits of tokens, the one with the longest wait. Nothing was charged anywhere.
    #[inline]
    pub fn try_acquire(&self) -> Result<Held<'a, M>, LimitError> {
        let held = self.take_permits(None)?;
        match together::take_all::<_, N>(self, None, &mut |_, _| ()) {
            Ok(()) => self.count_admitted(None),
            Err(refused) => return Err(self.count_refused(refused.error(self))),
        }
        Ok(held)
    }

    /// Takes the tokens of every charge, or none, and returns the decision with the numbers of each limit. Takes
    /// no permits.
    pub fn decide(&self) -> CompositeDecision {
        let decided = CompositeDecision::of(self, None, || ());
        match decided.refusal() {
            None => self.count_admitted(None),
            Some(error) => _ = self.count_refused(error),
        }
        decided
    }

    /// Gives back the tokens that an admitted call took, if it turned out that the call is not made after all. What
    /// is given back is clipped at each burst.
    pub fn give_back(&self) {
        together::give_back(self, N, None, |target, added| target.recording().refunded(added));
    }

    /// Counts an admitted call in the statistics of each limit but `counted`.
    #[inline]
    fn count_admitted(&self, counted: Option<usize>) {
        for (nth, Charge { bucket, n, .. }) in self.charges.iter().enumerate() {
            if Some(nth) != counted && !n.is_zero() {
                bucket.target().recording().admitted(*n);
            }
        }
    }

    /// Counts a refused call in the statistics of the limit that refused it, and returns the error.
    #[cold]
    fn count_refused(&self, error: LimitError) -> LimitError {
        if let (LimitCause::Tokens(cause), Some(Charge { bucket, n, .. })) =
            (error.cause(), self.charges.get(error.index()))
        {
            bucket.target().recording().refused(*n, &cause);
        }
        error
    }

    #[inline]
    fn take_permits(&self, mut have: Option<(usize, Permit<'a>)>) -> Result<Held<'a, M>, LimitError> {
        let mut held = Held { permits: [const { None }; M] };
        for (nth, (place, charge)) in held.permits.iter_mut().zip(&self.permits).enumerate() {
            *place = match have.take_if(|(at, _)| *at == nth) {
                Some((_, permit)) => Some(permit),
                None => match charge.target.try_acquire() {
                    Ok(permit) => Some(permit),
                    Err(error) => {
                        let name = LimitName::new(charge.name);
                        return Err(LimitError::new(N + nth, name, LimitCause::Permit(error)));
                    }
                },
            };
        }
        Ok(held)
    }

    /// Takes everything but the tokens of `charged` and of other charges on its bucket, which are taken already,
    /// and the permit in `have`. If a limit refuses, those are given back as well.
    pub(super) fn take(
        &self,
        charged: Option<usize>,
        have: Option<(usize, Permit<'a>)>,
    ) -> Result<Held<'a, M>, LimitError> {
        let taken = self.take_permits(have).and_then(|held| {
            let rest = Rest { all: self, charged };
            // A refusal is not counted: the call goes on to wait for that limit.
            together::take_all::<_, N>(rest, None, &mut |_, _| ()).map_err(|refused| refused.error(rest))?;
            self.count_admitted(charged);
            Ok(held)
        });
        if let (Err(_), Some(nth)) = (&taken, charged) {
            let target = self.charges[nth].bucket.target();
            target.refund(target.layout().units_up(self.tokens_with(nth)), target.live());
        }
        taken
    }

    /// Returns whether two charges are on the same bucket.
    fn are_same(&self, one: usize, other: usize) -> bool {
        self.charges[one].bucket.target().is_same(&self.charges[other].bucket.target())
    }

    /// Returns the tokens of a charge and of all others on the same bucket: they are waited for together.
    fn tokens_with(&self, nth: usize) -> Tokens {
        let same = (0..N).filter(|&other| self.are_same(nth, other));
        same.fold(Tokens::ZERO, |sum, other| sum.saturating_add(self.charges[other].n))
    }

    pub(super) fn name_of(&self, nth: usize) -> &'a str {
        if nth < N { self.charges[nth].name } else { self.permits[nth - N].name }
    }

    /// Returns the clock of the first limit.
    pub(super) fn clock(&self) -> Option<&'a C> {
        let of_charge = self.charges.first().map(|charge| charge.bucket.target().clock());
        of_charge.or_else(|| self.permits.first().map(|charge| charge.target.clock()))
    }
}

impl<'a, const N: usize, const M: usize, C: Clock + Clone + Send + Sync + 'static> AllOf<'a, N, M, C> {
    pub(super) fn acquire_tokens(&self, nth: usize) -> Acquire<'a, C> {
        self.charges[nth].bucket.acquire_n(self.tokens_with(nth))
    }

    pub(super) fn acquire_permit(&self, nth: usize) -> AcquirePermit<'a, C> {
        AcquirePermit::new(self.permits[nth].target)
    }
}

impl<'a, C: Clock, const N: usize, const M: usize> Parts for &AllOf<'a, N, M, C> {
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
    fn is_here(&self, nth: usize, place: Found<'a>) -> bool {
        place.is_here() && self.charges[nth].bucket.target().is_plain()
    }

    #[inline]
    fn swap(&self, _: usize, place: Found<'a>, seen: Word, next: Word) -> bool {
        place.compare_exchange(seen, next)
    }
}

/// The charges of a call, but for those on one bucket that are made already.
struct Rest<'b, 'a, const N: usize, const M: usize, C> {
    all: &'b AllOf<'a, N, M, C>,
    charged: Option<usize>,
}

impl<const N: usize, const M: usize, C> Clone for Rest<'_, '_, N, M, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<const N: usize, const M: usize, C> Copy for Rest<'_, '_, N, M, C> {}

impl<'a, C: Clock, const N: usize, const M: usize> Parts for Rest<'_, 'a, N, M, C> {
    type Clock = C;
    type Place = Found<'a>;

    const SAME_CLOCK: bool = false;

    fn len(&self) -> usize {
        N
    }

    fn part(&self, nth: usize) -> Part<'_, C> {
        let part = self.all.part(nth);
        let is_charged = self.charged.is_some_and(|charged| self.all.are_same(charged, nth));
        if is_charged { Part { n: Tokens::ZERO, ..part } } else { part }
    }

    fn name(&self, nth: usize) -> LimitName {
        self.all.name(nth)
    }

    fn find(&self, nth: usize) -> Option<(Found<'a>, Word)> {
        self.all.find(nth)
    }

    fn is_here(&self, nth: usize, place: Found<'a>) -> bool {
        self.all.is_here(nth, place)
    }

    fn swap(&self, nth: usize, place: Found<'a>, seen: Word, next: Word) -> bool {
        self.all.swap(nth, place, seen, next)
    }
}

impl<const N: usize, const M: usize, C> fmt::Debug for AllOf<'_, N, M, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.charges).entries(&self.permits).finish()
    }
}

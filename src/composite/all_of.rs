//! [`AllOf`]: limits of different kinds, keys and costs, joined for one call.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::time::Duration;

use super::decision::CompositeDecision;
use super::error::{AcquireCause, CompositeAcquireError, LimitCause, LimitError};
use super::together::{self, MOST_LIMITS, Part, Parts, Refused};
use crate::cell::TimeSource;
use crate::clock::{Clock, QuantaClock};
use crate::concurrency::{AcquirePermit, BorrowedTarget, ConcurrencyLimit, KeyedConcurrencyLimit, Permit};
use crate::error::{AcquirePermitError, JoinedTwice, LimitName, TimedOut};
use crate::limiter::{Bucket, Found, Granted, UncountedAcquire};
use crate::queue::{Deadline, in_drop};
use crate::tokens::Tokens;
use crate::word::{Reading, Word};

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
/// A limit of tokens can be joined more than once: it is charged the sum, and keeps the most tokens that one of the
/// charges leaves. A [`Decision`](crate::Decision) of such a charge shows the refusal of them all.
///
/// To charge the same limits for every call, and to serve waiters in order over all of them, see
/// [`CompositeLimiter`](crate::CompositeLimiter).
///
/// # Statistics
///
/// Each charge counts as one call on its limit, with and without a wait. A call that is refused, or that waits in
/// vain, counts on the limit that refused it. Tokens that a wait was granted, and gave back because another limit
/// refused it, count nowhere.
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

    /// Adds concurrency limits, of which the call takes a permit each. A limit, or a key of one, can be joined once:
    /// a call that joins it twice is refused.
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
    /// [`LimitCause::JoinedTwice`] if a concurrency limit is joined twice.
    #[inline]
    pub fn try_acquire(&self) -> Result<Held<'a, M>, LimitError> {
        let held = self.take_permits(None)?;
        match together::take_all::<_, N>(self, None, &mut |_, _| ()) {
            Ok(()) => self.count_admitted(),
            Err(refused) => return Err(self.count_refused(refused.error(self))),
        }
        Ok(held)
    }

    /// Takes the tokens of every charge, or none, and returns the decision with the numbers of each limit. Takes
    /// no permits.
    pub fn decide(&self) -> CompositeDecision {
        let decided = CompositeDecision::of(self, None, || ());
        match decided.refusal() {
            None => self.count_admitted(),
            Some(error) => _ = self.count_refused(error),
        }
        decided
    }

    /// Gives back the tokens that an admitted call took, if it turned out that the call is not made after all. What
    /// is given back is clipped at each burst.
    pub fn give_back(&self) {
        together::give_back(self, N, None, |target, added| target.recording().refunded(added));
    }

    /// Counts an admitted call in the statistics of each limit: each charge is a call.
    #[inline]
    fn count_admitted(&self) {
        for Charge { bucket, n, .. } in &self.charges {
            if !n.is_zero() {
                bucket.target().recording().admitted(*n);
            }
        }
    }

    /// Counts the end of a wait in the statistics of the limit of tokens that it comes from.
    pub(super) fn count_ended(&self, error: &CompositeAcquireError) {
        let charge = error.index().and_then(|nth| self.charges.get(nth));
        if let (AcquireCause::Tokens(cause), Some(Charge { bucket, n, .. })) = (error.cause(), charge) {
            let target = bucket.target();
            target.count_wait(target.recording(), *n, Err(&cause));
        }
    }

    /// Counts a wait that was dropped while it waited for the tokens of a charge.
    pub(super) fn count_abandoned(&self, nth: usize) {
        self.charges[nth].bucket.target().recording().abandoned();
    }

    /// Counts a refused call in the statistics of the limit that refused it, and returns the error.
    #[cold]
    fn count_refused(&self, error: LimitError) -> LimitError {
        if let (LimitCause::Tokens(cause), Some(Charge { bucket, n, .. })) =
            (error.cause(), self.charges.get(error.index()))
        {
            bucket.target().count_refused(*n, &cause);
        }
        error
    }

    /// Returns the error of the first concurrency limit that is joined for the second time. One permit of two would
    /// be given back for ever, because a call holds nothing while it waits for the other one.
    fn joined_twice(&self) -> Option<LimitError> {
        let is_twice = |nth: usize| {
            let target = self.permits[nth].target;
            self.permits[..nth].iter().any(|before| before.target.is_same(target))
        };
        let nth = (1..M).find(|&nth| is_twice(nth))?;
        let name = LimitName::new(self.permits[nth].name);
        Some(LimitError::new(N + nth, name, LimitCause::JoinedTwice(JoinedTwice(()))))
    }

    #[inline]
    fn take_permits(&self, mut have: Option<(usize, Permit<'a>)>) -> Result<Held<'a, M>, LimitError> {
        if let Some(twice) = self.joined_twice() {
            return Err(twice);
        }
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

    /// Returns the call without the tokens that it has waited for.
    pub(super) fn without(&self, waited: Option<(usize, Granted)>) -> Prepaid<'_, 'a, N, M, C> {
        Prepaid { all: self, tokens: waited }
    }

    /// Returns the error of a call whose deadline has passed.
    pub(super) fn too_late(&self) -> CompositeAcquireError {
        if N == 0 {
            return CompositeAcquireError::new(None, AcquireCause::Permit(AcquirePermitError::TimedOut(TimedOut(()))));
        }
        together::too_late(self, None)
    }

    /// Returns whether two charges are on the same bucket.
    fn are_same(&self, one: usize, other: usize) -> bool {
        self.charges[one].bucket.target().is_same(&self.charges[other].bucket.target())
    }

    #[inline]
    fn charge(&self, nth: usize) -> Part<'a, C> {
        let Charge { bucket, n, .. } = &self.charges[nth];
        Part { target: bucket.target(), n: *n, leaving: bucket.left() }
    }

    /// Returns a charge with all others on the same bucket: the sum of their tokens, and the most that one of them
    /// leaves. They are waited for together.
    fn joined(&self, nth: usize) -> Part<'a, C> {
        let part = self.charge(nth);
        // A charge of nothing takes no part.
        if part.n.is_zero() {
            return part;
        }
        let mut joined = Part { n: Tokens::ZERO, ..part };
        for Charge { bucket, n, .. } in &self.charges {
            if !n.is_zero() && bucket.target().is_same(&joined.target) {
                joined.n = joined.n.saturating_add(*n);
                joined.leaving = joined.leaving.max(bucket.left());
            }
        }
        joined
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
    pub(super) fn acquire_tokens(&self, nth: usize, deadline: Deadline) -> UncountedAcquire<'a, C> {
        let Part { target, n, leaving } = self.joined(nth);
        UncountedAcquire::new(target, n, leaving, deadline)
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
        self.charge(nth)
    }

    fn whole(&self, nth: usize) -> Part<'_, C> {
        self.joined(nth)
    }

    #[cold]
    fn of_whole(&self, refused: Refused) -> Refused {
        let (part, whole) = (self.charge(refused.nth), self.joined(refused.nth));
        // If it is joined once, the refusal stands.
        if (part.n, part.leaving) == (whole.n, whole.leaving) { refused } else { refused.of(&whole) }
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

/// A call without the tokens of a charge, and of all others on its bucket, that it has waited for. They are given back
/// when this is dropped.
pub(super) struct Prepaid<'b, 'a, const N: usize, const M: usize, C: Clock> {
    all: &'b AllOf<'a, N, M, C>,
    tokens: Option<(usize, Granted)>,
}

impl<'a, const N: usize, const M: usize, C: Clock> Prepaid<'_, 'a, N, M, C> {
    /// Takes the rest of the call, but for the permit in `have`. If a limit refuses, or a clock panics, all is given
    /// back.
    pub(super) fn take(mut self, have: Option<(usize, Permit<'a>)>) -> Result<Held<'a, M>, LimitError> {
        let held = self.all.take_permits(have)?;
        let rest = Rest { all: self.all, charged: self.charged() };
        // A refusal is not counted: the call goes on to wait for that limit.
        together::take_all::<_, N>(rest, None, &mut |_, _| ()).map_err(|refused| refused.error(rest))?;
        self.count_admitted();
        self.tokens = None;
        Ok(held)
    }

    /// Returns whether the call takes anything else, but for a number of `permits`.
    pub(super) fn takes_more(&self, permits: usize) -> bool {
        let is_charged = |nth| self.charged().is_some_and(|charged| self.all.are_same(charged, nth));
        M > permits || (0..N).any(|nth| !self.all.charges[nth].n.is_zero() && !is_charged(nth))
    }

    /// Counts as [`AllOf::count_admitted`]. The charges of the bucket that was waited for have waited.
    fn count_admitted(&self) {
        for (nth, Charge { bucket, n, .. }) in self.all.charges.iter().enumerate() {
            let waited = self.tokens.filter(|&(charged, _)| self.all.are_same(charged, nth));
            let waited = waited.map_or(Duration::ZERO, |(_, granted)| granted.waited());
            bucket.target().recording().waited(*n, Ok(waited));
        }
    }

    fn charged(&self) -> Option<usize> {
        self.tokens.map(|(nth, _)| nth)
    }
}

impl<const N: usize, const M: usize, C: Clock> Drop for Prepaid<'_, '_, N, M, C> {
    fn drop(&mut self) {
        if let Some((nth, granted)) = self.tokens {
            let Part { target, n, .. } = self.all.joined(nth);
            // As of the grant: the clock, which may panic, is not read again for this.
            let at = TimeSource::given(Reading::from_nanos(granted.granted_at()));
            // The hook of a full table is user code.
            in_drop(|| _ = target.give_back(target.layout().units_up(n), at));
        }
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

impl<'a, const N: usize, const M: usize, C: Clock> Rest<'_, 'a, N, M, C> {
    fn unless_charged<'p>(&self, nth: usize, part: Part<'p, C>) -> Part<'p, C> {
        let is_charged = self.charged.is_some_and(|charged| self.all.are_same(charged, nth));
        if is_charged { Part { n: Tokens::ZERO, ..part } } else { part }
    }
}

impl<'a, C: Clock, const N: usize, const M: usize> Parts for Rest<'_, 'a, N, M, C> {
    type Clock = C;
    type Place = Found<'a>;

    const SAME_CLOCK: bool = false;

    fn len(&self) -> usize {
        N
    }

    fn part(&self, nth: usize) -> Part<'_, C> {
        self.unless_charged(nth, self.all.charge(nth))
    }

    fn whole(&self, nth: usize) -> Part<'_, C> {
        self.unless_charged(nth, self.all.joined(nth))
    }

    fn of_whole(&self, refused: Refused) -> Refused {
        self.all.of_whole(refused)
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

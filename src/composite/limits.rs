//! [`Limits`]: the limits of a composite, for one key or for all callers; and a call on them.

use std::sync::Arc;

use crate::cell::WordCell;
use crate::clock::Clock;
use crate::limiter::{Buckets, RateLimiter, Target};
use crate::table::{Fingerprint, InSlot};
use crate::tokens::Tokens;
use crate::word::Word;

use super::together::{Part, Parts};
use crate::error::LimitName;

/// A limit and its name.
pub(super) struct Named<T> {
    pub(super) name: LimitName,
    pub(super) limit: T,
}

/// The clock that all limits of a composite share.
pub(super) type SharedClock<C> = Arc<C>;

pub(super) type SingleLimit<C> = Named<RateLimiter<SharedClock<C>>>;
pub(super) type KeyedLimit<C> = Named<Arc<Buckets<SharedClock<C>>>>;

/// The limits of a composite.
pub(super) enum Limits<'a, C> {
    Single(&'a [SingleLimit<C>]),
    Key(&'a [KeyedLimit<C>], Fingerprint),
}

// By hand: the clock itself need not be `Clone`.
impl<C> Clone for Limits<'_, C> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Limits<'_, C> {}

impl<'a, C> Limits<'a, C> {
    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Limits::Single(limits) => limits.len(),
            Limits::Key(limits, _) => limits.len(),
        }
    }

    #[inline]
    pub(super) fn target(&self, nth: usize) -> Target<'a, SharedClock<C>> {
        match self {
            Limits::Single(limits) => Target::Single(&limits[nth].limit),
            Limits::Key(limits, key) => Target::Key(&limits[nth].limit, *key),
        }
    }

    pub(super) fn name(&self, nth: usize) -> LimitName {
        match self {
            Limits::Single(limits) => limits[nth].name,
            Limits::Key(limits, _) => limits[nth].name,
        }
    }

    pub(super) fn targets(self) -> impl Iterator<Item = Target<'a, SharedClock<C>>> {
        (0..self.len()).map(move |nth| self.target(nth))
    }
}

/// The tokens that a call leaves in each bucket.
#[derive(Clone, Copy)]
pub(crate) enum Leaving {
    Tokens(Tokens),
    /// The share of each burst that background work leaves.
    Background,
}

impl Leaving {
    pub(super) const NOTHING: Leaving = Leaving::Tokens(Tokens::ZERO);

    #[inline]
    pub(super) fn of<C>(self, target: &Target<'_, C>) -> Tokens {
        match self {
            Leaving::Tokens(n) => n,
            Leaving::Background => target.background(),
        }
    }

    /// Returns the same for the highest quota that the limit may have.
    pub(super) fn at_most<C>(self, target: &Target<'_, C>) -> Tokens {
        match self {
            Leaving::Tokens(n) => n,
            Leaving::Background => target.background_of(target.layout().capacity()),
        }
    }
}

impl From<Tokens> for Leaving {
    fn from(n: Tokens) -> Self {
        Leaving::Tokens(n)
    }
}

/// A call that takes the same number of tokens from every limit of a [`CompositeLimiter`](crate::CompositeLimiter).
pub(super) struct SingleCall<'a, C> {
    pub(super) limits: &'a [SingleLimit<C>],
    pub(super) n: Tokens,
    pub(super) leaving: Leaving,
}

impl<C> Clone for SingleCall<'_, C> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for SingleCall<'_, C> {}

impl<C: Clock> Parts for SingleCall<'_, C> {
    type Clock = SharedClock<C>;
    type Place = ();

    const SAME_CLOCK: bool = true;

    #[inline]
    fn len(&self) -> usize {
        self.limits.len()
    }

    #[inline]
    fn part(&self, nth: usize) -> Part<'_, SharedClock<C>> {
        let target = Target::Single(&self.limits[nth].limit);
        Part { target, n: self.n, leaving: self.leaving.of(&target) }
    }

    fn name(&self, nth: usize) -> LimitName {
        self.limits[nth].name
    }

    #[inline]
    fn find(&self, nth: usize) -> Option<((), Word)> {
        Some(((), self.limits[nth].limit.cells().first.load()))
    }

    #[inline]
    fn is_here(&self, _: usize, (): ()) -> bool {
        true
    }

    #[inline]
    fn swap(&self, nth: usize, (): (), seen: Word, next: Word) -> bool {
        self.limits[nth].limit.cells().first.compare_exchange(seen, next).is_ok()
    }
}

/// A call that takes the same number of tokens from every bucket of a key.
pub(super) struct KeyCall<'a, C> {
    pub(super) limits: &'a [KeyedLimit<C>],
    pub(super) key: Fingerprint,
    pub(super) n: Tokens,
    pub(super) leaving: Leaving,
}

impl<C> Clone for KeyCall<'_, C> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for KeyCall<'_, C> {}

impl<'a, C: Clock> Parts for KeyCall<'a, C> {
    type Clock = SharedClock<C>;
    type Place = InSlot<'a>;

    const SAME_CLOCK: bool = true;

    #[inline]
    fn len(&self) -> usize {
        self.limits.len()
    }

    #[inline]
    fn part(&self, nth: usize) -> Part<'_, SharedClock<C>> {
        let target = Target::Key(&self.limits[nth].limit, self.key);
        Part { target, n: self.n, leaving: self.leaving.of(&target) }
    }

    fn name(&self, nth: usize) -> LimitName {
        self.limits[nth].name
    }

    #[inline(always)]
    fn find(&self, nth: usize) -> Option<(InSlot<'a>, Word)> {
        let tenant = self.limits[nth].limit.table.find_slot(self.key)?;
        Some((tenant, tenant.load()))
    }

    #[inline]
    fn is_here(&self, nth: usize, place: InSlot<'a>) -> bool {
        place.is_here() && self.limits[nth].limit.table.per_token().is_some()
    }

    #[inline]
    fn swap(&self, _: usize, place: InSlot<'a>, seen: Word, next: Word) -> bool {
        place.compare_exchange(seen, next).is_ok()
    }
}

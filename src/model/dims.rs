//! [`Dims`]: the buckets of a model.

use std::sync::Arc;
use std::time::Duration;

use crate::cell::{Taken, TimeSource, WordCell};
use crate::clock::Clock;
use crate::composite::{self, Part, Parts, Refused};
use crate::error::LimitName;
use crate::limiter::{RateLimiter, Target};
use crate::quota::Quota;
use crate::tokens::Tokens;
use crate::word::{Reading, Units, Word};

use super::amounts::Amounts;
use super::dimension::Dimension;
use super::quota::ModelQuota;

/// The bucket of a model without any other: it is never empty, but it can be paused.
const GATE: Quota = Quota::per_second(1_000_000_000).burst(u32::MAX);

/// A bucket of a model.
pub(super) struct Dim<C> {
    pub(super) dimension: Dimension,
    /// The epoch in which it came: calls of earlier ones were not charged to it.
    since: u64,
    limiter: RateLimiter<Arc<C>>,
}

impl<C: Clock> Dim<C> {
    fn new(dimension: Dimension, since: u64, quota: Quota, clock: &Arc<C>) -> Self {
        Dim { dimension, since, limiter: RateLimiter::with_clock(quota, clock.clone()) }
    }

    #[inline]
    pub(super) fn target(&self) -> Target<'_, Arc<C>> {
        Target::Single(&self.limiter)
    }

    pub(super) fn burst(&self) -> Tokens {
        self.limiter.quota().capacity()
    }

    /// Returns the rest of a pause.
    fn paused_for(&self, now: Reading) -> Duration {
        self.target().terms().due(now, Units(0)).after().unwrap_or(Duration::MAX)
    }

    /// Gives it this quota, and returns the bucket that takes its place if the quota is above its highest one. The
    /// tokens and the debt are kept.
    fn change(&self, quota: Quota, now: Reading, clock: &Arc<C>) -> Option<Dim<C>> {
        if self.limiter.quota() == quota || self.limiter.set_quota(quota).is_ok() {
            return None;
        }
        let (held, debt) = self.target().held_and_debt(TimeSource::given(now));
        let next = Dim::new(self.dimension, self.since, quota, clock);
        let charge = |n: Tokens| next.target().settle(Tokens::ZERO, n, TimeSource::given(now));
        charge(quota.capacity().saturating_sub(held));
        charge(debt);
        Some(next)
    }
}

/// The buckets of a model: at least one. All have the same clock.
pub(super) struct Dims<C> {
    /// In the order of [`Dimension::ALL`].
    dims: Vec<Dim<C>>,
    /// The number of changes that gave the model new buckets.
    epoch: u64,
    quota: ModelQuota,
}

impl<C: Clock> Dims<C> {
    /// Returns the buckets of a quota whose [`buckets`](ModelQuota::buckets) are these.
    pub(super) fn new(quota: ModelQuota, buckets: &[(Dimension, Quota)], clock: &Arc<C>) -> Self {
        let mut dims: Vec<_> = buckets.iter().map(|&(dimension, quota)| Dim::new(dimension, 0, quota, clock)).collect();
        if dims.is_empty() {
            dims.push(Dim::new(Dimension::Rpm, 0, GATE, clock));
        }
        Dims { dims, epoch: 0, quota }
    }

    pub(super) fn quota(&self) -> &ModelQuota {
        &self.quota
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Returns the buckets of dimensions that have a limit.
    pub(super) fn limited(&self) -> impl Iterator<Item = &Dim<C>> {
        self.dims.iter().filter(|dim| self.quota.limit(dim.dimension).is_some())
    }

    /// Gives the model another quota. Buckets of dimensions that stay keep their tokens and their debt, and other ones
    /// are full. A pause goes on.
    pub(super) fn change(&mut self, quota: ModelQuota, buckets: &[(Dimension, Quota)], clock: &Arc<C>) {
        let (now, epoch) = (Reading::from_nanos(clock.now()), self.epoch + 1);
        let paused = self.dims.iter().map(|dim| dim.paused_for(now)).max().unwrap_or_default();
        let fresh = Dims::new(quota, buckets, clock);
        // The clock, which is user code, is read in here. After a panic, the quotas of some dimensions are new.
        let changed = fresh.dims.into_iter().map(|mut dim| {
            let before = self.limited().find(|before| before.dimension == dim.dimension);
            let is_limited = quota.limit(dim.dimension).is_some();
            let Some(before) = before.filter(|_| is_limited) else {
                dim.since = epoch;
                return Ok(dim);
            };
            before.change(dim.limiter.quota(), now, clock).ok_or(dim.dimension)
        });
        let changed: Vec<_> = changed.collect();
        for dim in changed.iter().flatten() {
            dim.limiter.pause_for(paused);
        }
        let mut before = std::mem::take(&mut self.dims);
        let kept = |dimension, before: &mut Vec<Dim<C>>| {
            let place = before.iter().position(|dim| dim.dimension == dimension)?;
            Some(before.swap_remove(place))
        };
        self.dims = changed
            .into_iter()
            .filter_map(|dim| dim.map_or_else(|kept_one| kept(kept_one, &mut before), Some))
            .collect();
        (self.epoch, self.quota) = (epoch, quota);
    }

    /// Takes the amounts, or nothing.
    #[inline(always)]
    pub(super) fn take(&self, amounts: Amounts, at: Option<Reading>) -> Result<(), Refused> {
        let call = self.call(amounts);
        match self.dims.len() {
            5 => composite::take_all::<_, 5>(call, at, &mut |_, _: Taken| ()),
            6 => composite::take_all::<_, 6>(call, at, &mut |_, _: Taken| ()),
            _ => composite::take(call, at, |_, _| ()),
        }
    }

    #[inline]
    pub(super) fn call(&self, amounts: Amounts) -> DimsCall<'_, C> {
        DimsCall { dims: &self.dims, amounts }
    }

    /// Charges `actual` instead of `charged`, which were charged in an epoch. Returns whether something was given
    /// back, and whether something was charged.
    pub(super) fn settle(&self, charged: &Amounts, actual: &Amounts, epoch: u64) -> Settled {
        let (mut settled, mut now) = (Settled::default(), None);
        for dim in self.dims.iter().filter(|dim| dim.since <= epoch) {
            let (charged, actual) = (charged.in_dimension(dim.dimension), actual.in_dimension(dim.dimension));
            if charged == actual {
                continue;
            }
            // One reading for all.
            let now = *now.get_or_insert_with(|| dim.target().live().read());
            dim.target().settle(charged, actual, TimeSource::given(now));
            settled.gave_back |= charged > actual;
            settled.charged |= actual > charged;
        }
        settled
    }
}

/// The effect of a settlement.
#[derive(Clone, Copy, Default)]
pub(super) struct Settled {
    pub(super) gave_back: bool,
    pub(super) charged: bool,
}

/// A call on the buckets of a model.
pub(super) struct DimsCall<'a, C> {
    dims: &'a [Dim<C>],
    amounts: Amounts,
}

// By hand: the clock itself need not be `Clone`.
impl<C> Clone for DimsCall<'_, C> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for DimsCall<'_, C> {}

impl<C> DimsCall<'_, C> {
    pub(super) fn dimension(&self, nth: usize) -> Dimension {
        self.dims[nth].dimension
    }
}

impl<C: Clock> Parts for DimsCall<'_, C> {
    type Clock = Arc<C>;
    type Place = ();

    const SAME_CLOCK: bool = true;

    #[inline]
    fn len(&self) -> usize {
        self.dims.len()
    }

    #[inline]
    fn part(&self, nth: usize) -> Part<'_, Arc<C>> {
        let dim = &self.dims[nth];
        Part { target: dim.target(), n: self.amounts.in_dimension(dim.dimension), leaving: Tokens::ZERO }
    }

    fn name(&self, nth: usize) -> LimitName {
        LimitName::new(self.dimension(nth).as_str())
    }

    #[inline]
    fn find(&self, nth: usize) -> Option<((), Word)> {
        Some(((), self.dims[nth].limiter.load()))
    }

    #[inline]
    fn is_here(&self, _: usize, (): ()) -> bool {
        true
    }

    #[inline]
    fn swap(&self, nth: usize, (): (), seen: Word, next: Word) -> bool {
        self.dims[nth].limiter.compare_exchange(seen, next).is_ok()
    }
}

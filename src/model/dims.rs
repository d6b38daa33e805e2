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
use crate::word::{Reading, Word};

use super::amounts::{self, Amounts};
use super::charge::{Change, Charge};
use super::corrections::Corrections;
use super::dimension::Dimension;
use super::error::{ExceedsLimit, ModelCause};
use super::quota::ModelQuota;
use super::row::Row;

/// The bucket of a model without any other, and of a paused one: it is never empty, but it may open later.
const GATE: Quota = Quota::per_second(1_000_000_000).burst(u32::MAX);

/// A bucket of a model.
pub(super) struct Dim<C> {
    pub(super) dimension: Dimension,
    /// The epoch in which it came: calls of earlier ones were not charged to it. `None` for the gate, in which nothing
    /// is settled.
    since: Option<u64>,
    /// The epoch in which a pause emptied it, or in which it came: calls of earlier ones fill it no longer.
    emptied: u64,
    limiter: RateLimiter<Arc<C>>,
    /// The tokens that hints of the server took.
    pub(super) corrections: Corrections,
}

impl<C: Clock> Dim<C> {
    /// Returns a bucket that is full.
    fn full(dimension: Dimension, since: u64, quota: Quota, clock: &Arc<C>) -> Self {
        let limiter = RateLimiter::with_clock(quota, clock.clone());
        Dim { dimension, since: Some(since), emptied: since, limiter, corrections: Corrections::none() }
    }

    /// Returns a gate that admits everything.
    fn gate(clock: &Arc<C>) -> Self {
        let limiter = RateLimiter::with_clock(GATE, clock.clone());
        Dim { dimension: Dimension::Rpm, since: None, emptied: 0, limiter, corrections: Corrections::none() }
    }

    /// Returns a gate that admits nothing before it `opens`, and a call each nanosecond then.
    fn closed_gate(opens: Reading, clock: &Arc<C>) -> Self {
        Dim { limiter: RateLimiter::holding(GATE, opens, Tokens::ONE, clock.clone()), ..Dim::gate(clock) }
    }

    /// Returns a bucket of the same dimension that has at a reading what this one has at another one, at most `most`.
    fn renewed(&self, quota: Quota, (before, at): (Reading, Reading), most: Tokens, clock: &Arc<C>) -> Self {
        let (held, debt) = self.target().held_and_debt(TimeSource::given(before));
        let limiter = RateLimiter::holding(quota, at, held.min(most).min(quota.capacity()), clock.clone());
        let &Dim { dimension, since, emptied, .. } = self;
        let dim = Dim { dimension, since, emptied, limiter, corrections: Corrections::none() };
        dim.target().settle(Tokens::ZERO, debt, TimeSource::given(at));
        dim
    }

    /// Returns the bucket after a pause: empty if it is one of minutes. One of days keeps what it holds.
    fn paused(&self, (before, opens): (Reading, Reading), epoch: u64, clock: &Arc<C>) -> Self {
        let quota = self.limiter.quota();
        match self.dimension {
            Dimension::Rpd | Dimension::Tpd => self.renewed(quota, (before, opens), Tokens::MAX, clock),
            _ => Dim { emptied: epoch, ..self.renewed(quota, (before, opens), Tokens::ZERO, clock) },
        }
    }

    #[inline]
    pub(super) fn target(&self) -> Target<'_, Arc<C>> {
        Target::Single(&self.limiter)
    }

    pub(super) fn burst(&self) -> Tokens {
        self.limiter.quota().capacity()
    }

    /// Gives tokens back, or as many of them as pay a debt, and returns those that were not added.
    fn restore(&self, n: Tokens, only_debt: bool, now: TimeSource<'_, Arc<C>>) -> Tokens {
        self.target().restore(n, only_debt, || self.corrections.earned_at(), now)
    }
}

/// A quota that takes the place of another one.
pub(super) struct Requota {
    /// The version of the registry that sets it.
    pub(super) version: u64,
    pub(super) quota: ModelQuota,
    /// Those of the [quota](ModelQuota::buckets).
    pub(super) buckets: Vec<(Dimension, Quota)>,
}

/// The buckets of a model: at least one. All have the same clock.
pub(super) struct Dims<C> {
    /// In the order of [`Dimension::ALL`]; the gate, if there is one, is the first.
    dims: Vec<Dim<C>>,
    /// The number of changes and pauses, which gave the model new buckets.
    epoch: u64,
    /// The end of the last pause, before which nothing is admitted.
    opens: Reading,
    pub(super) row: Row,
    /// The version of the registry that set the quota; zero for the first.
    version: u64,
    quota: ModelQuota,
}

impl<C: Clock> Dims<C> {
    /// Returns the buckets of a quota whose [`buckets`](ModelQuota::buckets) are these.
    pub(super) fn new(quota: ModelQuota, buckets: &[(Dimension, Quota)], clock: &Arc<C>) -> Self {
        let dims = buckets.iter().map(|&(dimension, quota)| Dim::full(dimension, 0, quota, clock)).collect();
        let opens = Reading::from_nanos(0);
        Dims { dims, epoch: 0, opens, row: Row::NONE, version: 0, quota }.gated(opens, clock)
    }

    /// Adds the gate, if it is needed at this reading.
    fn gated(mut self, now: Reading, clock: &Arc<C>) -> Self {
        if self.dims.is_empty() {
            let gate = Dim::gate(clock);
            if self.opens > now {
                // Calls of a paused limiter take longer, also later, but any number are admitted at once.
                gate.limiter.pause_for(Duration::from_nanos(self.opens.nanos() - now.nanos()));
            }
            self.dims.push(gate);
        } else if self.opens > now {
            // The first of two that take equally long is named.
            self.dims.insert(0, Dim::closed_gate(self.opens, clock));
        }
        self
    }

    pub(super) fn quota(&self) -> &ModelQuota {
        &self.quota
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Returns the end of the last pause.
    pub(super) fn opens(&self) -> Reading {
        self.opens
    }

    /// Returns the buckets, without the gate.
    pub(super) fn limited(&self) -> impl Iterator<Item = &Dim<C>> {
        self.dims.iter().filter(|dim| dim.since.is_some())
    }

    /// Gives the model another quota, unless a later version of the registry has set one: returns whether it did.
    /// Buckets of dimensions that stay keep their tokens and their debt, and other ones are full. A pause goes on.
    pub(super) fn change(&mut self, to: &Requota, clock: &Arc<C>) -> bool {
        let &Requota { version, quota, ref buckets } = to;
        if version < self.version {
            return false;
        }
        let (now, epoch) = (Reading::from_nanos(clock.now()), self.epoch + 1);
        let at = now.max(self.opens);
        let dim = |&(dimension, quota): &(Dimension, Quota)| {
            let before = self.limited().find(|before| before.dimension == dimension);
            match before {
                Some(before) => before.renewed(quota, (at, at), Tokens::MAX, clock),
                None => Dim::full(dimension, epoch, quota, clock),
            }
        };
        let dims = buckets.iter().map(dim).collect();
        // Nothing is changed before: the clock, which is user code, may panic.
        *self = Dims { dims, epoch, version, quota, ..*self }.gated(now, clock);
        true
    }

    /// Admits nothing before a reading, at which the buckets of minutes are empty then, unless a longer pause is on.
    /// Those of days keep what they hold: a server that refuses for a minute does not take the rest of the day.
    ///
    /// Calls of earlier epochs pay debts of the empty buckets, but do not fill them: all that they were charged was
    /// dropped with the rest, and many of them may end at once.
    pub(super) fn pause(&mut self, now: Reading, opens: Reading, clock: &Arc<C>) {
        if opens <= self.opens {
            return;
        }
        let (before, epoch) = (now.max(self.opens), self.epoch + 1);
        let dims = self.limited().map(|dim| dim.paused((before, opens), epoch, clock)).collect();
        *self = Dims { dims, epoch, opens, ..*self }.gated(now, clock);
    }

    /// Ends a pause that is on: the buckets hold now what they would have held at its end.
    pub(super) fn resume(&mut self, clock: &Arc<C>) {
        let now = Reading::from_nanos(clock.now());
        if self.opens <= now {
            return;
        }
        let dim = |dim: &Dim<C>| dim.renewed(dim.limiter.quota(), (self.opens, now), Tokens::MAX, clock);
        let dims = self.limited().map(dim).collect();
        let row = self.row.resumed(now);
        *self = Dims { dims, epoch: self.epoch + 1, opens: now, row, ..*self }.gated(now, clock);
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

    /// Settles a call for other amounts. Returns whether something was given back, and whether something was charged.
    pub(super) fn settle(&self, charge: &mut Charge, to: &Amounts) -> Settled {
        let (mut settled, mut now, epoch) = (Settled::default(), None, charge.epoch());
        for dim in self.dims.iter().filter(|dim| dim.since.is_some_and(|since| since <= epoch)) {
            let Some(change) = charge.change(dim.dimension, to) else { continue };
            // One reading for all, before any is changed: the clock may panic. Before the end of a pause, a bucket
            // counts as it will be then.
            let now = *now.get_or_insert_with(|| dim.target().live().read().max(self.opens));
            let (target, at) = (dim.target(), TimeSource::given(now));
            let missing = match change {
                Change::Charge(n) => target.settle(Tokens::ZERO, n, at),
                Change::GiveBack(n) => dim.restore(n, dim.emptied > epoch, at),
            };
            settled.gave_back |= matches!(change, Change::GiveBack(_));
            settled.charged |= matches!(change, Change::Charge(_));
            charge.changed(dim.dimension, to, change, missing);
        }
        charge.settled(*to);
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

impl<C: Clock> DimsCall<'_, C> {
    /// Returns the dimension of a bucket; `None` for the gate.
    pub(super) fn dimension(&self, nth: usize) -> Option<Dimension> {
        self.dims[nth].since.map(|_| self.dims[nth].dimension)
    }

    /// Returns the bucket that takes longest until it admits the call; `None` if all admit it now.
    pub(super) fn refusal(self, now: Reading) -> Option<Refused> {
        composite::look(self, Some(now), 0, None)
    }

    /// Returns the first dimension whose burst the call exceeds.
    pub(super) fn exceeds(&self) -> Option<ModelCause> {
        self.dims.iter().find_map(|dim| {
            let (estimate, most) = (self.amounts.in_dimension(dim.dimension), u64::from(dim.burst().whole()));
            (estimate > most).then_some(ModelCause::ExceedsLimit(dim.dimension, ExceedsLimit { estimate, most }))
        })
    }
}

impl<C: Clock> Parts for DimsCall<'_, C> {
    type Clock = Arc<C>;
    type Place = ();

    const SAME_CLOCK: bool = true;
    const WAITS_FOR_DEBTS: bool = true;

    #[inline]
    fn len(&self) -> usize {
        self.dims.len()
    }

    #[inline]
    fn part(&self, nth: usize) -> Part<'_, Arc<C>> {
        let dim = &self.dims[nth];
        Part {
            target: dim.target(),
            n: amounts::tokens(self.amounts.in_dimension(dim.dimension)),
            leaving: Tokens::ZERO,
        }
    }

    fn name(&self, nth: usize) -> LimitName {
        LimitName::new(self.dims[nth].dimension.as_str())
    }

    #[inline]
    fn find(&self, nth: usize) -> Option<((), Word)> {
        Some(((), self.dims[nth].limiter.load()))
    }

    #[inline]
    fn is_here(&self, _: usize, (): ()) -> bool {
        true
    }

    fn give_back(&self, nth: usize, now: TimeSource<'_, Arc<C>>) -> Tokens {
        let n = self.part(nth).n;
        n.saturating_sub(self.dims[nth].restore(n, false, now))
    }

    #[inline]
    fn swap(&self, nth: usize, (): (), seen: Word, next: Word) -> bool {
        self.dims[nth].limiter.compare_exchange(seen, next).is_ok()
    }
}

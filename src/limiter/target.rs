//! [`Target`]: a bucket, wherever it is kept, and the operations on it.

use core::time::Duration;
#[cfg(feature = "std")]
use std::sync::Arc;

use crate::algorithm::token_bucket::{self, Demand};
#[cfg(feature = "std")]
use crate::cell::{Cell, WordCell};
use crate::cell::{Taken, TimeSource};
use crate::clock::Clock;
use crate::error::TryAcquireError;
use crate::quota::Quota;
use crate::tokens::Tokens;
use crate::word::{Due, Layout, Level, Reading, Snapshot, Units, Word};

use super::decision::{Decision, as_f64};
use super::state::RateLimiter;

#[cfg(feature = "std")]
use super::state::Buckets;
#[cfg(feature = "std")]
use crate::queue::{Queue, TimeDriver, TimerFactory, WaitRequest};
#[cfg(feature = "std")]
use crate::table::{Arrival, Fingerprint, FullEvent, InSlot};

/// A bucket: that of a lone limiter, or that of one key.
pub(crate) enum Target<'a, C> {
    Single(&'a RateLimiter<C>),
    #[cfg(feature = "std")]
    Key(&'a Arc<Buckets<C>>, Fingerprint),
}

// By hand: the clock itself need not be `Clone`.
impl<C> Clone for Target<'_, C> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Target<'_, C> {}

/// A borrow or a share of a limiter, and the bucket there.
pub(crate) trait Handle {
    type Clock;

    fn target(&self) -> Target<'_, Self::Clock>;
}

impl<C> Handle for Target<'_, C> {
    type Clock = C;

    #[inline]
    fn target(&self) -> Target<'_, C> {
        *self
    }
}

/// A bucket that its owner keeps alive.
#[cfg(feature = "std")]
pub(crate) enum OwnedTarget<C> {
    Single(Arc<RateLimiter<C>>),
    Key(Arc<Buckets<C>>, Fingerprint),
}

#[cfg(feature = "std")]
impl<C> Handle for OwnedTarget<C> {
    type Clock = C;

    #[inline]
    fn target(&self) -> Target<'_, C> {
        match self {
            OwnedTarget::Single(limiter) => Target::Single(limiter),
            OwnedTarget::Key(buckets, key) => Target::Key(buckets, *key),
        }
    }
}

impl<'a, C> Target<'a, C> {
    #[inline]
    pub(crate) fn layout(&self) -> &'a Layout {
        match self {
            Target::Single(limiter) => limiter.layout(),
            #[cfg(feature = "std")]
            Target::Key(buckets, _) => buckets.layout(),
        }
    }

    pub(crate) fn quota(&self) -> &'a Quota {
        match self {
            Target::Single(limiter) => limiter.quota_ref(),
            #[cfg(feature = "std")]
            Target::Key(buckets, _) => buckets.quota(),
        }
    }

    #[inline]
    pub(crate) fn clock(&self) -> &'a C {
        match self {
            Target::Single(limiter) => limiter.clock(),
            #[cfg(feature = "std")]
            Target::Key(buckets, _) => buckets.clock(),
        }
    }

    /// The share of the burst that background work leaves, in percent.
    pub(crate) fn background(&self) -> u8 {
        match self {
            Target::Single(limiter) => limiter.background_percent(),
            #[cfg(feature = "std")]
            Target::Key(buckets, _) => buckets.background,
        }
    }

    /// Returns the number of waiters for which the timer is armed.
    #[cfg(feature = "std")]
    pub(crate) fn waiting(&self) -> u32 {
        match self {
            Target::Single(limiter) => limiter.waiting(),
            Target::Key(buckets, key) => buckets.table.waiting_on(*key),
        }
    }
}

impl<'a, C: Clock> Target<'a, C> {
    /// Takes the cost of `n` if `leaving` tokens are left then.
    #[inline(always)]
    pub(crate) fn take(&self, n: Tokens, leaving: Tokens, now: TimeSource<'_, C>) -> Taken {
        match self {
            Target::Single(limiter) => limiter.take(n, leaving, now),
            #[cfg(feature = "std")]
            Target::Key(buckets, key) => buckets.table.take(*key, (n, leaving), now),
        }
    }

    /// The same, as an answer. A cost of zero is always admitted.
    #[inline(always)]
    pub(crate) fn try_take(&self, n: Tokens, leaving: Tokens, now: TimeSource<'_, C>) -> Result<(), TryAcquireError> {
        match self {
            Target::Single(limiter) => limiter.try_take(n, leaving, now),
            #[cfg(feature = "std")]
            Target::Key(buckets, key) => buckets.table.try_take(*key, (n, leaving), now),
        }
    }

    /// Looks at the bucket for a call that leaves `leaving` units; `None` if there is no limit.
    fn snapshot(&self, leaving: Units, now: TimeSource<'_, C>) -> Option<Snapshot> {
        match self {
            Target::Single(limiter) => limiter.peek(leaving, now),
            #[cfg(feature = "std")]
            Target::Key(buckets, key) => Some(buckets.table.peek(*key, leaving, now)),
        }
    }

    /// Replaces the bucket's word by `change` of it, and returns the amount that was added or charged;
    /// `None` if there is no limit.
    pub(crate) fn change(
        &self,
        now: TimeSource<'_, C>,
        change: impl Fn(Word, Reading) -> (Word, Units),
    ) -> Option<Units> {
        match self {
            Target::Single(limiter) => limiter.change(now, change),
            #[cfg(feature = "std")]
            Target::Key(buckets, key) => Some(buckets.table.change(*key, now, change)),
        }
    }

    #[inline(always)]
    pub(crate) fn decide(&self, n: Tokens, leaving: Tokens, now: TimeSource<'_, C>) -> Decision {
        if n.is_zero() { self.decide_nothing(now) } else { Decision::taken(self.layout(), self.take(n, leaving, now)) }
    }

    /// The decision on a cost of zero: admitted, also if a full table has no place for the key, because
    /// it needs none.
    fn decide_nothing(&self, now: TimeSource<'_, C>) -> Decision {
        self.looked(self.snapshot(Units(0), now).map(|snapshot| Snapshot { no_place: None, ..snapshot }))
    }

    /// The decision of a call that takes nothing, and is refused if a full table has no place for the
    /// key.
    pub(crate) fn peek(&self, now: TimeSource<'_, C>) -> Decision {
        self.looked(self.snapshot(Units(0), now))
    }

    fn looked(&self, snapshot: Option<Snapshot>) -> Decision {
        match snapshot {
            Some(snapshot) => Decision::looked(self.layout(), snapshot),
            None => Decision::unlimited(self.layout()),
        }
    }

    pub(crate) fn balance(&self, now: TimeSource<'_, C>) -> f64 {
        match self.snapshot(Units(0), now) {
            Some(snapshot) => as_f64(self.layout(), snapshot.held),
            None => f64::INFINITY,
        }
    }

    /// Returns the tokens that are there for a call that leaves `leaving`.
    pub(crate) fn available_tokens(&self, leaving: Tokens, now: TimeSource<'_, C>) -> f64 {
        let leaving = Demand::new(self.layout(), Tokens::ZERO, leaving).leaving();
        match self.snapshot(leaving, now) {
            Some(Snapshot { no_place: Some(_), .. }) => 0.0,
            Some(snapshot) => {
                as_f64(self.layout(), Level(snapshot.available().0.saturating_sub(leaving.0 as i64))).max(0.0)
            }
            None => f64::INFINITY,
        }
    }

    /// Returns the time until `n` tokens are there and `leaving` more; `None` if they never are.
    pub(crate) fn time_until(&self, n: Tokens, leaving: Tokens, now: TimeSource<'_, C>) -> Option<Duration> {
        let demand = Demand::new(self.layout(), n, leaving);
        match self.due_at(demand, now) {
            Some(_) if demand.needed > self.layout().capacity() && !n.is_zero() => None,
            Some(due) if !n.is_zero() => due.after(),
            _ => Some(Duration::ZERO),
        }
    }

    /// Returns the instant at which the bucket has what is asked for, if no other call comes between;
    /// `None` if there is no limit.
    pub(crate) fn due_at(&self, demand: Demand, now: TimeSource<'_, C>) -> Option<Due> {
        let snapshot = self.snapshot(demand.leaving(), now)?;
        let missing = missing(&snapshot, demand, 0).max(snapshot.no_place.unwrap_or_default());
        Some(Due::new(self.layout().earned(), snapshot.now, missing))
    }

    /// Adds `n` tokens, clipped at the burst, and returns the tokens that were added.
    pub(crate) fn add_tokens(&self, n: Tokens, now: TimeSource<'_, C>) -> Tokens {
        self.give_back(self.layout().units_down(n), now)
    }

    pub(crate) fn give_back(&self, units: u128, now: TimeSource<'_, C>) -> Tokens {
        let layout = self.layout();
        let added = self.change(now, |word, now| token_bucket::give_back(layout, word, now, units));
        layout.tokens_down(added.unwrap_or_default())
    }

    /// Fills the bucket, and forgets its past.
    pub(crate) fn reset(&self, now: TimeSource<'_, C>) {
        let full = token_bucket::full_since_origin(self.layout());
        self.change(now, |_, _| (full, Units(0)));
    }

    /// Charges, into debt if need be, and returns the tokens that could not be charged.
    fn charge(&self, units: u128, now: TimeSource<'_, C>) -> Tokens {
        let layout = self.layout();
        // A debt limit fits beside the capacity in a count's 62 bits.
        let debt = Units(layout.units_down(self.quota().debt_limit()) as u64);
        match self.change(now, |word, now| token_bucket::charge(layout, debt, word, now, units)) {
            Some(charged) => layout.tokens_up(units - u128::from(charged.0)),
            None => Tokens::ZERO,
        }
    }

    /// Settles a reservation of `reserved` for `actual`, and returns the tokens that could not be
    /// charged.
    pub(crate) fn settle(&self, reserved: Tokens, actual: Tokens, now: TimeSource<'_, C>) -> Tokens {
        let (reserved, actual) = (self.layout().units_up(reserved), self.layout().units_up(actual));
        match actual.checked_sub(reserved) {
            Some(0) => Tokens::ZERO,
            Some(more) => self.charge(more, now),
            None => {
                self.give_back(reserved - actual, now);
                Tokens::ZERO
            }
        }
    }
}

impl<'a, C: Clock> Target<'a, C> {
    /// The limiter's clock, to be read by a call.
    #[inline]
    pub(crate) fn live(&self) -> TimeSource<'a, C> {
        TimeSource::clock(self.clock())
    }
}

/// Returns a share of the burst, rounded up to 10⁻¹² token.
pub(crate) fn share(quota: &Quota, percent: u8) -> Tokens {
    Tokens::from_pico((quota.capacity().total_pico() * u128::from(percent)).div_ceil(100))
}

/// The usual place of a bucket's word, as it was found.
#[cfg(feature = "std")]
#[derive(Clone, Copy)]
pub(crate) enum Found<'a> {
    Cell(&'a Cell),
    Slot(InSlot<'a>),
}

#[cfg(feature = "std")]
impl Found<'_> {
    /// Returns whether the place is still the bucket's. Called after the word was loaded, and before it is
    /// used.
    #[inline]
    pub(crate) fn is_here(self) -> bool {
        match self {
            Found::Cell(_) => true,
            Found::Slot(tenant) => tenant.is_here(),
        }
    }

    /// Replaces the word if it is still `seen`.
    #[inline]
    pub(crate) fn compare_exchange(self, seen: Word, next: Word) -> bool {
        match self {
            Found::Cell(cell) => cell.compare_exchange(seen, next).is_ok(),
            Found::Slot(tenant) => tenant.compare_exchange(seen, next).is_ok(),
        }
    }
}

/// The operations of a decision on several limits.
#[cfg(feature = "std")]
impl<'a, C: Clock> Target<'a, C> {
    /// Returns the usual place of the bucket's word, and the word; `None` if it is not there.
    #[inline]
    pub(crate) fn find(&self) -> Option<(Found<'a>, Word)> {
        match self {
            Target::Single(limiter) => {
                let cell = limiter.cell();
                Some((Found::Cell(cell), cell.load()))
            }
            Target::Key(buckets, key) => {
                let tenant = buckets.table.find_home(*key)?;
                Some((Found::Slot(tenant), tenant.load()))
            }
        }
    }

    /// Returns the refusal that a call for `n` tokens would get, which leaves `leaving`; `None` if it would be
    /// admitted.
    pub(crate) fn foresee(&self, n: Tokens, leaving: Tokens, now: TimeSource<'_, C>) -> Option<Taken> {
        self.foresee_behind(0, n, leaving, now)
    }

    /// The same for a call that comes after others have taken `ahead` units.
    pub(crate) fn foresee_behind(
        &self,
        ahead: u128,
        n: Tokens,
        leaving: Tokens,
        now: TimeSource<'_, C>,
    ) -> Option<Taken> {
        if n.is_zero() {
            return None;
        }
        let demand = Demand::new(self.layout(), n, leaving);
        let snapshot = self.snapshot(demand.leaving(), now)?;
        let now = snapshot.now;
        if let Some(deficit) = snapshot.no_place {
            return Some(Taken::TableFull { deficit, now });
        }
        let deficit = missing(&snapshot, demand, ahead);
        (deficit > Units(0)).then_some(Taken::Denied { needed: demand.needed, deficit, now })
    }
}

/// Returns the units that are missing for a call, after those that waiters get first, and `ahead` more.
fn missing(snapshot: &Snapshot, demand: Demand, ahead: u128) -> Units {
    let Snapshot { held, queued, .. } = *snapshot;
    // Behind a waiter, nothing is there.
    held.missing(u128::from(demand.needed.0) + u128::from(queued.0) + ahead).max(queued.min(Units(1)))
}

/// The operations of a wait.
#[cfg(feature = "std")]
impl<C: Clock + Clone + Send + Sync + 'static> Target<'_, C> {
    /// Reads the clock.
    pub(crate) fn read(&self) -> Reading {
        self.live().read()
    }

    /// Takes. `None`: the queue decides.
    #[inline(always)]
    pub(crate) fn take_or_queue(&self, n: Tokens, leaving: Tokens, now: TimeSource<'_, C>) -> Option<Taken> {
        match self {
            Target::Single(limiter) => limiter.take_in_cell(n, leaving, now),
            Target::Key(buckets, key) => Some(buckets.table.take(*key, (n, leaving), now)),
        }
    }

    /// Takes, or waits.
    pub(crate) fn enter(&self, call: &mut WaitRequest, now: Reading) -> Arrival {
        let drive = |chosen: Option<&TimerFactory>| TimeDriver::on(self.clock(), chosen);
        match self {
            Target::Single(limiter) => limiter.enter(call, now, drive),
            Target::Key(buckets, key) => buckets.table.enter(*key, call, now, drive),
        }
    }

    /// Completes an arrival, when its outcome is recorded and no lock is held.
    pub(crate) fn arrived(&self, event: Option<FullEvent>, now: Reading) {
        if let Target::Key(buckets, _) = self {
            buckets.table.arrived(event, now);
        }
    }

    /// Takes the bucket's word back from its queue, if there are no waiters.
    pub(crate) fn take_back(&self, queue: &Arc<Queue>, now: Reading) {
        match self {
            Target::Single(limiter) => limiter.take_back(),
            Target::Key(buckets, key) => buckets.table.take_back(*key, queue, now),
        }
    }
}

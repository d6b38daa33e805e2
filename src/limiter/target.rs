//! [`Target`]: a bucket, wherever it is kept, and the operations on it.

use core::time::Duration;
#[cfg(feature = "std")]
use std::sync::Arc;

use crate::algorithm::Terms;
use crate::algorithm::token_bucket::{self, Demand};
use crate::cell::{self, Seen, TermsSource, TimeSource};
#[cfg(feature = "std")]
use crate::cell::{Cell, WordCell};
use crate::clock::Clock;
use crate::error::TryAcquireError;
use crate::quota::Quota;
use crate::stats::Recording;
use crate::tokens::Tokens;
use crate::word::{Due, Layout, Level, Reading, Snapshot, Units, Word};

use super::decision::{Decision, as_f64};
use super::state::RateLimiter;

#[cfg(feature = "std")]
use super::state::Buckets;
#[cfg(feature = "std")]
use crate::cell::Taken;
#[cfg(feature = "std")]
use crate::error::AcquireError;
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

    /// Returns the statistics that count what is done by this handle.
    #[cfg(feature = "std")]
    #[inline]
    fn recording(&self) -> &Recording {
        self.target().recording()
    }

    /// Counts a call that was admitted at once.
    #[cfg(feature = "std")]
    #[inline(always)]
    fn count_admitted(&self, n: Tokens) {
        match self.target() {
            Target::Single(limiter) => limiter.count_admitted(n),
            Target::Key(buckets, _) => buckets.stats.admitted(n),
        }
    }
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

    /// Returns the limiter's statistics.
    #[inline]
    pub(crate) fn recording(&self) -> &'a Recording {
        match self {
            Target::Single(limiter) => limiter.recording(),
            #[cfg(feature = "std")]
            Target::Key(buckets, _) => &buckets.stats,
        }
    }

    /// Counts a wait that has ended, in these statistics.
    #[cfg(feature = "std")]
    pub(crate) fn count_wait(&self, recording: &Recording, n: Tokens, answer: Result<Duration, &AcquireError>) {
        recording.waited(n, answer);
        if let (Target::Key(_, key), Err(_)) = (self, answer) {
            recording.add_to_top(*key);
        }
    }

    /// Adds a denial, which is counted already, to the keys with the most denials.
    #[cfg(feature = "std")]
    fn add_to_top(&self) {
        if let Target::Key(buckets, key) = self {
            buckets.stats.add_to_top(*key);
        }
    }

    pub(crate) fn quota(&self) -> Quota {
        match self {
            Target::Single(limiter) => limiter.quota(),
            #[cfg(feature = "std")]
            Target::Key(buckets, _) => buckets.quota(),
        }
    }

    /// Returns the source of the current terms.
    #[inline]
    pub(crate) fn terms_source(&self) -> TermsSource<'a> {
        match self {
            Target::Single(limiter) => limiter.terms_source(),
            #[cfg(feature = "std")]
            Target::Key(buckets, _) => buckets.table.terms_source(),
        }
    }

    /// Returns the current terms.
    pub(crate) fn terms(&self) -> Terms<'a> {
        self.terms_source().terms()
    }

    #[inline]
    pub(crate) fn clock(&self) -> &'a C {
        match self {
            Target::Single(limiter) => limiter.clock(),
            #[cfg(feature = "std")]
            Target::Key(buckets, _) => buckets.clock(),
        }
    }

    /// Returns the tokens that background work leaves.
    pub(crate) fn background(&self) -> Tokens {
        self.background_of(self.terms().capacity())
    }

    /// Returns the tokens that background work leaves of a burst, rounded up to 10⁻¹² token.
    pub(crate) fn background_of(&self, burst: Units) -> Tokens {
        let percent = match self {
            Target::Single(limiter) => limiter.background_percent(),
            #[cfg(feature = "std")]
            Target::Key(buckets, _) => buckets.background,
        };
        let burst = self.layout().tokens_down(burst);
        Tokens::from_pico((burst.total_pico() * u128::from(percent)).div_ceil(100))
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
    /// Takes the cost of `n` if `leaving` tokens are left then. The outcome is not counted in the statistics.
    #[cfg(feature = "std")]
    pub(crate) fn take(&self, n: Tokens, leaving: Tokens, now: TimeSource<'_, C>) -> Taken {
        match self {
            Target::Single(limiter) => limiter.take(n, leaving, now),
            Target::Key(buckets, key) => buckets.table.take(*key, (n, leaving), now),
        }
    }

    /// Takes as [`take`](Target::take), and returns the answer, which is counted. A cost of zero is always
    /// admitted.
    #[inline(always)]
    pub(crate) fn try_take(&self, n: Tokens, leaving: Tokens, now: TimeSource<'_, C>) -> Result<(), TryAcquireError> {
        match self {
            Target::Single(limiter) => limiter.try_take(n, leaving, now),
            #[cfg(feature = "std")]
            Target::Key(buckets, key) => buckets.try_take(*key, (n, leaving), now),
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
        change: impl Fn(&Terms<'_>, Word, Reading) -> (Word, Units),
    ) -> Option<Units> {
        match self {
            Target::Single(limiter) => limiter.change(now, change),
            #[cfg(feature = "std")]
            Target::Key(buckets, key) => Some(buckets.table.change(*key, now, change)),
        }
    }

    #[inline(always)]
    pub(crate) fn decide(&self, n: Tokens, leaving: Tokens, now: TimeSource<'_, C>) -> Decision {
        if n.is_zero() {
            return self.decide_nothing(now);
        }
        let taken = match self {
            Target::Single(limiter) => cell::take(*limiter, limiter.layout(), (n, leaving), now).map_err(Some),
            #[cfg(feature = "std")]
            Target::Key(buckets, key) => buckets.table.take_once(*key, (n, leaving), now).ok_or(None),
        };
        match taken {
            Ok(taken) => {
                match self {
                    Target::Single(limiter) => limiter.count(n, &taken),
                    #[cfg(feature = "std")]
                    Target::Key(buckets, key) => buckets.count(*key, n, &taken),
                }
                Decision::taken(self.layout(), taken)
            }
            Err(seen) => self.decide_cold(Demand::new(self.layout(), n, leaving), now, seen, n.to_bits()),
        }
    }

    /// Continues after the short loop, to the decision.
    #[cold]
    #[inline(never)]
    fn decide_cold(&self, demand: Demand, now: TimeSource<'_, C>, seen: Option<Seen>, n: u128) -> Decision {
        let taken = match self {
            Target::Single(limiter) => {
                limiter.take_cold(demand, now, seen.unwrap_or_else(|| Seen::first(*limiter, now)))
            }
            #[cfg(feature = "std")]
            Target::Key(buckets, key) => buckets.table.take_cold(*key, demand, now),
        };
        // The quota may have changed since, but then it changed during this call.
        let terms = &self.terms();
        let exceeds = demand.needed > terms.capacity();
        match self {
            Target::Single(limiter) => limiter.recording().taken(n, &taken, exceeds),
            #[cfg(feature = "std")]
            Target::Key(buckets, key) => buckets.count_cold(*key, n, &taken, exceeds),
        }
        Decision::taken_by(terms, taken)
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
            Some(snapshot) => Decision::looked(&self.terms(), snapshot),
            None => Decision::unlimited(self.layout()),
        }
    }

    pub(crate) fn balance(&self, now: TimeSource<'_, C>) -> f64 {
        match self.snapshot(Units(0), now) {
            Some(snapshot) => as_f64(self.layout(), snapshot.held),
            None => f64::INFINITY,
        }
    }

    /// Returns the tokens that the bucket holds, rounded down, and its debt, rounded up: one of them is zero.
    #[cfg(feature = "std")]
    pub(crate) fn held_and_debt(&self, now: TimeSource<'_, C>) -> (Tokens, Tokens) {
        let Level(held) = self.snapshot(Units(0), now).map_or(Level(0), |snapshot| snapshot.held);
        if held < 0 {
            (Tokens::ZERO, self.layout().tokens_up(held.unsigned_abs().into()))
        } else {
            (self.layout().tokens_down(Units(held as u64)), Tokens::ZERO)
        }
    }

    /// Returns the tokens that are there for a call that leaves `leaving`.
    pub(crate) fn available_tokens(&self, leaving: Tokens, now: TimeSource<'_, C>) -> f64 {
        let leaving = Demand::new(self.layout(), Tokens::ZERO, leaving).leaving();
        match self.snapshot(leaving, now) {
            Some(Snapshot { no_place: Some(_), .. }) => 0.0,
            Some(Snapshot { now, .. }) if self.terms().are_paused(now) => 0.0,
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
            Some(_) if demand.needed > self.terms().capacity() && !n.is_zero() => None,
            Some(due) if !n.is_zero() => due.after(),
            _ => Some(Duration::ZERO),
        }
    }

    /// Returns the instant at which the bucket has what is asked for, if no other call comes between;
    /// `None` if there is no limit.
    pub(crate) fn due_at(&self, demand: Demand, now: TimeSource<'_, C>) -> Option<Due> {
        let snapshot = self.snapshot(demand.leaving(), now)?;
        let missing = missing(&snapshot, demand, 0).max(snapshot.no_place.unwrap_or_default());
        Some(self.terms().due(snapshot.now, missing))
    }

    /// Adds `n` tokens, clipped at the burst, and returns the tokens that were added.
    pub(crate) fn add_tokens(&self, n: Tokens, now: TimeSource<'_, C>) -> Tokens {
        self.refund(self.layout().units_down(n), now)
    }

    /// Gives units back as [`give_back`](Target::give_back) does, and counts that.
    pub(crate) fn refund(&self, units: u128, now: TimeSource<'_, C>) -> Tokens {
        let added = self.give_back(units, now);
        if !added.is_zero() {
            self.recording().refunded(added);
        }
        added
    }

    /// Gives back units that were charged to a call that is not counted, and returns the tokens that were
    /// added: what is above the burst is not.
    pub(crate) fn give_back(&self, units: u128, now: TimeSource<'_, C>) -> Tokens {
        self.layout().tokens_down(self.add_units(units, now))
    }

    fn add_units(&self, units: u128, now: TimeSource<'_, C>) -> Units {
        self.change(now, |terms, word, now| token_bucket::give_back(terms, word, now, units)).unwrap_or_default()
    }

    /// Gives `n` tokens back to a bucket without statistics, or as many of them as pay its debt, and returns those that
    /// were not added.
    #[cfg(feature = "std")]
    ///
    /// The bucket is full when it holds its burst less what it earns until the reading that `full_at` returns, which is
    /// called after the word was read.
    pub(crate) fn restore(
        &self,
        n: Tokens,
        only_debt: bool,
        full_at: impl Fn() -> Reading,
        now: TimeSource<'_, C>,
    ) -> Tokens {
        let units = self.layout().units_down(n);
        let added = self.change(now, |terms, word, now| {
            let debt = || token_bucket::level(terms, word, now).0.min(0).unsigned_abs();
            let units = if only_debt { units.min(debt().into()) } else { units };
            token_bucket::give_back_as_of(terms, word, now, full_at().max(now), units)
        });
        self.layout().tokens_up(units - u128::from(added.unwrap_or_default().0))
    }

    /// Fills the bucket, and forgets its past.
    pub(crate) fn reset(&self, now: TimeSource<'_, C>) {
        self.change(now, |terms, _, _| (token_bucket::filled(terms), Units(0)));
    }

    /// Charges, into debt if need be, and returns the tokens that could not be charged.
    fn charge(&self, units: u128, now: TimeSource<'_, C>) -> Tokens {
        match self.change(now, |terms, word, now| {
            let debt = terms.debt().unwrap_or_else(|| self.debt());
            token_bucket::charge(terms, debt, word, now, units)
        }) {
            Some(charged) => self.layout().tokens_up(units - u128::from(charged.0)),
            None => Tokens::ZERO,
        }
    }

    /// Returns how far below zero a commit may take the bucket if the quota never changed.
    fn debt(&self) -> Units {
        // A debt limit fits beside the capacity in a count's 62 bits.
        let highest = match self {
            Target::Single(limiter) => limiter.highest(),
            #[cfg(feature = "std")]
            Target::Key(buckets, _) => buckets.table.highest(),
        };
        Units(self.layout().units_down(highest.debt_limit()) as u64)
    }

    /// Settles a reservation of `reserved` for `actual`, and returns the tokens that could not be
    /// charged.
    pub(crate) fn settle(&self, reserved: Tokens, actual: Tokens, now: TimeSource<'_, C>) -> Tokens {
        let (reserved, actual) = (self.layout().units_up(reserved), self.layout().units_up(actual));
        match actual.checked_sub(reserved) {
            Some(0) => Tokens::ZERO,
            Some(more) => {
                let uncharged = self.charge(more, now);
                self.recording().charged_by(|| self.layout().tokens_up(more).saturating_sub(uncharged));
                uncharged
            }
            None => {
                let added = self.add_units(reserved - actual, now);
                self.recording().refunded_by(|| self.layout().tokens_down(added));
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
    /// Counts a call that this limit refused, in its statistics.
    pub(crate) fn count_refused(&self, n: Tokens, error: &TryAcquireError) {
        self.recording().refused(n, error);
        self.add_to_top();
    }

    /// Returns the usual place of the bucket's word, and the word; `None` if it is not there.
    #[inline]
    pub(crate) fn find(&self) -> Option<(Found<'a>, Word)> {
        match self {
            Target::Single(limiter) => {
                let cell = &limiter.cells().first;
                Some((Found::Cell(cell), cell.load()))
            }
            Target::Key(buckets, key) => {
                let tenant = buckets.table.find_slot(*key)?;
                Some((Found::Slot(tenant), tenant.load()))
            }
        }
    }

    /// Returns whether both are the same bucket.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Target::Single(one), Target::Single(other)) => std::ptr::eq(*one, *other),
            (Target::Key(one, key), Target::Key(other, other_key)) => Arc::ptr_eq(one, other) && key == other_key,
            _ => false,
        }
    }

    /// Returns whether a word in its usual place is decided under the layout alone. Called after the clock was
    /// read. A lone limiter's word leaves its place when the quota changes.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        match self {
            Target::Single(_) => true,
            Target::Key(buckets, _) => buckets.table.per_token().is_some(),
        }
    }

    /// Counts and reports that a call was refused because of a full table, which a look has found.
    pub(crate) fn report_full(&self) {
        if let Target::Key(buckets, _) = self {
            buckets.table.report(FullEvent::Refused);
        }
    }

    /// Returns the refusal that a call for `n` tokens would get, which leaves `leaving`; `None` if it would be
    /// admitted.
    pub(crate) fn foresee(&self, n: Tokens, leaving: Tokens, now: TimeSource<'_, C>) -> Option<Taken> {
        if n.is_zero() { None } else { self.foresee_behind(0, n, leaving, now) }
    }

    /// The same for a call that comes after others have taken `ahead` units. A call for nothing is refused by a debt.
    pub(crate) fn foresee_behind(
        &self,
        ahead: u128,
        n: Tokens,
        leaving: Tokens,
        now: TimeSource<'_, C>,
    ) -> Option<Taken> {
        let demand = Demand::new(self.layout(), n, leaving);
        let snapshot = self.snapshot(demand.leaving(), now)?;
        let now = snapshot.now;
        if let Some(deficit) = snapshot.no_place {
            return Some(Taken::TableFull { deficit, now });
        }
        let deficit = missing(&snapshot, demand, ahead);
        (deficit > Units(0) || self.terms().are_paused(now)).then_some(Taken::Denied {
            needed: demand.needed,
            deficit,
            now,
        })
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

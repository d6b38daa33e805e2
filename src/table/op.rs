//! An operation on a bucket, wherever the bucket is: in a slot, out of it, or with a queue.

use crate::algorithm::Terms;
use crate::algorithm::token_bucket::{self, Demand, Started, Step};
use crate::cell::{self, Resolved, Taken, TermsSource, TimeSource, WordCell};
use crate::clock::Clock;
use crate::queue::QueueState;
use crate::word::{Reading, Snapshot, Units, Word};

use super::slots::InSlot;

/// A bucket that no other thread can reach.
#[derive(Clone, Copy)]
pub(super) enum Detached {
    Bucket(Word),
    /// The operation starts the bucket with this amount.
    NotStarted(Units),
}

/// An operation on a bucket.
pub(super) trait BucketOp {
    type Output;

    /// Runs the operation on a tenant's bucket. Returns `None`, and does nothing, if the tenant has
    /// moved.
    fn run_in_slot(&self, terms: TermsSource<'_>, tenant: &InSlot<'_>) -> Option<Self::Output>;

    /// Runs the operation on a detached bucket, and returns the bucket's new word as well.
    fn run(&self, terms: &Terms<'_>, bucket: Detached, now: Reading) -> (Word, Self::Output);

    /// Runs the operation on a bucket that callers wait on. Returns `None` if the queue has no
    /// word.
    fn run_queued(&self, state: &mut QueueState, terms: TermsSource<'_>) -> Option<Self::Output>;

    /// Reads the clock.
    fn now(&self) -> Reading;

    /// Returns whether the operation starts a bucket that does not start full.
    fn starts(&self, _: &Terms<'_>) -> bool {
        true
    }

    /// Returns whether an output shows that the bucket was charged, so that it is not full.
    fn was_charged(&self, _: &Self::Output) -> bool {
        false
    }

    /// Returns the units that a later call has to wait for, if an `output` that leaves a new key
    /// unknown states when that call will be admitted. The key needs a place then.
    fn foresees(&self, _: &Terms<'_>, _: &Self::Output) -> Option<Units> {
        None
    }

    /// Set if the operation only looks, so that no refusal is counted for it.
    const LOOKS: bool = false;

    /// Returns the output that replaces `output` if there is no place for the key until `deficit`
    /// more units than at `now` have been earned.
    fn refused(&self, output: Self::Output, deficit: Units, now: Reading) -> Self::Output;
}

/// A call for tokens.
pub(super) struct Take<'a, C> {
    pub(super) demand: Demand,
    pub(super) source: TimeSource<'a, C>,
}

impl<C: Clock> BucketOp for Take<'_, C> {
    type Output = Taken;

    fn run_in_slot(&self, terms: TermsSource<'_>, tenant: &InSlot<'_>) -> Option<Taken> {
        cell::take_exact(tenant, terms, self.demand, self.source)
    }

    fn run(&self, terms: &Terms<'_>, bucket: Detached, now: Reading) -> (Word, Taken) {
        let demand = self.demand;
        let admitted = |held| Taken::Admitted { cost: demand.cost, held, now };
        let denied = |deficit| Taken::Denied { needed: demand.needed, deficit, now };
        match bucket {
            Detached::Bucket(word) => match token_bucket::step_exact(terms, word, now, demand) {
                Step::Admitted { next, held } => (next, admitted(held)),
                Step::Denied { deficit, .. } => (word, denied(deficit)),
                Step::Cold => unreachable!("only special words are cold to the exact step"),
            },
            Detached::NotStarted(initial) => match token_bucket::start(terms, now, initial, demand) {
                Started::Admitted { next, held } => (next, admitted(held)),
                Started::Denied { next, deficit } => (next, denied(deficit)),
            },
        }
    }

    fn run_queued(&self, state: &mut QueueState, terms: TermsSource<'_>) -> Option<Taken> {
        let now = self.now();
        state.take(&terms.terms(), self.demand, now)
    }

    fn now(&self) -> Reading {
        self.source.read()
    }

    fn starts(&self, terms: &Terms<'_>) -> bool {
        self.demand.needed <= terms.capacity()
    }

    fn was_charged(&self, taken: &Taken) -> bool {
        matches!(taken, Taken::Admitted { .. })
    }

    fn foresees(&self, terms: &Terms<'_>, taken: &Taken) -> Option<Units> {
        match *taken {
            Taken::Denied { needed, deficit, .. } if needed <= terms.capacity() => Some(deficit),
            _ => None,
        }
    }

    fn refused(&self, _: Taken, deficit: Units, now: Reading) -> Taken {
        Taken::TableFull { deficit, now }
    }
}

/// An operation that gives back, charges or fills. The output is the amount that was added or
/// charged.
pub(super) struct Change<'a, C, F> {
    pub(super) source: TimeSource<'a, C>,
    pub(super) change: F,
}

impl<C: Clock, F: Fn(&Terms<'_>, Word, Reading) -> (Word, Units)> BucketOp for Change<'_, C, F> {
    type Output = Units;

    fn run_in_slot(&self, terms: TermsSource<'_>, tenant: &InSlot<'_>) -> Option<Units> {
        cell::change(tenant, terms, self.source, &self.change)
    }

    fn run(&self, terms: &Terms<'_>, bucket: Detached, now: Reading) -> (Word, Units) {
        (self.change)(terms, bucket.word(terms, now), now)
    }

    fn run_queued(&self, state: &mut QueueState, terms: TermsSource<'_>) -> Option<Units> {
        let now = self.now();
        state.change(&terms.terms(), now, &self.change)
    }

    fn now(&self) -> Reading {
        self.source.read()
    }

    fn refused(&self, _: Units, _: Units, _: Reading) -> Units {
        Units(0)
    }
}

/// A look at a bucket, for a call that leaves `leaving`.
pub(super) struct Look<'a, C> {
    pub(super) source: TimeSource<'a, C>,
    pub(super) leaving: Units,
}

impl<C: Clock> BucketOp for Look<'_, C> {
    type Output = Snapshot;

    fn run_in_slot(&self, terms: TermsSource<'_>, tenant: &InSlot<'_>) -> Option<Snapshot> {
        let (word, now) = (tenant.word(), self.now());
        let Resolved::Bucket = tenant.resolve(word) else { return None };
        tenant.is_here().then(|| Snapshot::held(now, token_bucket::level(&terms.terms(), word, now)))
    }

    fn run(&self, terms: &Terms<'_>, bucket: Detached, now: Reading) -> (Word, Snapshot) {
        let word = bucket.word(terms, now);
        (word, Snapshot::held(now, token_bucket::level(terms, word, now)))
    }

    fn run_queued(&self, state: &mut QueueState, terms: TermsSource<'_>) -> Option<Snapshot> {
        let now = self.now();
        state.snapshot(&terms.terms(), self.leaving, now)
    }

    fn now(&self) -> Reading {
        self.source.read()
    }

    fn foresees(&self, _: &Terms<'_>, _: &Snapshot) -> Option<Units> {
        Some(Units(0))
    }

    const LOOKS: bool = true;

    fn refused(&self, snapshot: Snapshot, deficit: Units, _: Reading) -> Snapshot {
        Snapshot { no_place: Some(deficit), ..snapshot }
    }
}

impl Detached {
    /// Returns the bucket's word. A bucket that has not started starts at `now`.
    pub(super) fn word(self, terms: &Terms<'_>, now: Reading) -> Word {
        match self {
            Detached::Bucket(word) => word,
            Detached::NotStarted(initial) => token_bucket::started(terms, now, initial),
        }
    }
}

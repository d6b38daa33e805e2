//! What is done to a bucket, wherever it is kept: in a slot, or yet nowhere.

#[cfg(feature = "wait")]
use crate::algorithm::token_bucket::Ask;
use crate::cell::{AsTaken, Cell, Home, Now, Taken};
use crate::sync::AtomicU64;
use crate::tokens::Tokens;
#[cfg(feature = "wait")]
use crate::wait::{Loan, Rule};
use crate::word::{Layout, Reading, Units, Word};

/// Something to be done to a bucket.
pub(super) trait Errand {
    type Answer: Answer;

    /// Does it to the bucket in `cell`; `None`, and nothing is done, where that has moved.
    fn run<H: Home>(&self, cell: &Cell<&AtomicU64>, home: &H) -> Option<Self::Answer>;

    /// Does it to a bucket that somebody waits on; `None` where nobody does by then.
    #[cfg(feature = "wait")]
    fn run_lent(&self, loan: &mut Loan, rule: &Rule) -> Option<Self::Answer>;

    /// A reading.
    fn now(&self) -> Reading;
}

/// What came of it.
pub(super) trait Answer {
    /// Whether the bucket was changed.
    fn changed(&self) -> bool;

    /// The reading that it stands on, where it tells.
    fn reading(&self) -> Option<Reading>;

    /// That nothing was done, for want of a place: the next one may come free when `deficit`
    /// units more than at `now` have been earned.
    fn refused(deficit: Units, now: Reading) -> Self;
}

/// Taking.
pub(super) struct Take<'a, N> {
    pub(super) layout: &'a Layout,
    pub(super) n: Tokens,
    /// What is to be left.
    pub(super) leaving: Tokens,
    pub(super) source: N,
}

impl<N: Now> Errand for Take<'_, N> {
    type Answer = Taken;

    fn run<H: Home>(&self, cell: &Cell<&AtomicU64>, home: &H) -> Option<Taken> {
        cell.take(self.layout, home, (self.n, self.leaving), self.source, AsTaken)
    }

    #[cfg(feature = "wait")]
    fn run_lent(&self, loan: &mut Loan, rule: &Rule) -> Option<Taken> {
        loan.take(rule, Ask::new(self.layout, self.n, self.leaving), self.now())
    }

    fn now(&self) -> Reading {
        let mut source = self.source;
        source.first()
    }
}

impl Answer for Taken {
    fn changed(&self) -> bool {
        matches!(self, Taken::Admitted { .. })
    }

    fn reading(&self) -> Option<Reading> {
        match *self {
            Taken::Admitted { now, .. } | Taken::Denied { now, .. } | Taken::Refused { now, .. } => Some(now),
            Taken::Unlimited => None,
        }
    }

    fn refused(deficit: Units, now: Reading) -> Self {
        Taken::Refused { deficit, now }
    }
}

/// Giving back, charging, filling. The answer is what was added or charged.
pub(super) struct Change<N, F> {
    pub(super) source: N,
    pub(super) change: F,
}

impl<N: Now, F: Fn(Word, Reading) -> (Word, Units)> Errand for Change<N, F> {
    type Answer = Units;

    fn run<H: Home>(&self, cell: &Cell<&AtomicU64>, home: &H) -> Option<Units> {
        cell.change(home, self.source, &self.change)
    }

    #[cfg(feature = "wait")]
    fn run_lent(&self, loan: &mut Loan, rule: &Rule) -> Option<Units> {
        loan.change(rule, self.now(), &self.change)
    }

    fn now(&self) -> Reading {
        let mut source = self.source;
        source.first()
    }
}

impl Answer for Units {
    fn changed(&self) -> bool {
        true
    }

    fn reading(&self) -> Option<Reading> {
        None
    }

    fn refused(_: Units, _: Reading) -> Self {
        Units(0)
    }
}

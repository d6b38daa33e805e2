//! What is done to a bucket, wherever it is kept: in a slot, or yet nowhere.

use crate::cell::{AsTaken, Cell, Home, Now, Taken};
use crate::sync::AtomicU64;
use crate::tokens::Tokens;
use crate::word::{Layout, Reading, Units, Word};

/// Something to be done to a bucket.
pub(super) trait Errand {
    type Answer: Answer;

    /// Does it to the bucket in `cell`.
    fn run<H: Home>(&self, cell: &Cell<&AtomicU64>, home: &H) -> Self::Answer;

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
    pub(super) source: N,
}

impl<N: Now> Errand for Take<'_, N> {
    type Answer = Taken;

    fn run<H: Home>(&self, cell: &Cell<&AtomicU64>, home: &H) -> Taken {
        cell.take(self.layout, home, self.n, self.source, AsTaken)
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
            Taken::Unlimited | Taken::Gone => None,
        }
    }

    fn refused(deficit: Units, now: Reading) -> Self {
        Taken::Refused { deficit, now }
    }
}

/// Giving back, charging, filling. The answer is `None` where the bucket has moved.
pub(super) struct Change<N, F> {
    pub(super) source: N,
    pub(super) change: F,
}

impl<N: Now, F: Fn(Word, Reading) -> (Word, Units)> Errand for Change<N, F> {
    type Answer = Option<Units>;

    fn run<H: Home>(&self, cell: &Cell<&AtomicU64>, home: &H) -> Option<Units> {
        cell.change(home, self.source, &self.change)
    }

    fn now(&self) -> Reading {
        let mut source = self.source;
        source.first()
    }
}

impl Answer for Option<Units> {
    fn changed(&self) -> bool {
        true
    }

    fn reading(&self) -> Option<Reading> {
        None
    }

    fn refused(_: Units, _: Reading) -> Self {
        Some(Units(0))
    }
}

//! The compare-exchange loop for everything that the short loop of a call leaves: special words,
//! denials that may have been overtaken, and changes.

use crate::algorithm::Terms;
use crate::algorithm::token_bucket::{self, Demand, Started, Step};
use crate::clock::Clock;
use crate::word::{Reading, Units, Word};

#[cfg(feature = "std")]
use crate::word::Due;

#[cfg(feature = "std")]
use super::quota_cell::QuotaCell;
use super::terms_source::TermsSource;
use super::word_cell::{Resolved, Seen, Taken, TimeSource, WordCell};

impl Seen {
    /// Loads the word and reads the clock.
    #[inline]
    pub(crate) fn first(cell: &impl WordCell, source: TimeSource<'_, impl Clock>) -> Seen {
        let word = cell.load();
        Seen { word, now: source.read(), overtaken: false }
    }

    /// Returns whether neither the word nor the clock was read, because the word has moved to another cell.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn has_moved(&self) -> bool {
        self.now == Reading::NONE
    }

    /// Loads the word of another cell. Reads the clock if it was not read.
    #[cfg(feature = "std")]
    pub(crate) fn anew(self, cell: &impl WordCell, source: TimeSource<'_, impl Clock>) -> Seen {
        match self.now {
            Reading::NONE => Seen::first(cell, source),
            now => Seen { word: cell.load(), now, overtaken: true },
        }
    }
}

/// The decision of one round of the loop.
enum Next<T> {
    /// Swap this word in. Return the result if the swap succeeds.
    Swap(Word, T),
    /// Return without a write.
    Return(T),
    /// Return without a write, unless the clock can be read again.
    Recheck(T),
}

/// Takes with the exact steps alone, for any word. Returns `None` if the bucket is not in this cell.
#[cfg(feature = "std")]
pub(crate) fn take_exact(
    cell: &impl WordCell,
    terms: TermsSource<'_>,
    demand: Demand,
    source: TimeSource<'_, impl Clock>,
) -> Option<Taken> {
    take_cold(cell, terms, demand, source, Seen::first(cell, source))
}

/// Takes from a bucket whose quota has changed, in one attempt. A denial comes with the instant at which the tokens
/// are there. Returns `None` if the attempt does not decide. Nothing was charged then, and [`take_cold`] can decide.
// The piece stays in registers: to copy it takes longer than all the rest.
#[cfg(feature = "std")]
#[inline(always)]
pub(crate) fn take_changed(
    cell: &impl WordCell,
    quota: &QuotaCell,
    demand: Demand,
    source: TimeSource<'_, impl Clock>,
) -> Option<(Taken, Option<Due>)> {
    let Seen { word, now, .. } = Seen::first(cell, source);
    if !cell.is_here() {
        return None;
    }
    let (layout, piece) = (quota.layout(), quota.piece()?);
    match token_bucket::step_changed(layout, &piece, word, now, demand) {
        Step::Admitted { next, held } => {
            cell.compare_exchange(word, next).ok()?;
            Some((Taken::Admitted { cost: demand.cost, held, now }, None))
        }
        Step::Denied { deficit, .. } => {
            let due = piece.due(now, deficit);
            Some((Taken::Denied { needed: demand.needed, deficit, now }, Some(due)))
        }
        Step::Cold => None,
    }
}

/// Continues after [`take`](super::take): if the word is special or was written after the reading, or
/// if a denial may have been overtaken. Returns `None` if the bucket is not in this cell.
pub(crate) fn take_cold(
    cell: &impl WordCell,
    terms: TermsSource<'_>,
    demand: Demand,
    source: TimeSource<'_, impl Clock>,
    seen: Seen,
) -> Option<Taken> {
    let Demand { cost, needed } = demand;
    cas_loop(cell, terms, seen, source, |terms, seen, now, overtaken| {
        let denied = |deficit| Some(Taken::Denied { needed, deficit, now });
        let admitted = |held| Some(Taken::Admitted { cost, held, now });
        let initial = match cell.resolve(seen) {
            Resolved::Bucket => None,
            Resolved::NotStarted(initial) => Some(initial),
            Resolved::Unlimited => return Next::Return(Some(Taken::Unlimited)),
            Resolved::Elsewhere => return Next::Return(None),
        };
        if let Some(initial) = initial {
            return match token_bucket::start(terms, now, initial, demand) {
                Started::Admitted { next, held } => Next::Swap(next, admitted(held)),
                // A denied call starts the bucket too, or it would never begin to refill.
                Started::Denied { next, deficit } => Next::Swap(next, denied(deficit)),
            };
        }
        match token_bucket::step_exact(terms, seen, now, demand) {
            Step::Admitted { next, held } => Next::Swap(next, admitted(held)),
            Step::Denied { deficit, stale } if stale || overtaken => Next::Recheck(denied(deficit)),
            Step::Denied { deficit, .. } => Next::Return(denied(deficit)),
            Step::Cold => unreachable!("only special words are cold to the exact step"),
        }
    })
}

/// Replaces the word by the result of `change`, and returns the amount that was added or charged, or
/// zero if there is no limit. Returns `None` if the bucket is not in this cell.
#[cold]
pub(crate) fn change(
    cell: &impl WordCell,
    terms: TermsSource<'_>,
    source: TimeSource<'_, impl Clock>,
    change: impl Fn(&Terms<'_>, Word, Reading) -> (Word, Units),
) -> Option<Units> {
    cas_loop(cell, terms, Seen::first(cell, source), source, |terms, seen, now, _| {
        let word = match cell.resolve(seen) {
            Resolved::Bucket => seen,
            Resolved::NotStarted(initial) => token_bucket::started(terms, now, initial),
            Resolved::Unlimited => return Next::Return(Some(Units(0))),
            Resolved::Elsewhere => return Next::Return(None),
        };
        let (next, amount) = change(terms, word, now);
        if next == seen { Next::Return(Some(amount)) } else { Next::Swap(next, Some(amount)) }
    })
}

/// Swaps in the word that `decide` computes, and repeats until the swap succeeds. `decide` receives
/// the terms, the word, the reading, and whether another call may have changed the word since that reading.
/// Returns `None` if the bucket is not in this cell.
///
/// The loop ends: a swap fails only if another call has succeeded, and the clock is read again at
/// most once.
fn cas_loop<T>(
    cell: &impl WordCell,
    source_of_terms: TermsSource<'_>,
    Seen { mut word, mut now, mut overtaken }: Seen,
    mut source: TimeSource<'_, impl Clock>,
    decide: impl Fn(&Terms<'_>, Word, Reading, bool) -> Next<Option<T>>,
) -> Option<T> {
    // After each reading of the clock, and after each load of the word.
    let mut terms = source_of_terms.terms();
    loop {
        if !cell.is_here() {
            return None;
        }
        match decide(&terms, word, now, overtaken) {
            Next::Swap(next, settled) => match cell.compare_exchange(word, next) {
                Ok(()) => return settled,
                // The other call may have had later terms.
                Err(current) => (word, terms, overtaken) = (current, source_of_terms.terms(), true),
            },
            Next::Return(settled) => return settled,
            Next::Recheck(settled) => match source.reread() {
                Some(reading) => (now, terms, overtaken) = (reading, source_of_terms.terms(), false),
                None => return settled,
            },
        }
    }
}

//! The decision on several limits at once: all of them are charged, or none.
//!
//! **Two passes.** The first loads the word of every limit, reads the clock, and steps each word. If a limit
//! denies the call, nothing was written. Only then the second pass swaps the words, in the order of the
//! limits. If a swap fails because another call came between, that limit and those behind it are taken from one
//! after the other; if one of them denies the call, the limits that were charged get their tokens back, in
//! reverse.
//!
//! **No deadlock, no overshoot.** No call waits for another one. A charge that is given back was the call's
//! own, so a limit grants no more than beside a reservation that is cancelled: a full limit earns tokens while the
//! charge lasts. While it lasts, another call may be denied that would have been admitted.
//!
//! If a word is not in its usual place (a key is new or was moved, callers wait on a limit, the bucket has not
//! started), the limits are looked at one after the other, and then charged one after the other.

use core::time::Duration;

use crate::algorithm::token_bucket::{self, Demand, Step};
use crate::cell::{Taken, TimeSource};
use crate::clock::Clock;
use crate::error::{AcquireError, ExceedsBurst, TableFull, TooLate};
use crate::limiter::Decision;
use crate::limiter::Target;
use crate::queue::in_drop;
use crate::tokens::Tokens;
use crate::word::{Reading, Units, Word};

use super::error::{AcquireCause, CompositeAcquireError, LimitCause, LimitError};
use crate::error::LimitName;

/// The most limits whose decisions are shown.
pub(super) const MOST_LIMITS: usize = 8;

/// A call's share of a limit: the bucket, the tokens to be taken there, and those to be left.
pub(crate) struct Part<'a, C> {
    pub(crate) target: Target<'a, C>,
    pub(crate) n: Tokens,
    pub(crate) leaving: Tokens,
}

impl<'a, C: Clock> Part<'a, C> {
    #[inline]
    fn demand(&self) -> Demand {
        Demand::new(self.target.layout(), self.n, self.leaving)
    }

    #[inline]
    fn source(&self, at: Option<Reading>) -> TimeSource<'a, C> {
        at.map_or(self.target.live(), TimeSource::given)
    }

    /// Returns the decision of this limit, if it admits the call.
    pub(super) fn decision(&self, taken: Taken, at: Option<Reading>) -> Decision {
        if self.n.is_zero() { self.look(at) } else { Decision::taken_by(&self.target.terms(), taken) }
    }

    /// Returns the decision of a call that takes nothing.
    pub(super) fn look(&self, at: Option<Reading>) -> Decision {
        self.target.decide(Tokens::ZERO, Tokens::ZERO, self.source(at))
    }
}

/// The limits of a call. It is passed by value, so that a call that is admitted at once need not write it to
/// memory.
pub(crate) trait Parts: Copy {
    type Clock: Clock;

    /// A bucket's usual place, as it was found.
    type Place: Copy;

    /// Set if all limits have the same clock, so that one reading serves them all.
    const SAME_CLOCK: bool;

    /// Set if a call also waits for a limit from which it takes nothing, while that limit is in debt.
    const WAITS_FOR_DEBTS: bool = false;

    fn len(&self) -> usize;

    fn part(&self, nth: usize) -> Part<'_, Self::Clock>;

    /// Returns the part of a limit with all others on the same bucket, of which the call takes together.
    fn whole(&self, nth: usize) -> Part<'_, Self::Clock> {
        self.part(nth)
    }

    /// Returns the refusal of a part as that of all parts on its bucket.
    #[inline]
    fn of_whole(&self, refused: Refused) -> Refused {
        refused
    }

    fn name(&self, nth: usize) -> LimitName;

    /// Returns the place and the word of a bucket; `None` if it is not in its usual place.
    fn find(&self, nth: usize) -> Option<(Self::Place, Word)>;

    /// Returns whether the place is still the bucket's, and its word is decided under the layout alone. Called after
    /// the word was loaded and the clock was read, and before the word is used.
    fn is_here(&self, nth: usize, place: Self::Place) -> bool;

    /// Gives back what was taken from a limit, and returns the tokens that were added.
    fn give_back(&self, nth: usize, now: TimeSource<'_, Self::Clock>) -> Tokens {
        let part = self.part(nth);
        part.target.give_back(part.demand().cost.0.into(), now)
    }

    /// Replaces the word in a place if it is still `seen`.
    fn swap(&self, nth: usize, place: Self::Place, seen: Word, next: Word) -> bool;
}

/// The limit that refuses a call, and its outcome there.
#[derive(Clone, Copy)]
pub(crate) struct Refused {
    pub(crate) nth: usize,
    taken: Taken,
    /// Set if other limits were charged for a moment. A call without the lock of the queue then has to report it.
    pub(crate) gave_back: bool,
}

impl Refused {
    pub(crate) fn new(nth: usize, taken: Taken) -> Self {
        Refused { nth, taken, gave_back: false }
    }

    /// Returns the refusal of a call that no limit refuses by itself, behind a waiter that this limit refuses.
    pub(crate) fn behind(nth: usize, now: Reading) -> Self {
        // Behind a waiter, nothing is there.
        Refused::new(nth, Taken::Denied { needed: Units(1), deficit: Units(1), now })
    }

    /// Returns the instant at which the limit admits the call, if nothing else takes tokens; `None` if it never
    /// does.
    pub(super) fn due(self, parts: impl Parts) -> Option<Reading> {
        let terms = parts.part(self.nth).target.terms();
        match self.taken {
            Taken::Denied { needed, .. } if needed > terms.capacity() => None,
            Taken::Denied { deficit, now, .. } | Taken::TableFull { deficit, now } => terms.due(now, deficit).at(),
            Taken::Admitted { now, .. } => Some(now),
            Taken::Unlimited => Some(Reading::NONE),
        }
    }

    /// Returns the same for `whole`, which takes from the bucket more than once, after nothing was taken from it.
    pub(super) fn of<C: Clock>(self, whole: &Part<'_, C>) -> Self {
        let again = |now| whole.target.foresee(whole.n, whole.leaving, TimeSource::given(now));
        Refused { taken: self.taken.read_at().and_then(again).unwrap_or(self.taken), ..self }
    }

    pub(crate) fn error(self, parts: impl Parts) -> LimitError {
        let Part { target, n, leaving } = parts.whole(self.nth);
        match self.taken.answer_by(&target.terms(), n.to_bits(), leaving.to_bits()) {
            Err(error) => LimitError::new(self.nth, parts.name(self.nth), LimitCause::Tokens(error)),
            Ok(()) => unreachable!("the limit refuses the call"),
        }
    }

    pub(super) fn is_table_full(self) -> bool {
        matches!(self.taken, Taken::TableFull { .. })
    }

    pub(crate) fn acquire_error(self, parts: impl Parts) -> CompositeAcquireError {
        let Part { target, n, leaving } = parts.whole(self.nth);
        let terms = target.terms();
        let due = |now, deficit| terms.due(now, deficit);
        let error = match self.taken {
            Taken::Denied { needed, .. } if needed > terms.capacity() => {
                AcquireError::ExceedsBurst(ExceedsBurst::new(n, leaving, target.layout().tokens_down(terms.capacity())))
            }
            Taken::TableFull { deficit, now } => AcquireError::TableFull(TableFull(due(now, deficit))),
            Taken::Denied { deficit, now, .. } => AcquireError::TooLate(TooLate(due(now, deficit))),
            Taken::Admitted { .. } | Taken::Unlimited => unreachable!("the limit refuses the call"),
        };
        CompositeAcquireError::new(Some((self.nth, parts.name(self.nth))), AcquireCause::Tokens(error))
    }

    /// Returns the decision of the `nth` limit on a call that was refused.
    pub(super) fn decision(self, nth: usize, parts: impl Parts, at: Option<Reading>) -> Decision {
        let part = parts.whole(nth);
        let taken =
            if nth == self.nth { Some(self.taken) } else { part.target.foresee(part.n, part.leaving, part.source(at)) };
        match taken {
            Some(taken) => Decision::taken_by(&part.target.terms(), taken),
            None => part.look(at),
        }
    }

    /// The wait; `None` is the longest.
    fn wait(self, parts: impl Parts) -> Option<Duration> {
        self.error(parts).retry_after()
    }
}

/// Returns the one with the longer wait; the first if they wait equally long.
#[inline]
fn longer(parts: impl Parts, before: Option<Refused>, refused: Refused) -> Refused {
    match before {
        None => refused,
        Some(before) => longer_of_two(parts, before, refused),
    }
}

#[cold]
#[inline(never)]
fn longer_of_two(parts: impl Parts, before: Refused, refused: Refused) -> Refused {
    match (before.wait(parts), refused.wait(parts)) {
        (None, _) => before,
        (_, None) => refused,
        (Some(a), Some(b)) => {
            if a < b {
                refused
            } else {
                before
            }
        }
    }
}

/// Takes every part's tokens, or none. `at` is the time of the call; `None` for the clock. `each` receives the
/// outcome at every limit, once or twice, if the call is admitted.
// The number of limits is a constant in the usual cases, so that the words stay in registers.
#[inline(always)]
pub(crate) fn take(parts: impl Parts, at: Option<Reading>, mut each: impl FnMut(usize, Taken)) -> Result<(), Refused> {
    match parts.len() {
        1 => take_all::<_, 1>(parts, at, &mut each),
        2 => take_all::<_, 2>(parts, at, &mut each),
        3 => take_all::<_, 3>(parts, at, &mut each),
        4 => take_all::<_, 4>(parts, at, &mut each),
        _ => take_cold(parts, at, &mut each),
    }
}

/// The same for N limits.
#[inline(always)]
pub(crate) fn take_all<P: Parts, const N: usize>(
    parts: P,
    at: Option<Reading>,
    each: &mut impl FnMut(usize, Taken),
) -> Result<(), Refused> {
    let mut found: [Option<(P::Place, Word)>; N] = [None; N];
    for (nth, found) in found.iter_mut().enumerate() {
        *found = parts.find(nth);
        if found.is_none() {
            return take_cold(parts, at, each);
        }
    }
    // The clock is read after the words were loaded, so that a denial is true of one instant.
    let (mut shared, mut refused) = (at, None);
    let mut nexts = [Word::NOT_STARTED; N];
    for nth in 0..N {
        let Some((place, word)) = found[nth] else { return take_cold(parts, at, each) };
        let part = parts.part(nth);
        let now = shared.unwrap_or_else(|| part.target.live().read());
        if P::SAME_CLOCK {
            shared = Some(now);
        }
        let takes_nothing = part.n.is_zero();
        if takes_nothing && !P::WAITS_FOR_DEBTS {
            nexts[nth] = word;
            each(nth, Taken::Unlimited);
            continue;
        }
        let demand = part.demand();
        if !parts.is_here(nth, place) {
            return take_cold(parts, at, each);
        }
        match token_bucket::step(part.target.layout(), word, now, demand) {
            Step::Admitted { next, held } => {
                nexts[nth] = if takes_nothing { word } else { next };
                each(nth, Taken::Admitted { cost: demand.cost, held, now });
            }
            Step::Denied { deficit, .. } => {
                let taken = Taken::Denied { needed: demand.needed, deficit, now };
                refused = Some(longer(parts, refused, parts.of_whole(Refused::new(nth, taken))));
            }
            Step::Cold => return take_cold(parts, at, each),
        }
    }
    if let Some(refused) = refused {
        return Err(refused);
    }
    for nth in 0..N {
        let swapped = |(place, word)| word == nexts[nth] || parts.swap(nth, place, word, nexts[nth]);
        if !found[nth].is_some_and(swapped) {
            // Another call came between.
            return take_rest(Charged { parts, limits: nth, at: shared }, at, each);
        }
    }
    Ok(())
}

/// Looks at the limits one after the other, and then takes from one after the other.
#[cold]
#[inline(never)]
pub(crate) fn take_cold(
    parts: impl Parts,
    at: Option<Reading>,
    each: &mut impl FnMut(usize, Taken),
) -> Result<(), Refused> {
    match look(parts, at, 0, None) {
        Some(refused) => {
            if refused.is_table_full() {
                parts.part(refused.nth).target.report_full();
            }
            Err(refused)
        }
        None => take_rest(Charged { parts, limits: 0, at }, at, each),
    }
}

/// The first `limits` of a call, which it has charged. When this is dropped, also because a clock panics, each of them
/// gets its tokens back, the last first.
struct Charged<P: Parts> {
    parts: P,
    limits: usize,
    /// A reading of the clock that the limits share: their tokens come back as of then. `None`: each limit reads its
    /// own.
    at: Option<Reading>,
}

impl<P: Parts> Drop for Charged<P> {
    fn drop(&mut self) {
        let Some(last) = self.limits.checked_sub(1) else { return };
        // Dropped after the last one, also if its clock panics now.
        let _before = Charged { parts: self.parts, limits: last, at: self.at };
        in_drop(|| give_back_one(self.parts, last, self.at, |_, _| ()));
    }
}

/// Takes from the limits that are not yet charged, one after the other.
#[cold]
#[inline(never)]
fn take_rest<P: Parts>(
    mut charged: Charged<P>,
    at: Option<Reading>,
    each: &mut impl FnMut(usize, Taken),
) -> Result<(), Refused> {
    let parts = charged.parts;
    for nth in charged.limits..parts.len() {
        let part = parts.part(nth);
        // It has no debt: the call has looked.
        if part.n.is_zero() {
            each(nth, Taken::Unlimited);
            continue;
        }
        // A bucket that is taken from more than once keeps the most that a part leaves.
        let taken = part.target.take(part.n, parts.whole(nth).leaving, part.source(at));
        if P::SAME_CLOCK {
            charged.at = taken.read_at().or(charged.at);
        }
        match taken {
            Taken::Admitted { .. } | Taken::Unlimited => {
                charged.limits = nth + 1;
                each(nth, taken);
            }
            Taken::Denied { .. } | Taken::TableFull { .. } => {
                drop(charged);
                let refused = parts.of_whole(Refused::new(nth, taken));
                return Err(Refused { gave_back: nth > 0, ..refuse(parts, at, refused) });
            }
        }
    }
    // All are charged: nothing is given back.
    charged.limits = 0;
    Ok(())
}

/// Returns the limit with the longest wait, of one that refuses a call and those behind it.
#[cold]
fn refuse(parts: impl Parts, at: Option<Reading>, refused: Refused) -> Refused {
    look(parts, at, refused.nth + 1, Some(refused)).unwrap_or(refused)
}

/// Returns the error of a wait whose deadline has passed: of the limit with the longest wait, if the tokens are not
/// there.
pub(super) fn too_late(parts: impl Parts, at: Option<Reading>) -> CompositeAcquireError {
    if let Some(refused) = look(parts, at, 0, None) {
        return refused.acquire_error(parts);
    }
    let first = parts.part(0);
    let due = first.target.terms().due(first.source(at).read(), Units(0));
    CompositeAcquireError::new(None, AcquireCause::Tokens(AcquireError::TooLate(TooLate(due))))
}

/// Returns the limit with the longest wait, of `refused` and those from `first` on that would refuse the call.
pub(crate) fn look(parts: impl Parts, at: Option<Reading>, first: usize, refused: Option<Refused>) -> Option<Refused> {
    look_behind(parts, at, first, refused, |_| 0)
}

/// The same for a call that comes after others have taken `ahead` units of each limit.
pub(super) fn look_behind<P: Parts>(
    parts: P,
    at: Option<Reading>,
    first: usize,
    mut refused: Option<Refused>,
    ahead: impl Fn(usize) -> u128,
) -> Option<Refused> {
    for nth in first..parts.len() {
        let part = parts.whole(nth);
        if let Some(taken) = foresee::<P>(&part, ahead(nth), at) {
            refused = Some(longer(parts, refused, Refused::new(nth, taken)));
        }
    }
    refused
}

/// Returns the refusal that a call would get by its part of a limit, after others have taken `ahead` units; `None` if the
/// limit would admit it.
pub(super) fn foresee<P: Parts>(part: &Part<'_, P::Clock>, ahead: u128, at: Option<Reading>) -> Option<Taken> {
    if part.n.is_zero() && !P::WAITS_FOR_DEBTS {
        return None;
    }
    part.target.foresee_behind(ahead, part.n, part.leaving, part.source(at))
}

/// Gives back what was taken from the first `taken` limits, the last first. `each` receives the tokens that
/// were added.
#[cold]
pub(crate) fn give_back<P: Parts>(
    parts: P,
    taken: usize,
    at: Option<Reading>,
    each: impl Fn(Target<'_, P::Clock>, Tokens),
) {
    for nth in (0..taken).rev() {
        give_back_one(parts, nth, at, &each);
    }
}

fn give_back_one<P: Parts>(parts: P, nth: usize, at: Option<Reading>, each: impl Fn(Target<'_, P::Clock>, Tokens)) {
    let part = parts.part(nth);
    if !part.n.is_zero() {
        each(part.target, parts.give_back(nth, part.source(at)));
    }
}

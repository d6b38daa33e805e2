//! [`Corrections`]: what hints of the server took from a bucket, and may give back.
//!
//! **Hints give back only what hints have taken.** Let *outstanding* be the tokens that downward corrections took, less
//! those that upward corrections gave back, less the tokens earned since, as these replace what was taken. It is kept as
//! one instant: the bucket earns the outstanding tokens from now until then. Three rules hold:
//!
//! - An upward correction adds at most the outstanding tokens, and they are outstanding no longer.
//! - A call that gives tokens back fills the bucket up to its burst less the outstanding tokens: as far as the bucket would
//!   be full without corrections.
//! - A pause and a change of the quota end with nothing outstanding. So a pause's emptying is never given back.
//!
//! **Bound.** Take the sum of the level and the outstanding tokens. It is at most the burst: a correction moves tokens from
//! one summand to the other; a call that gives back stops there; and while tokens are outstanding, time adds to the level
//! what it takes from the others, and no more. So time raises the sum at most at the rate of the quota, calls lower it by
//! what they are charged, and hints do not raise it. A window of length w begins with a sum of one burst at most, and ends
//! with one that is not below zero when its last call is granted. So the calls in it are charged at most
//! burst + rate × w, and what was given back in it: the bound of the quota without hints.
//!
//! **Not exact.** Tokens that are given back while a hint corrects the bucket may be lost, up to what the hint moves. And
//! the instant is not in the word: if, within one reading of the clock, a hint lowers the bucket and another call gives
//! back just as much, a third call that gives back, and stalled between its look and its swap, fills the bucket by what is
//! outstanding too. Only a clock that stands still makes the three meet.

use std::cell::Cell;

use crate::algorithm::{Terms, token_bucket};
use crate::cell::TimeSource;
use crate::clock::Clock;
use crate::limiter::Target;
use crate::sync::{AtomicU64, Ordering, fence};
use crate::tokens::Tokens;
use crate::word::{Reading, Units, Word};

/// A bucket is raised by this part of what it is below the server's count.
const RISE: u64 = 8;

/// The tokens that hints took from one bucket. One thread at a time corrects a bucket; calls read the instant meanwhile.
pub(super) struct Corrections {
    /// The instant at which the outstanding tokens are earned, in nanoseconds. Rounded down, so that never more is given
    /// back than was taken.
    earned_at: AtomicU64,
}

impl Corrections {
    /// Returns those of a bucket from which hints have taken nothing.
    pub(super) fn none() -> Self {
        Corrections { earned_at: AtomicU64::new(0) }
    }

    /// Returns the reading at which the outstanding tokens are earned. Called after the word was read.
    pub(super) fn earned_at(&self) -> Reading {
        // With the swap of the word that lowers the bucket: who has read that word sees the instant that was set before.
        fence(Ordering::Acquire);
        Reading::from_nanos(self.earned_at.load(Ordering::Relaxed))
    }

    /// Sets the instant so that `units` are outstanding at a reading.
    fn set(&self, terms: &Terms<'_>, from: Reading, units: Units) {
        let exact = terms.earned_at(from).0.saturating_add(units.0);
        let at = match terms.due(from, units).at() {
            Some(at) if terms.earned_at(at).0 > exact => Reading::from_nanos(at.nanos().saturating_sub(1)),
            Some(at) => at,
            None => from,
        };
        self.earned_at.store(at.nanos(), Ordering::Relaxed);
    }

    fn outstanding(&self, terms: &Terms<'_>, now: Reading) -> Units {
        let earned_at = Reading::from_nanos(self.earned_at.load(Ordering::Relaxed));
        Units(terms.earned_at(earned_at).0.saturating_sub(terms.earned_at(now).0))
    }

    /// Lowers a bucket to what is left by the server's count, and returns whether it held more.
    pub(super) fn lower<C: Clock>(&self, target: Target<'_, C>, left: Tokens, now: Reading) -> bool {
        let (at, terms) = (TimeSource::given(now), target.terms());
        let left = i64::try_from(target.layout().units_down(left)).unwrap_or(i64::MAX);
        let above = |terms: &Terms<'_>, word: Word, now| {
            Units(token_bucket::level(terms, word, now).0.saturating_sub(left).max(0) as u64)
        };
        let most = target.change(at, |terms, word, now| (word, above(terms, word, now))).unwrap_or_default();
        if most == Units(0) {
            return false;
        }
        // The instant is late while the bucket is lowered: what is given back meanwhile may be lost, as in a full one.
        let before = self.outstanding(&terms, now);
        let set = |taken: Units| self.set(&terms, now, Units(before.0.saturating_add(taken.0)));
        set(most);
        let taken = target.change(at, |terms, word, now| {
            let above = above(terms, word, now).min(most);
            token_bucket::charge(terms, Units(0), word, now, above.0.into())
        });
        set(taken.unwrap_or_default());
        true
    }

    /// Raises a bucket by a part of what it is below `left`, as far as tokens are outstanding, and returns whether it did.
    pub(super) fn raise<C: Clock>(&self, target: Target<'_, C>, left: Tokens) -> bool {
        let terms = target.terms();
        let left = target.layout().units_down(left).min(terms.capacity().0.into()) as i64;
        let first = Cell::new(None);
        let raised = target.change(target.live(), |terms, word, now| {
            // A later word may be that of a call with a later reading, at which less is outstanding.
            if first.get().is_some() {
                return (word, Units(0));
            }
            let outstanding = self.outstanding(terms, now);
            first.set(Some((now, outstanding)));
            // A debt makes the step no larger.
            let below = left.saturating_sub(token_bucket::level(terms, word, now).0.max(0)).max(0) as u64;
            token_bucket::give_back(terms, word, now, (below / RISE).min(outstanding.0).into())
        });
        match (raised, first.get()) {
            (Some(Units(added @ 1..)), Some((now, outstanding))) => {
                self.set(&terms, now, Units(outstanding.0.saturating_sub(added)));
                true
            }
            _ => false,
        }
    }
}

//! A piece: the time between two changes of a quota.

use crate::word::{Due, Exact, Moment, Pace, Reading, Units};

/// The numbers of a quota between two changes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The rate by limiter time, that of the highest quota.
    pub(crate) earned: Exact,
    pub(crate) pace: Pace,
    pub(crate) capacity: Units,
    /// How far below zero a commit may take a bucket.
    pub(crate) debt: Units,
    /// The amount that a bucket starts with, at most the capacity.
    pub(crate) initial: Units,
    /// Nothing is admitted before this reading.
    pub(crate) paused_until: Reading,
    /// The limiter time at which the [era](super::Era) begins, the first instant of a tick; the clock's origin
    /// if there is only one.
    pub(crate) era: Reading,
}

impl Piece {
    /// Returns the limiter time of a reading. A full bucket does not begin to refill before the era.
    #[inline]
    pub(super) fn moment(&self, now: Reading) -> Moment {
        let at = self.pace.at(now);
        Moment { near: at.near.max(self.era), ..at }
    }

    /// Returns the first tick of the era, in place.
    #[inline]
    pub(super) fn era_tick(&self) -> u64 {
        self.era.eighths()
    }

    /// Returns the instant at which `deficit` units more than at `now` have been earned.
    pub(super) fn earned_by(&self, now: Reading, deficit: Units) -> Due {
        match self.first(self.pace.at(now).floor, deficit) {
            Some(at) => self.pace.due(now, at),
            None => Due::at_reading(now, None),
        }
    }

    /// Returns the same for a reading that is not before the start.
    #[inline(always)]
    pub(crate) fn due(&self, now: Reading, deficit: Units) -> Due {
        match self.first(self.pace.floor(now), deficit) {
            Some(at) => self.pace.later(now, at),
            None => Due::at_reading(now, None),
        }
    }

    /// Returns the first limiter time at which `deficit` units more than at this one have been earned.
    #[inline(always)]
    fn first(&self, at: Reading, deficit: Units) -> Option<Reading> {
        self.earned.first(self.earned.at(at).0.saturating_add(deficit.0))
    }
}

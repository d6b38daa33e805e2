//! A piece: the time between two changes of a quota.

use crate::word::{Earned, Intercept, Moment, Pace, Reading, Units};

/// The most eras that a piece knows the beginning of. The models have fewer.
pub(crate) const MOST_ERAS: usize = if cfg!(brimful_loom) { 2 } else { 4 };

/// The numbers of a quota between two changes of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) pace: Pace,
    pub(crate) capacity: Units,
    /// How far below zero a commit may take a bucket.
    pub(crate) debt: Units,
    /// The amount that a bucket starts with, at most the capacity.
    pub(crate) initial: Units,
    /// Nothing is admitted before this reading.
    pub(crate) paused_until: Reading,
    pub(crate) eras: Eras,
}

/// The last eras, the oldest first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Eras {
    /// The first tick of the current era, in place; zero if there is only one.
    pub(crate) tick: u64,
    pub(crate) count: usize,
    pub(crate) eras: [Era; MOST_ERAS],
}

impl Eras {
    /// No era but the first.
    pub(crate) const NONE: Eras = Eras { tick: 0, count: 0, eras: [Era::NONE; MOST_ERAS] };

    /// Returns these eras and one more. If there are too many, the oldest is forgotten.
    pub(crate) fn with(mut self, era: Era) -> Eras {
        if self.count == MOST_ERAS {
            self.eras.rotate_left(1);
            self.count -= 1;
        }
        self.eras[self.count] = era;
        Eras { tick: era.start.eighths(), count: self.count + 1, eras: self.eras }
    }

    /// Returns the eras, the oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Era> {
        self.eras[..self.count.min(MOST_ERAS)].iter()
    }
}

/// The beginning of an era. A change that gives buckets other levels than they would have at their
/// new capacity begins an era: buckets are carried over from the era before when their word is read.
///
/// Limiter time leaps to the first instant of a tick then, so that the tick of a word shows whether it was
/// written before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Era {
    /// The limiter time at which the era begins, the first instant of a tick.
    pub(crate) start: Reading,
    /// The units earned by the end of the era before, which ended before the leap.
    pub(crate) before: Units,
    /// The units earned by the start, rounded up, with those of the leap.
    pub(crate) after: Units,
    /// The capacity at the end of the era before.
    pub(crate) capacity: Units,
    pub(crate) carry: Carry,
}

impl Era {
    const NONE: Era = Era {
        start: Reading::from_nanos(0),
        before: Units(0),
        after: Units(0),
        capacity: Units(0),
        carry: Carry::Keep,
    };
}

/// How the level of a bucket is carried into an era.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carry {
    /// As it is.
    Keep,
    /// In proportion to the capacity, which is this now, rounded down. A debt is at most `debt`.
    Scale { capacity: Units, debt: Units },
    /// All buckets hold this.
    Fill(Units),
}

impl Era {
    /// Returns the intercept in this era of a bucket that has this one in the era before.
    fn carry(&self, Intercept(x): Intercept) -> Intercept {
        let held = (x + self.before.0 as i64).min(self.capacity.0 as i64);
        let held = match self.carry {
            Carry::Keep => held,
            Carry::Fill(capacity) => capacity.0 as i64,
            Carry::Scale { capacity, debt } => {
                let scaled = i128::from(held) * i128::from(capacity.0);
                let scaled = scaled.div_euclid(self.capacity.0.into());
                scaled.max(-i128::from(debt.0)) as i64
            }
        };
        Intercept(held - self.after.0 as i64)
    }
}

impl Piece {
    /// Returns the limiter time of a reading. A full bucket does not begin to refill before the era.
    #[inline]
    pub(super) fn moment(&self, now: Reading) -> Moment {
        let at = self.pace.at(now);
        Moment { near: at.near.max(self.era_start()), ..at }
    }

    /// Returns the start of the era; the clock's origin if there is only one.
    #[inline]
    pub(super) fn era_start(&self) -> Reading {
        Reading::from_nanos(self.eras.tick >> 3)
    }

    /// Returns the first tick of the era, in place.
    #[inline]
    pub(super) fn era_tick(&self) -> u64 {
        self.eras.tick
    }

    /// Returns the intercept in this era of a bucket whose word has this intercept and tick.
    #[inline]
    pub(super) fn carry(&self, tick: u64, stored: Intercept) -> Intercept {
        if tick >= self.eras.tick { stored } else { self.carry_over(tick, stored) }
    }

    #[cold]
    fn carry_over(&self, tick: u64, stored: Intercept) -> Intercept {
        let later = self.eras.iter().filter(|era| tick < era.start.eighths());
        later.fold(stored, |x, era| era.carry(x))
    }

    /// Returns the first reading at which `deficit` units more than at `now` have been earned; `None` if it
    /// is beyond the range of readings.
    pub(super) fn earned_by(&self, earned: Earned, now: Reading, deficit: Units) -> Option<Reading> {
        let target = earned.at(self.moment(now).floor).0.saturating_add(deficit.0);
        self.pace.first(earned.first(target)?)
    }
}

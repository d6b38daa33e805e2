//! Eras: the times between the changes that give buckets other levels.

use crate::word::{Intercept, Reading, Units};

/// The most eras that a limiter knows the beginning of: four, and one that is about to begin. The models
/// have fewer.
pub(crate) const MOST_ERAS: usize = if cfg!(brimful_loom) { 3 } else { 5 };

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
    const NONE: Era = Era {
        start: Reading::from_nanos(0),
        before: Units(0),
        after: Units(0),
        capacity: Units(0),
        carry: Carry::Keep,
    };

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

/// The last eras, the oldest first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Eras {
    count: usize,
    eras: [Era; MOST_ERAS],
}

impl Eras {
    /// No era but the first.
    pub(crate) const NONE: Eras = Eras { count: 0, eras: [Era::NONE; MOST_ERAS] };

    /// Returns these eras and one more. If there are too many, the oldest is forgotten.
    pub(crate) fn with(mut self, era: Era) -> Eras {
        if self.count == MOST_ERAS {
            self.eras.rotate_left(1);
            self.count -= 1;
        }
        self.eras[self.count] = era;
        Eras { count: self.count + 1, eras: self.eras }
    }

    /// Returns the eras, the oldest first.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &Era> {
        self.eras[..self.count.min(MOST_ERAS)].iter()
    }

    /// Returns the intercept in the era that begins at `start` of a bucket whose word has this intercept and
    /// this tick, of an older era.
    pub(super) fn carry(&self, start: Reading, tick: u64, stored: Intercept) -> Intercept {
        let later = self.iter().filter(|era| tick < era.start.eighths() && era.start <= start);
        later.fold(stored, |x, era| era.carry(x))
    }
}

/// The log of a limiter's eras. It is read for the words of older eras alone, and may have later eras than
/// the terms of the call that reads it.
pub(crate) trait EraLog {
    /// Returns the last eras.
    fn eras(&self) -> Eras;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log that has eras from after a call's terms carries a bucket as the log of these terms would.
    #[test]
    fn eras_that_are_later_than_the_terms_are_left_out() {
        let era = |nth: u64| Era {
            start: Reading::from_nanos(nth << 30),
            before: Units((nth << 30) - 1_000),
            after: Units(nth << 30),
            capacity: Units(1_600 >> nth),
            carry: Carry::Scale { capacity: Units(800 >> nth), debt: Units(100) },
        };
        // A bucket that holds 600 at the end of the first era.
        let stored = Intercept(600 - (era(1).before.0 as i64));
        let mut eras = Eras::NONE;
        let mut carried = Vec::new();
        for nth in 1..=3 {
            eras = eras.with(era(nth));
            carried.push(eras.carry(era(nth).start, 0, stored));
        }
        assert_eq!(carried[0], Intercept(300 - (1 << 30)));
        for (nth, &carried) in (1..).zip(&carried) {
            assert_eq!(eras.carry(era(nth).start, 0, stored), carried);
            // A word of that era is not carried at all.
            assert_eq!(eras.carry(era(nth).start, era(nth).start.eighths(), stored), stored);
        }
    }
}

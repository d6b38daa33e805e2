//! The inputs of the arithmetic: a clock's value, and amounts counted in units.

/// A clock's value in nanoseconds, clamped below 2⁵⁹ (18 years).
///
/// Only a `Reading` enters the arithmetic. So a time beyond the range stands still, and nothing
/// more is earned. A bare `u64` would reach the special bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reading(u64);

impl Reading {
    pub(crate) const BITS: u32 = 59;
    pub(crate) const MAX: Reading = Reading((1 << Reading::BITS) - 1);

    /// In the place of a reading that was not taken. It never enters the arithmetic.
    pub(crate) const NONE: Reading = Reading(u64::MAX);

    #[inline]
    pub(crate) const fn from_nanos(nanos: u64) -> Self {
        // A branch, because it costs nothing on the path from the clock to the decision.
        if nanos > Reading::MAX.0 {
            return beyond();
        }
        Reading(nanos)
    }

    /// Returns the reading of these nanoseconds, which are in its range.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) const fn from_valid(nanos: u64) -> Self {
        Reading(nanos)
    }

    #[inline]
    pub(crate) const fn nanos(self) -> u64 {
        self.0
    }

    /// Returns the reading in eighths of a nanosecond: 62 bits.
    #[inline]
    pub(crate) const fn eighths(self) -> u64 {
        self.0 << 3
    }

    /// Returns `8v · number`. In eighths of a nanosecond a reading has the same position as in a word, and the product
    /// still fits.
    #[inline]
    pub(super) const fn eighths_times(self, number: u64) -> u128 {
        self.eighths() as u128 * number as u128
    }
}

#[cold]
#[inline(never)]
const fn beyond() -> Reading {
    Reading::MAX
}

/// The limiter time of a reading, in whole nanoseconds, with both roundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Rounded down: the time at which tokens are earned.
    pub(crate) floor: Reading,
    /// Rounded up, but for the slope's own rounding error: the time at which a full bucket that is taken from begins
    /// to refill.
    pub(crate) near: Reading,
}

impl Moment {
    /// Returns the moment of a reading if limiter time is the clock's.
    #[inline]
    pub(crate) const fn of(now: Reading) -> Self {
        Moment { floor: now, near: now }
    }
}

/// An amount of tokens in units of the layout, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Units(pub(crate) u64);

/// A balance in units of the layout: below zero in debt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Level(pub(crate) i64);

impl Level {
    /// Returns the units that have to be earned until `needed` units are there.
    pub(crate) fn missing(self, needed: u128) -> Units {
        let missing = i128::try_from(needed).unwrap_or(i128::MAX).saturating_sub(self.0.into());
        Units(missing.clamp(0, i64::MAX.into()) as u64)
    }
}

/// Tokens held − tokens earned since the clock's origin, in units. The part of a bucket's
/// state that time does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Intercept(pub(crate) i64);

/// A snapshot of a bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    pub(crate) now: Reading,
    pub(crate) held: Level,
    /// The units that waiters get first, at most 2⁶².
    pub(crate) queued: Units,
    /// Set if the bucket has no slot in a full table until this much more has been earned.
    pub(crate) no_place: Option<Units>,
}

impl Snapshot {
    /// Returns the snapshot of a bucket without waiters.
    pub(crate) const fn held(now: Reading, held: Level) -> Self {
        Snapshot { now, held, queued: Units(0), no_place: None }
    }

    /// Returns the level for a new call: without the units that waiters get first.
    pub(crate) const fn available(self) -> Level {
        Level(self.held.0 - self.queued.0 as i64)
    }
}

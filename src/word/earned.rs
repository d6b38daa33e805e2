//! The units that a bucket earns: the derivation of their rate, and the instants at which they are earned.

use core::time::Duration;

use super::layout::Earned;
use super::{Reading, Units};

impl Earned {
    /// Returns the rate of `units` per `nanos`; `None` if it is zero, above one unit per nanosecond, or
    /// so slow that s would be above 63.
    pub(crate) const fn new(units: u128, nanos: u128) -> Option<Self> {
        if units == 0 || units > nanos || nanos >> 120 != 0 {
            return None;
        }
        // Normalise units/nanos into [1, 2) × 2^-shift, then read 64 bits of it.
        let mut shift = units.leading_zeros() - nanos.leading_zeros();
        if units << shift < nanos {
            shift += 1;
        }
        let (mut m, mut rest, mut bits) = (1u64, (units << shift) - nanos, 63);
        // Long division, with as many bits a step as fit: one step for periods below 2⁶⁵.
        while rest != 0 && bits > 0 {
            let room = rest.leading_zeros();
            let step = if bits < room { bits } else { room };
            let scaled = rest << step;
            let digit = scaled / nanos;
            m = (m << step) | digit as u64;
            rest = scaled - digit * nanos;
            bits -= step;
        }
        m <<= bits;
        if rest != 0 {
            match m.checked_add(1) {
                Some(up) => m = up,
                // 2⁶⁴ is 2⁶³ with one binary place less. The rate is below one, so `shift` is not zero.
                None => (m, shift) = (1 << 63, shift - 1),
            }
        }
        // units / nanos = m / 2^(63 + shift).
        let s = shift + 2;
        if s > 63 { None } else { Some(Earned { m, s: s as u8 }) }
    }

    /// Returns the first reading at which `units` have been earned; `None` if it is beyond the
    /// range of readings.
    #[inline]
    pub(crate) const fn first(self, units: u64) -> Option<Reading> {
        let shift = 61 + self.s as u32;
        let nanos = if self.m == 1 << 63 {
            // A unit takes a whole power of two of nanoseconds.
            (units as u128) << (shift - 63)
        } else if (units as u128).leading_zeros() < shift {
            return None;
        } else {
            div_ceil((units as u128) << shift, self.m)
        };
        if nanos > Reading::MAX.nanos() as u128 { None } else { Some(Reading::from_nanos(nanos as u64)) }
    }

    /// Returns what 2^k nanoseconds earn, rounded up. Needs k ≤ 60.
    pub(super) const fn tick(self, k: u32) -> u64 {
        let shift = 61 + self.s as u32 - k;
        if shift > 63 { 1 } else { ((self.m - 1) >> shift) + 1 }
    }

    /// Returns what `ticks` of 2^k nanoseconds earn, rounded up. Needs ticks > 0, and k ≤ 60.
    pub(super) const fn ticks(self, ticks: u64, k: u32) -> u64 {
        let shift = 61 + self.s as u32 - k;
        (((ticks as u128 * self.m as u128 - 1) >> shift) + 1) as u64
    }

    /// Returns the time that earns `units`, in steps of 2^k nanoseconds, rounded up to a step; 2⁶⁰
    /// steps if it is more than that. Needs units > 0.
    pub(super) const fn steps(self, units: u64, k: u32) -> u64 {
        const MOST: u64 = 1 << 60;
        let shift = 61 + self.s as u32 - k;
        if (units as u128).leading_zeros() < shift {
            return MOST;
        }
        let steps = div_ceil((units as u128) << shift, self.m);
        if steps > MOST as u128 { MOST } else { steps as u64 }
    }
}

/// Returns `number / divisor`, rounded up. A division of 128 bits takes longer than all the rest: there is one at
/// most, and none at a rate of one.
#[inline]
pub(super) const fn div_ceil(number: u128, divisor: u64) -> u128 {
    match number.checked_sub(1) {
        None => 0,
        Some(below) if divisor == 1 << 63 => (below >> 63) + 1,
        Some(below) => below / divisor as u128 + 1,
    }
}

/// An instant that is defined by the units earned at it, or by the limiter time. The division is left to the
/// caller that needs the reading.
///
/// ```text
/// kind           rate               target
/// s: 2 … 63      m of an `Earned`   the units earned since the clock's origin
/// 64 + a start   m of a slope       the limiter time since that start, times 2^(s−2)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    rate: u64,
    kind: u64,
    target: u64,
    now: Reading,
}

/// The kind of an instant that is defined by the limiter time since the clock's origin.
const PACED: u64 = 64;

impl Due {
    /// Returns the instant at which `deficit` more units than at `now` have been earned.
    #[inline]
    pub(crate) const fn new(earned: Earned, now: Reading, deficit: Units) -> Self {
        let target = earned.at(now).0.saturating_add(deficit.0);
        Due { rate: earned.m, kind: earned.s as u64, target, now }
    }

    /// Returns the instant of a reading, as seen at `now`; `None` is beyond the range of readings.
    #[cfg(feature = "std")]
    pub(crate) const fn at_reading(now: Reading, at: Option<Reading>) -> Self {
        // One unit is earned in a nanosecond: the target is the reading itself.
        let target = match at {
            Some(at) => at.nanos(),
            None => u64::MAX,
        };
        Due { rate: 1 << 63, kind: 2, target, now }
    }

    /// Returns the instant at which `ahead` nanoseconds of limiter time have passed since `start`, as seen at
    /// `now`.
    #[cfg(feature = "std")]
    pub(crate) const fn paced(now: Reading, start: Reading, ahead: u64, slope: Earned) -> Self {
        // A target that has no place here is beyond the range: m is below 2⁶⁴, and so the time above 2⁶².
        let shift = slope.s as u32 - 2;
        let target = if ahead.leading_zeros() < shift { u64::MAX } else { ahead << shift };
        Due { rate: slope.m, kind: PACED + start.nanos(), target, now }
    }

    /// Returns the first reading at which the units have been earned; `None` if it is beyond the
    /// range of readings.
    pub(crate) const fn at(self) -> Option<Reading> {
        let Some(start) = self.kind.checked_sub(PACED) else {
            return Earned { m: self.rate, s: self.kind as u8 }.first(self.target);
        };
        let nanos = start as u128 + div_ceil((self.target as u128) << 63, self.rate);
        if nanos > Reading::MAX.nanos() as u128 { None } else { Some(Reading::from_nanos(nanos as u64)) }
    }

    /// Returns whether the units will not have been earned by the deadline, or never.
    #[cfg(feature = "std")]
    pub(crate) const fn misses(self, deadline: Reading) -> bool {
        match self.at() {
            Some(due) => due.nanos() > deadline.nanos(),
            None => true,
        }
    }

    /// Returns the time from the reading to the instant. It is exact to the nanosecond: one
    /// nanosecond less is not sufficient. `None` if the instant is beyond the range of readings.
    pub(crate) const fn after(self) -> Option<Duration> {
        match self.at() {
            Some(due) => Some(Duration::from_nanos(due.nanos().saturating_sub(self.now.nanos()))),
            None => None,
        }
    }
}

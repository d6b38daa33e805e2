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
    pub(crate) const fn first(self, units: u64) -> Option<Reading> {
        let shift = 61 + self.s as u32;
        if (units as u128).leading_zeros() < shift {
            return None;
        }
        let nanos = ((units as u128) << shift).div_ceil(self.m as u128);
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
        let below = ((units as u128) << shift) - 1;
        // One unit a nanosecond, the rate of most quotas, takes no division.
        let steps = if self.m == 1 << 63 { below >> 63 } else { below / self.m as u128 };
        if steps >= MOST as u128 { MOST } else { steps as u64 + 1 }
    }
}

/// An instant that is defined by the units earned at it. The division is left to the caller that
/// needs the reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    earned: Earned,
    target: u64,
    now: Reading,
}

impl Due {
    /// Returns the instant at which `deficit` more units than at `now` have been earned.
    #[inline]
    pub(crate) const fn new(earned: Earned, now: Reading, deficit: Units) -> Self {
        Due { earned, target: earned.at(now).0.saturating_add(deficit.0), now }
    }

    /// Returns the instant of a reading, as seen at `now`; `None` is beyond the range of readings.
    #[cfg(feature = "std")]
    pub(crate) const fn at_reading(now: Reading, at: Option<Reading>) -> Self {
        // One unit is earned in a nanosecond: the target is the reading itself.
        let target = match at {
            Some(at) => at.nanos(),
            None => u64::MAX,
        };
        Due { earned: Earned { m: 1 << 63, s: 2 }, target, now }
    }

    /// Returns the first reading at which the units have been earned; `None` if it is beyond the
    /// range of readings.
    #[cfg(feature = "std")]
    pub(crate) const fn at(self) -> Option<Reading> {
        self.earned.first(self.target)
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
        match self.earned.first(self.target) {
            Some(due) => Some(Duration::from_nanos(due.nanos().saturating_sub(self.now.nanos()))),
            None => None,
        }
    }
}

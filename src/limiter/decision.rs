//! [`Decision`]: a decision with its numbers.

use core::fmt;
use core::time::Duration;

use crate::cell::Taken;
use crate::error::Wait;
use crate::word::{Due, Earned, Layout, Level, Reading, Snapshot, Units};

/// A decision, with the numbers that response headers show. All numbers are of the moment of the
/// decision, and are computed when a method is called.
#[derive(Clone, Copy)]
#[must_use]
pub struct Decision {
    earned: Earned,
    per_token: u64,
    capacity: Units,
    now: Reading,
    cost: Units,
    /// What the bucket held before the decision; less the cost, what a look finds after it.
    held: Level,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Admitted,
    Denied,
    /// There was no room for the bucket.
    Refused,
    Unlimited,
}

impl Decision {
    #[inline(always)]
    pub(crate) fn taken(layout: &Layout, taken: Taken) -> Self {
        let (now, cost, held, kind) = match taken {
            Taken::Admitted { cost, held, now } => (now, cost, held.0 as i64, Kind::Admitted),
            // Far ahead of the reading, a word may be 2⁶⁰ units short.
            Taken::Denied { needed, deficit, now } => {
                (now, needed, needed.0.wrapping_sub(deficit.0) as i64, Kind::Denied)
            }
            // What has no place holds nothing.
            Taken::TableFull { deficit, now } => (now, deficit, 0, Kind::Refused),
            Taken::Unlimited => return Decision::unlimited(layout),
        };
        Decision::new(layout, now, cost, Level(held), kind)
    }

    pub(super) fn unlimited(layout: &Layout) -> Self {
        Decision::new(layout, Reading::MAX, Units(0), Level(layout.capacity().0 as i64), Kind::Unlimited)
    }

    /// The decision of a call that takes nothing.
    pub(super) fn looked(layout: &Layout, snapshot: Snapshot) -> Self {
        match snapshot.no_place {
            Some(deficit) => Decision::taken(layout, Taken::TableFull { deficit, now: snapshot.now }),
            None => Decision::new(layout, snapshot.now, Units(0), snapshot.available(), Kind::Admitted),
        }
    }

    #[inline(always)]
    fn new(layout: &Layout, now: Reading, cost: Units, held: Level, kind: Kind) -> Self {
        let (earned, per_token, capacity) = (layout.earned(), layout.per_token(), layout.capacity());
        Decision { earned, per_token, capacity, now, cost, held, kind }
    }

    /// Returns whether the call was admitted, and charged.
    #[inline]
    #[must_use]
    pub fn allowed(&self) -> bool {
        matches!(self.kind, Kind::Admitted | Kind::Unlimited)
    }

    /// Returns whether the cost was above the burst, so that the same call will never be admitted.
    #[must_use]
    pub fn exceeds_burst(&self) -> bool {
        matches!(self.kind, Kind::Denied) && self.cost > self.capacity
    }

    /// Returns whether the key was new to a keyed limiter that is full of buckets in use.
    /// [`retry_after`](Decision::retry_after) is a guess then.
    #[must_use]
    pub fn table_is_full(&self) -> bool {
        matches!(self.kind, Kind::Refused)
    }

    /// Returns the burst, in whole tokens, rounded down; `u32::MAX` without a limit.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.whole(self.capacity.0)
    }

    /// Returns the whole tokens that are left after the decision, rounded down; zero in debt. A call for
    /// that many at the same reading of the clock is admitted, and a call for one more is not.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        self.whole(self.left().max(0) as u64)
    }

    /// Returns the time until the same call is admitted, if nothing else takes tokens: zero if this call
    /// was. `None` if it never is, because its cost [exceeds the burst](Decision::exceeds_burst) or
    /// the instant lies beyond the 18 years that a clock's readings reach. Exact, rounded up to the
    /// nanosecond. If the [table is full](Decision::table_is_full): see
    /// [`TableFull::retry_after`](crate::TableFull::retry_after).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.kind {
            Kind::Admitted | Kind::Unlimited => Some(Duration::ZERO),
            Kind::Denied if self.exceeds_burst() => None,
            Kind::Denied | Kind::Refused => self.after(self.cost.0 as i64 - self.held.0),
        }
    }

    /// Returns the time until the bucket is full again, if nothing else takes tokens: zero if it is full.
    /// `None` if that instant lies beyond the 18 years that a clock's readings reach. Exact, rounded
    /// up to the nanosecond.
    #[must_use]
    pub fn reset_after(&self) -> Option<Duration> {
        // What others wait for may be more than can be counted.
        let missing = (self.capacity.0 as i64).saturating_sub(self.left());
        if missing == 0 || matches!(self.kind, Kind::Unlimited) {
            return Some(Duration::ZERO);
        }
        self.after(missing)
    }

    /// The units that a look at the same reading finds after the decision.
    fn left(&self) -> i64 {
        match self.kind {
            Kind::Admitted => self.held.0 - self.cost.0 as i64,
            _ => self.held.0,
        }
    }

    fn after(&self, missing: i64) -> Option<Duration> {
        Due::new(self.earned, self.now, Units(missing as u64)).after()
    }

    fn whole(&self, units: u64) -> u32 {
        u32::try_from(units / self.per_token).unwrap_or(u32::MAX)
    }
}

impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decision")
            .field("allowed", &self.allowed())
            .field("limit", &self.limit())
            .field("remaining", &self.remaining())
            .field("retry_after", &Wait(self.retry_after()))
            .field("reset_after", &Wait(self.reset_after()))
            .finish()
    }
}

/// In tokens; whole tokens exactly, as far as an `f64` can hold them.
pub(super) fn as_f64(layout: &Layout, Level(units): Level) -> f64 {
    let per_token = layout.per_token() as i64;
    (units / per_token) as f64 + (units % per_token) as f64 / per_token as f64
}

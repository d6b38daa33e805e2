//! [`Decision`]: a decision with its numbers.

use core::fmt;
use core::time::Duration;

use crate::algorithm::Terms;
use crate::cell::Taken;
use crate::error::Wait;
use crate::word::{Due, Earned, Layout, Level, Reading, Snapshot, Units};

/// A decision, with the numbers that response headers show. All numbers are of the moment of the
/// decision, and are computed when a method is called.
#[derive(Clone, Copy)]
#[must_use]
pub struct Decision {
    times: Times,
    per_token: u64,
    capacity: Units,
    now: Reading,
    cost: Units,
    /// What the bucket held before the decision; less the cost, what a look finds after it.
    held: Level,
    kind: Kind,
}

/// The instants at which tokens are there.
#[derive(Clone, Copy)]
enum Times {
    /// Those of a constant rate.
    Earned(Earned),
    /// Of a limiter whose quota has changed: computed at once, because its numbers change. During a pause,
    /// no tokens are left.
    Due { retry: Due, reset: Due, paused: bool },
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
    /// The decision of a call by a quota that never changed.
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

    /// The decision of a call by a quota that may have changed.
    #[cold]
    #[inline(never)]
    pub(crate) fn taken_by(terms: &Terms<'_>, taken: Taken) -> Self {
        Decision::taken(terms.layout, taken).by(terms)
    }

    pub(super) fn unlimited(layout: &Layout) -> Self {
        let full = Level(layout.capacity().0 as i64);
        Decision::new(layout, Reading::MAX, Units(0), full, Kind::Unlimited)
    }

    /// The decision of a call that takes nothing.
    pub(super) fn looked(terms: &Terms<'_>, snapshot: Snapshot) -> Self {
        let layout = terms.layout;
        let looked = match snapshot.no_place {
            Some(deficit) => Decision::taken(layout, Taken::TableFull { deficit, now: snapshot.now }),
            None => Decision::new(layout, snapshot.now, Units(0), snapshot.available(), Kind::Admitted),
        };
        looked.by(terms)
    }

    #[inline(always)]
    fn new(layout: &Layout, now: Reading, cost: Units, held: Level, kind: Kind) -> Self {
        let (times, per_token, capacity) = (Times::Earned(layout.earned()), layout.per_token(), layout.capacity());
        Decision { times, per_token, capacity, now, cost, held, kind }
    }

    /// Returns the same decision by these terms.
    fn by(self, terms: &Terms<'_>) -> Self {
        if terms.are_plain() {
            return self;
        }
        let decision = Decision { capacity: terms.capacity(), ..self };
        let missing = |units: i64| Units(units.max(0) as u64);
        let retry = terms.due(self.now, missing((self.cost.0 as i64).saturating_sub(self.held.0)));
        let full = (decision.capacity.0 as i64).saturating_sub(self.left());
        let reset = terms.earned_by(self.now, missing(full));
        Decision { times: Times::Due { retry, reset, paused: terms.are_paused(self.now) }, ..decision }
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
        match self.times {
            Times::Due { paused: true, .. } => 0,
            _ => self.whole(self.left().max(0) as u64),
        }
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
            Kind::Denied | Kind::Refused => match self.times {
                Times::Earned(earned) => self.after(earned, self.cost.0 as i64 - self.held.0),
                Times::Due { retry, .. } => retry.after(),
            },
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
        match self.times {
            Times::Earned(earned) => self.after(earned, missing),
            Times::Due { reset, .. } => reset.after(),
        }
    }

    /// The units that a look at the same reading finds after the decision.
    fn left(&self) -> i64 {
        match self.kind {
            Kind::Admitted => self.held.0 - self.cost.0 as i64,
            _ => self.held.0,
        }
    }

    fn after(&self, earned: Earned, missing: i64) -> Option<Duration> {
        Due::new(earned, self.now, Units(missing as u64)).after()
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

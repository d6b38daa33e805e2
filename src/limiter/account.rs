//! What the slow verbs of every limiter are made of: looking, giving back, charging, settling.

use core::time::Duration;

use crate::algorithm::token_bucket::{self, Ask};
use crate::cell::{Now, Taken};
use crate::error::{ExceedsBurst, RateLimited, TableFull, TryAcquireError};
use crate::limiter::Decision;
use crate::quota::Quota;
use crate::tokens::Tokens;
use crate::word::{Due, Layout, Level, Reading, Units, Word, Worth};

/// One bucket, wherever it is kept.
pub(super) trait Account {
    fn layout(&self) -> &Layout;

    fn quota(&self) -> &Quota;

    /// When, and what the bucket was worth then to somebody who is to leave so much; `None` without
    /// a limit.
    fn peek(&self, leaving: Units, now: impl Now) -> Option<Worth>;

    /// Replaces the bucket's word by `change` of it, and returns what was added or charged by
    /// that; `None` without a limit.
    fn change(&self, now: impl Now, change: impl Fn(Word, Reading) -> (Word, Units)) -> Option<Units>;

    /// The decision on a cost of zero.
    fn look(&self, now: impl Now) -> Decision {
        match self.peek(Units(0), now) {
            Some(worth) => Decision::looked(self.layout(), worth),
            None => Decision::unlimited(self.layout()),
        }
    }

    fn tokens_held(&self, now: impl Now) -> f64 {
        match self.peek(Units(0), now) {
            Some(worth) => as_f64(self.layout(), worth.held),
            None => f64::INFINITY,
        }
    }

    /// What is there for a call.
    fn tokens_free(&self, now: impl Now) -> f64 {
        match self.peek(Units(0), now) {
            Some(Worth { no_place: Some(_), .. }) => 0.0,
            Some(worth) => as_f64(self.layout(), worth.free()).max(0.0),
            None => f64::INFINITY,
        }
    }

    /// How long until `n` tokens are there; `None` if they never are.
    fn wait_for(&self, n: Tokens, now: impl Now) -> Option<Duration> {
        let ask = Ask::new(self.layout(), n, Tokens::ZERO);
        match self.due_at(ask, now) {
            Some(_) if ask.cost > self.layout().capacity() => None,
            Some(due) if !n.is_zero() => due.after(),
            _ => Some(Duration::ZERO),
        }
    }

    /// When there will be what is asked for, if nobody comes between; `None` without a limit.
    fn due_at(&self, ask: Ask, now: impl Now) -> Option<Due> {
        let Worth { now, held, queued, no_place } = self.peek(ask.leaving(), now)?;
        // Behind somebody who waits, nothing is there.
        let missing = held.missing(u128::from(ask.needed.0) + u128::from(queued.0)).max(queued.min(Units(1)));
        let missing = missing.max(no_place.unwrap_or_default());
        Some(Due::new(self.layout().earned(), now, missing))
    }

    fn give_back(&self, n: Tokens, now: impl Now) -> Tokens {
        self.give_back_units(self.layout().units_down(n), now)
    }

    fn give_back_units(&self, units: u128, now: impl Now) -> Tokens {
        let layout = self.layout();
        let added = self.change(now, |word, now| token_bucket::give_back(layout, word, now, units));
        layout.tokens_down(added.unwrap_or_default())
    }

    /// Charges, into debt if need be, and returns what could not be charged.
    fn charge_units(&self, units: u128, now: impl Now) -> Tokens {
        let layout = self.layout();
        // A debt limit fits beside the capacity in a count's 62 bits.
        let debt = Units(layout.units_down(self.quota().debt_limit()) as u64);
        match self.change(now, |word, now| token_bucket::charge(layout, debt, word, now, units)) {
            Some(charged) => layout.tokens_up(units - u128::from(charged.0)),
            None => Tokens::ZERO,
        }
    }

    /// Settles a reservation of `reserved` for `actual`, and returns what could not be charged.
    fn settle(&self, reserved: Tokens, actual: Tokens, now: impl Now) -> Tokens {
        let (reserved, actual) = (self.layout().units_up(reserved), self.layout().units_up(actual));
        match actual.checked_sub(reserved) {
            Some(0) => Tokens::ZERO,
            Some(more) => self.charge_units(more, now),
            None => {
                self.give_back_units(reserved - actual, now);
                Tokens::ZERO
            }
        }
    }
}

/// In tokens; the whole ones exactly, as far as an `f64` can hold them.
pub(super) fn as_f64(layout: &Layout, Level(units): Level) -> f64 {
    let per_token = layout.per_token() as i64;
    (units / per_token) as f64 + (units % per_token) as f64 / per_token as f64
}

/// Whether a call was admitted.
#[cfg(feature = "std")]
#[inline(always)]
pub(super) const fn is_admitted(taken: Taken) -> bool {
    matches!(taken, Taken::Admitted { .. } | Taken::Unlimited)
}

/// The answer to a call for `n` tokens that leaves `leaving`.
#[inline(always)]
pub(super) fn answer(layout: &Layout, (n, leaving): (Tokens, Tokens), taken: Taken) -> Result<(), TryAcquireError> {
    match taken {
        Taken::Admitted { .. } | Taken::Unlimited => Ok(()),
        Taken::Denied { needed, .. } if needed > layout.capacity() => {
            Err(TryAcquireError::ExceedsBurst(exceeding(layout, n.total_pico(), leaving.total_pico())))
        }
        Taken::Denied { deficit, now, .. } => {
            Err(TryAcquireError::RateLimited(RateLimited(Due::new(layout.earned(), now, deficit))))
        }
        Taken::Refused { deficit, now } => Err(refused(layout, deficit, now)),
    }
}

#[cold]
fn refused(layout: &Layout, deficit: Units, now: Reading) -> TryAcquireError {
    TryAcquireError::TableFull(TableFull(Due::new(layout.earned(), now, deficit)))
}

/// For amounts in 10⁻¹² token, which are passed in registers.
#[cold]
pub(super) fn exceeding(layout: &Layout, requested: u128, leaving: u128) -> ExceedsBurst {
    let [requested, leaving] = [requested, leaving].map(Tokens::from_pico);
    ExceedsBurst { requested, leaving, burst: layout.tokens_down(layout.capacity()) }
}

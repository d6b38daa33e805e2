//! [`CompositeReservation`]: tokens taken from several limits for a cost that is known later.

use std::fmt;

use super::holder::Holder;
use crate::cell::TimeSource;
use crate::clock::{Clock, QuantaClock};
use crate::limiter::Target;
use crate::queue::in_drop;
use crate::tokens::Tokens;
use crate::word::Reading;

/// Tokens taken from every limit now, for a call whose cost is known later. Made by `try_reserve_n`.
///
/// [`commit`](CompositeReservation::commit) settles it. [`cancel`](CompositeReservation::cancel), or dropping
/// it, gives all tokens back; what is given back is clipped at each burst.
#[must_use = "dropping a reservation gives its tokens back at once"]
pub struct CompositeReservation<'a, C: Clock = QuantaClock> {
    holder: Holder<'a, C>,
    tokens: Tokens,
    /// The time of the settlement; `None` for the limiter's clock.
    at: Option<Reading>,
}

impl<'a, C: Clock> CompositeReservation<'a, C> {
    pub(super) fn new(holder: Holder<'a, C>, tokens: Tokens, at: Option<Reading>) -> Self {
        CompositeReservation { holder, tokens, at }
    }

    /// Returns the tokens that are reserved in each limit.
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        self.tokens
    }

    /// Settles the reservation for the cost that it turned out to have, in every limit: gives back the rest,
    /// or charges the tokens that were missing, which may take buckets into debt. Returns the most tokens that
    /// a limit's debt limit left uncharged: usually zero.
    pub fn commit(mut self, actual: impl Into<Tokens>) -> Tokens {
        self.settle(actual.into())
    }

    /// Gives all tokens back.
    pub fn cancel(self) {}

    /// Returns the same reservation, to be settled as of `now_ns`.
    pub fn at(mut self, now_ns: u64) -> Self {
        self.at = Some(Reading::from_nanos(now_ns));
        self
    }

    fn settle(&mut self, actual: Tokens) -> Tokens {
        let reserved = std::mem::take(&mut self.tokens);
        let settle = |target: Target<'a, _>| {
            let source = self.at.map_or(target.live(), TimeSource::given);
            target.settle(reserved, actual, source)
        };
        let left = self.holder.limits().targets().map(settle).fold(Tokens::ZERO, Tokens::max);
        self.holder.changed(actual > reserved);
        left
    }
}

impl<C: Clock> Drop for CompositeReservation<'_, C> {
    fn drop(&mut self) {
        if !self.tokens.is_zero() {
            // The clock is user code.
            in_drop(|| _ = self.settle(Tokens::ZERO));
        }
    }
}

impl<C: Clock> fmt::Debug for CompositeReservation<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompositeReservation").field("tokens", &self.tokens).finish_non_exhaustive()
    }
}

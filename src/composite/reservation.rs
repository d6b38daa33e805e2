//! [`CompositeReservation`]: tokens taken from several limits for a cost that is known later.

use std::fmt;

use super::holder::{CompositeHandle, Holder};
use super::queued::Effect;
use crate::cell::TimeSource;
use crate::clock::{Clock, QuantaClock};
use crate::limiter::Target;
use crate::queue::in_drop;
use crate::tokens::Tokens;
use crate::word::Reading;

/// Tokens that are settled once: after that, nothing is reserved.
pub(super) struct Pending<H: CompositeHandle<Clock: Clock>> {
    handle: H,
    pub(super) tokens: Tokens,
    /// The time of the settlement; `None` for the limiter's clock.
    pub(super) at: Option<Reading>,
}

impl<H: CompositeHandle<Clock: Clock>> Pending<H> {
    pub(super) fn new(handle: H, tokens: Tokens, at: Option<Reading>) -> Self {
        Pending { handle, tokens, at }
    }

    pub(super) fn settle(&mut self, actual: Tokens) -> Tokens {
        let reserved = std::mem::take(&mut self.tokens);
        let holder = self.handle.holder();
        let settle = |target: Target<'_, _>| {
            let source = self.at.map_or(target.live(), TimeSource::given);
            target.settle(reserved, actual, source)
        };
        let left = holder.limits().targets().map(settle).fold(Tokens::ZERO, Tokens::max);
        if actual < reserved {
            holder.recording().refunded(reserved.saturating_sub(actual));
        } else {
            holder.recording().charged_by(|| actual.saturating_sub(reserved).saturating_sub(left));
        }
        holder.changed(if actual > reserved { Effect::Later } else { Effect::Earlier });
        holder.report();
        left
    }
}

impl<H: CompositeHandle<Clock: Clock>> Drop for Pending<H> {
    fn drop(&mut self) {
        if !self.tokens.is_zero() {
            // The clock is user code.
            in_drop(|| _ = self.settle(Tokens::ZERO));
        }
    }
}

/// The verbs of a reservation, whatever keeps its limits.
macro_rules! reservation {
    ($name:ident, [$($generics:tt)*], $handle:ty) => {
        impl<$($generics)*> $name<$($generics)*> where C: Clock {
            pub(super) fn new(handle: $handle, tokens: Tokens, at: Option<Reading>) -> Self {
                $name(Pending::new(handle, tokens, at))
            }

            /// Returns the tokens that are reserved in each limit.
            #[must_use]
            pub fn tokens(&self) -> Tokens {
                self.0.tokens
            }

            /// Settles the reservation for the cost that it turned out to have, in every limit: gives back the
            /// rest, or charges the tokens that were missing, which may take buckets into debt. Returns the most
            /// tokens that a limit's debt limit left uncharged: usually zero.
            pub fn commit(mut self, actual: impl Into<Tokens>) -> Tokens {
                self.0.settle(actual.into())
            }

            /// Gives all tokens back.
            pub fn cancel(self) {}

            /// Returns the same reservation, to be settled as of `now_ns`.
            pub fn at(mut self, now_ns: u64) -> Self {
                self.0.at = Some(Reading::from_nanos(now_ns));
                self
            }
        }

        impl<$($generics)*> fmt::Debug for $name<$($generics)*> where C: Clock {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("tokens", &self.0.tokens).finish_non_exhaustive()
            }
        }
    };
}

pub(super) use reservation;

/// Tokens taken from every limit now, for a call whose cost is known later. Made by `try_reserve_n`.
///
/// [`commit`](CompositeReservation::commit) settles it. [`cancel`](CompositeReservation::cancel), or dropping
/// it, gives all tokens back; what is given back is clipped at each burst.
#[must_use = "dropping a reservation gives its tokens back at once"]
pub struct CompositeReservation<'a, C: Clock = QuantaClock>(Pending<Holder<'a, C>>);

reservation!(CompositeReservation, ['a, C], Holder<'a, C>);

//! Tokens taken for a cost that is known later.

use core::fmt;

use super::target::{Handle, Target};
use crate::cell::TimeSource;
use crate::clock::Clock;
use crate::tokens::Tokens;
use crate::word::Reading;

#[cfg(feature = "std")]
use super::target::OwnedTarget;
#[cfg(feature = "std")]
use crate::clock::QuantaClock;
#[cfg(feature = "std")]
use crate::queue::in_drop;

/// Tokens that are settled once: after that, nothing is reserved.
struct Pending<H: Handle<Clock: Clock>> {
    handle: H,
    tokens: Tokens,
    /// The time of the settlement; `None` for the limiter's clock.
    at: Option<Reading>,
}

impl<H: Handle<Clock: Clock>> Pending<H> {
    fn settle(&mut self, actual: Tokens) -> Tokens {
        let reserved = core::mem::take(&mut self.tokens);
        let target = self.handle.target();
        match self.at {
            Some(now) => target.settle(reserved, actual, TimeSource::given(now)),
            None => target.settle(reserved, actual, target.live()),
        }
    }
}

impl<H: Handle<Clock: Clock>> Drop for Pending<H> {
    fn drop(&mut self) {
        if self.tokens.is_zero() {
            return;
        }
        // The clock and the timer are user code.
        #[cfg(feature = "std")]
        in_drop(|| _ = self.settle(Tokens::ZERO));
        #[cfg(not(feature = "std"))]
        self.settle(Tokens::ZERO);
    }
}

/// The verbs of a reservation, whatever keeps its bucket.
macro_rules! reservation {
    ($name:ident, [$($generics:tt)*], $handle:ty) => {
        impl<$($generics)*> $name<$($generics)*> where C: Clock {
            #[inline]
            pub(super) fn new(handle: $handle, tokens: Tokens, at: Option<Reading>) -> Self {
                $name(Pending { handle, tokens, at })
            }

            /// Returns the tokens that are reserved.
            #[must_use]
            pub fn tokens(&self) -> Tokens {
                self.0.tokens
            }

            /// Settles the reservation for the cost that it turned out to have: gives back the rest, or
            /// charges the tokens that were missing. That may take the bucket into debt, by default down to one
            /// burst below zero ([`Quota::max_debt`](crate::Quota::max_debt)). Returns the tokens that this
            /// limit left uncharged, rounded up to a unit: usually zero.
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

/// Tokens taken now, for a call whose cost is known later. Made by `try_reserve_n` and `reserve_n`.
///
/// [`commit`](Reservation::commit) settles it. [`cancel`](Reservation::cancel), or dropping it, gives
/// all tokens back; what is given back is clipped at the burst.
///
/// A reservation on a key does not keep the key in the table. If the key was forgotten before the
/// reservation is settled, its bucket was full, or shares the debt of evicted keys, and the settlement
/// counts on that.
#[must_use = "dropping a reservation gives its tokens back at once"]
pub struct Reservation<'a, #[cfg(feature = "std")] C: Clock = QuantaClock, #[cfg(not(feature = "std"))] C: Clock>(
    Pending<Target<'a, C>>,
);

reservation!(Reservation, ['a, C], Target<'a, C>);

/// A [`Reservation`] that keeps its limiter alive, and so may go to another thread or task. Made by
/// `try_reserve_n_owned`.
#[cfg(feature = "std")]
#[must_use = "dropping a reservation gives its tokens back at once"]
pub struct OwnedReservation<C: Clock = QuantaClock>(Pending<OwnedTarget<C>>);

#[cfg(feature = "std")]
reservation!(OwnedReservation, [C], OwnedTarget<C>);

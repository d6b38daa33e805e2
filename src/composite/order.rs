//! [`Order`]: the tokens that a call takes from each limit; and the limits that a queue keeps alive.

use std::sync::Arc;

use super::limits::{KeyedLimit, Leaving, Limits, SharedClock, SingleLimit};
use super::queued::{QueuedLimits, Waiters};
use super::together::{Part, Parts, Refused};
use crate::clock::Clock;
use crate::error::LimitName;
use crate::limiter::Found;
use crate::table::Fingerprint;
use crate::tokens::Tokens;
use crate::word::{Reading, Units, Word};

/// The tokens that a call takes from each limit, and those that it leaves there.
#[derive(Clone, Copy)]
pub(super) struct Order {
    pub(super) n: Tokens,
    pub(super) leaving: Leaving,
}

/// The queue of a composite.
pub(super) type Queue = dyn Waiters<Order, Refused>;

/// The limits of a composite, kept alive.
pub(super) enum OwnedLimits<C> {
    Single(Arc<[SingleLimit<C>]>),
    Key(Arc<[KeyedLimit<C>]>, Fingerprint),
}

impl<C: Clock + Send + Sync + 'static> QueuedLimits for OwnedLimits<C> {
    type Order = Order;
    type View<'a> = Limits<'a, C>;
    type Call<'a> = OrderCall<'a, C>;
    type Refusal = Refused;

    fn view(&self) -> Limits<'_, C> {
        match self {
            OwnedLimits::Single(limits) => Limits::Single(limits),
            OwnedLimits::Key(limits, key) => Limits::Key(limits, *key),
        }
    }

    fn call<'a>(view: &'a Limits<'_, C>, order: Order) -> OrderCall<'a, C> {
        OrderCall { limits: *view, order }
    }

    fn refusal(_: OrderCall<'_, C>, refused: Refused, _: bool) -> Refused {
        refused
    }

    fn class(call: OrderCall<'_, C>) -> Units {
        call.class()
    }

    fn read(&self) -> Reading {
        match self.view().targets().next() {
            Some(target) => target.live().read(),
            None => Reading::NONE,
        }
    }
}

/// An order on the limits of a composite.
pub(super) struct OrderCall<'a, C> {
    pub(super) limits: Limits<'a, C>,
    pub(super) order: Order,
}

impl<C> Clone for OrderCall<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for OrderCall<'_, C> {}

impl<C> OrderCall<'_, C> {
    /// Returns the class of a waiter with this order: the tokens that it leaves in the limit where it leaves
    /// most, in 10⁻⁹ token, rounded up. It does not depend on the current quotas, so waiters keep their order.
    pub(super) fn class(&self) -> Units {
        const NANO: u128 = 1_000;
        let most = self.limits.targets().map(|target| self.order.leaving.at_most(&target).total_pico().div_ceil(NANO));
        let most = most.max();
        Units(most.unwrap_or_default() as u64)
    }

    fn leaving(&self, nth: usize) -> Tokens {
        self.order.leaving.of(&self.limits.target(nth))
    }
}

impl<'a, C: Clock> Parts for OrderCall<'a, C> {
    type Clock = SharedClock<C>;
    type Place = Found<'a>;

    const SAME_CLOCK: bool = true;

    fn len(&self) -> usize {
        self.limits.len()
    }

    fn part(&self, nth: usize) -> Part<'_, SharedClock<C>> {
        Part { target: self.limits.target(nth), n: self.order.n, leaving: self.leaving(nth) }
    }

    fn name(&self, nth: usize) -> LimitName {
        self.limits.name(nth)
    }

    fn find(&self, nth: usize) -> Option<(Found<'a>, Word)> {
        self.limits.target(nth).find()
    }

    fn is_here(&self, nth: usize, place: Found<'a>) -> bool {
        place.is_here() && self.limits.target(nth).is_plain()
    }

    fn swap(&self, _: usize, place: Found<'a>, seen: Word, next: Word) -> bool {
        place.compare_exchange(seen, next)
    }
}

//! Buckets that can be waited on, and what a wait keeps of their limiter.

use std::sync::Arc;

use super::RateLimiter;
use super::account::Account;
use super::keyed::{Bucket, KeyedRateLimiter};
use super::waiters::drive;
use crate::algorithm::token_bucket::Ask;
use crate::cell::{Given, Now, Taken};
use crate::clock::Clock;
use crate::table::{Arrival, Fingerprint};
use crate::tokens::Tokens;
use crate::wait::{Call, Queue};
use crate::word::{Due, Layout, Reading};

/// A bucket that can be waited on.
pub(super) trait Place {
    fn layout(&self) -> &Layout;

    fn now(&self) -> Reading;

    /// Takes, if it is there; `None` where that is for the queue to say.
    fn take(&self, n: Tokens, leaving: Tokens) -> Option<Taken>;

    /// The same by a reading.
    fn take_at(&self, n: Tokens, leaving: Tokens, now: Reading) -> Option<Taken>;

    /// When it will be there; `None` without a limit.
    fn due(&self, ask: Ask, now: Reading) -> Option<Due>;

    /// Takes, or waits.
    fn enter(&self, call: &mut Call, now: Reading) -> Arrival;

    /// The word goes home, if nobody waits.
    fn bring_home(&self, queue: &Arc<Queue>, now: Reading);

    /// Gives back what was granted, and will not be used.
    fn give_back(&self, units: u64);
}

impl<C: Clock + Clone + Send + Sync + 'static> Place for &RateLimiter<C> {
    #[inline]
    fn layout(&self) -> &Layout {
        Account::layout(*self)
    }

    fn now(&self) -> Reading {
        self.live().first()
    }

    #[inline(always)]
    fn take(&self, n: Tokens, leaving: Tokens) -> Option<Taken> {
        self.take_in_cell(n, leaving, self.live())
    }

    fn take_at(&self, n: Tokens, leaving: Tokens, now: Reading) -> Option<Taken> {
        self.take_in_cell(n, leaving, Given(now))
    }

    fn due(&self, ask: Ask, now: Reading) -> Option<Due> {
        self.due_at(ask, Given(now))
    }

    fn enter(&self, call: &mut Call, now: Reading) -> Arrival {
        RateLimiter::enter(self, call, now, |chosen| drive(&self.clock, chosen))
    }

    fn bring_home(&self, _: &Arc<Queue>, _: Reading) {
        RateLimiter::bring_home(self);
    }

    fn give_back(&self, units: u64) {
        self.give_back_units(units.into(), self.live());
    }
}

impl<C: Clock + Clone + Send + Sync + 'static> Place for Bucket<'_, C> {
    fn layout(&self) -> &Layout {
        Account::layout(self)
    }

    fn now(&self) -> Reading {
        self.live().first()
    }

    #[inline(always)]
    fn take(&self, n: Tokens, leaving: Tokens) -> Option<Taken> {
        Some(self.taken(n, leaving, self.live()))
    }

    fn take_at(&self, n: Tokens, leaving: Tokens, now: Reading) -> Option<Taken> {
        Some(self.taken(n, leaving, Given(now)))
    }

    fn due(&self, ask: Ask, now: Reading) -> Option<Due> {
        self.due_at(ask, Given(now))
    }

    fn enter(&self, call: &mut Call, now: Reading) -> Arrival {
        self.buckets.table.enter(self.key, call, now, |chosen| drive(&self.buckets.clock, chosen))
    }

    fn bring_home(&self, queue: &Arc<Queue>, now: Reading) {
        self.buckets.table.take_back(self.key, queue, now);
    }

    fn give_back(&self, units: u64) {
        self.give_back_units(units.into(), self.live());
    }
}

/// What a future has of its limiter.
pub(super) trait Hold: Unpin {
    type Place<'a>: Place
    where
        Self: 'a;

    fn place(&self) -> Self::Place<'_>;
}

impl<C: Clock + Clone + Send + Sync + 'static> Hold for &RateLimiter<C> {
    type Place<'a>
        = &'a RateLimiter<C>
    where
        Self: 'a;

    #[inline]
    fn place(&self) -> &RateLimiter<C> {
        self
    }
}

impl<C: Clock + Clone + Send + Sync + 'static> Hold for Arc<RateLimiter<C>> {
    type Place<'a> = &'a RateLimiter<C>;

    #[inline]
    fn place(&self) -> &RateLimiter<C> {
        self
    }
}

impl<C: Clock + Clone + Send + Sync + 'static> Hold for Bucket<'_, C> {
    type Place<'a>
        = Bucket<'a, C>
    where
        Self: 'a;

    #[inline]
    fn place(&self) -> Bucket<'_, C> {
        Bucket { buckets: self.buckets, key: self.key }
    }
}

/// A bucket of a shared keyed limiter.
pub(super) struct Shared<K: ?Sized, C, S> {
    pub(super) limiter: Arc<KeyedRateLimiter<K, C, S>>,
    pub(super) key: Fingerprint,
}

impl<K: ?Sized, C: Clock + Clone + Send + Sync + 'static, S> Hold for Shared<K, C, S> {
    type Place<'a>
        = Bucket<'a, C>
    where
        Self: 'a;

    fn place(&self) -> Bucket<'_, C> {
        self.limiter.bucket(self.key)
    }
}

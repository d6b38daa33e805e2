//! The limiter's methods. Each call is recorded.

use std::sync::Arc;

use brimful::{RateLimiter, Tokens, TryAcquireError};
use loom::sync::atomic::AtomicU64;

use crate::PICO;
use crate::clock::ModelClock;
use crate::history::{Op, Recorder, When};
use crate::subject::{Key, ReservationOps, Subject, Table};
use crate::timers::ModelTimers;
use crate::waits::ParkedWaits;

/// One thread of a model, with its access to the limiter.
pub struct Actor<L> {
    pub(crate) caller: usize,
    pub(crate) key: Key,
    pub(crate) limiter: Arc<L>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) timers: Arc<ModelTimers>,
    pub(crate) waits: Arc<ParkedWaits>,
    /// Passes a value to another thread, with no memory ordering of its own.
    pub mailbox: Arc<AtomicU64>,
}

// Written by hand, because a derived `Clone` requires `L: Clone`.
impl<L> Clone for Actor<L> {
    fn clone(&self) -> Self {
        let (limiter, recorder, timers) = (self.limiter.clone(), self.recorder.clone(), self.timers.clone());
        let (waits, mailbox) = (self.waits.clone(), self.mailbox.clone());
        Actor { caller: self.caller, key: self.key, limiter, recorder, timers, waits, mailbox }
    }
}

fn pico(tokens: Tokens) -> i64 {
    i64::from(tokens.whole()) * PICO + i64::try_from(tokens.pico()).expect("a fraction is less than one token")
}

fn take(n: u32, result: Result<(), TryAcquireError>) -> (Op, bool) {
    let refused = match result {
        Err(TryAcquireError::TableFull(_)) => return (Op::TableFull, false),
        result => result.err().map(|error| error.retry_after().expect("the cost is within the burst")),
    };
    (Op::Take { cost: pico(n.into()), refused }, refused.is_none())
}

impl<L: Subject> Actor<L> {
    fn call<R>(&self, at: Option<u64>, call: impl FnOnce() -> (Op, R)) -> R {
        self.recorder.call(self.caller, Some(self.key), at.map_or(When::Clock, When::At), call)
    }

    /// Takes `n` tokens. Returns whether they were granted.
    #[allow(clippy::must_use_candidate)]
    pub fn take(&self, n: u32) -> bool {
        self.call(None, || take(n, self.limiter.take(self.key, None, n)))
    }

    /// As [`take`](Actor::take), at a given time.
    #[allow(clippy::must_use_candidate)]
    pub fn take_at(&self, now: u64, n: u32) -> bool {
        self.call(Some(now), || take(n, self.limiter.take(self.key, Some(now), n)))
    }

    /// Reserves `n` tokens, if the bucket holds them.
    #[must_use]
    pub fn reserve(&self, n: u32) -> Option<L::Reservation<'_>> {
        self.call(None, || match self.limiter.reserve(self.key, n) {
            Ok(reservation) => (take(n, Ok(())).0, Some(reservation)),
            Err(error) => (take(n, Err(error)).0, None),
        })
    }

    /// Cancels a reservation, which gives all its tokens back.
    pub fn cancel(&self, reservation: L::Reservation<'_>) {
        let amount = pico(reservation.tokens());
        self.call(None, || {
            reservation.cancel();
            (Op::Give { amount, added: None }, ())
        });
    }

    /// Commits a reservation with an actual cost that differs from the reserved one.
    pub fn commit(&self, reservation: L::Reservation<'_>, actual: u32) {
        let more = pico(actual.into()) - pico(reservation.tokens());
        self.call(None, || {
            let left = pico(reservation.commit(actual));
            let op = if more > 0 { Op::Charge { amount: more, left } } else { Op::Give { amount: -more, added: None } };
            (op, ())
        });
    }

    /// Adds `n` tokens.
    pub fn add(&self, n: u32) {
        self.put(None, n);
    }

    /// As [`add`](Actor::add), at a given time.
    pub fn add_at(&self, now: u64, n: u32) {
        self.put(Some(now), n);
    }

    fn put(&self, at: Option<u64>, n: u32) {
        self.call(at, || {
            let added = pico(self.limiter.add(self.key, at, n));
            (Op::Give { amount: pico(n.into()), added: Some(added) }, ())
        });
    }

    /// Fills the bucket.
    pub fn reset(&self) {
        self.call(None, || {
            self.limiter.reset(self.key);
            (Op::Reset, ())
        });
    }
}

impl Actor<RateLimiter<ModelClock>> {
    /// Closes the limiter.
    pub fn close(&self) {
        self.call(None, || {
            self.limiter.close();
            (Op::Close, ())
        });
    }
}

impl Actor<Table> {
    /// Returns this actor for another key.
    #[must_use]
    pub fn on(&self, key: Key) -> Self {
        Actor { key, ..self.clone() }
    }

    /// Removes the key.
    pub fn remove(&self) {
        self.recorder.call(self.caller, Some(self.key), When::Never, || {
            let known = self.limiter.remove(&self.key);
            (Op::Remove { known }, ())
        });
    }

    /// Removes all keys.
    pub fn clear(&self) {
        self.recorder.call(self.caller, None, When::Never, || {
            self.limiter.clear();
            (Op::Clear, ())
        });
    }
    /// Removes all full buckets from the table.
    pub fn sweep(&self) {
        self.recorder.call(self.caller, None, When::Clock, || {
            self.limiter.retain_recent();
            (Op::Sweep, ())
        });
    }
}

//! The limiter's verbs, recorded.

use std::sync::Arc;

use brimful::{Tokens, TryAcquireError};
use loom::sync::atomic::AtomicU64;

use crate::PICO;
use crate::alarms::Alarms;
use crate::history::{Op, Recorder, When};
use crate::subject::{Key, Pledge, Subject, Table};
use crate::waits::Waits;

/// One thread of a model, and its hands on the limiter.
pub struct Actor<L> {
    pub(crate) who: usize,
    pub(crate) key: Key,
    pub(crate) limiter: Arc<L>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) alarms: Arc<Alarms>,
    pub(crate) waits: Arc<Waits>,
    /// A place to leave something for another thread in, without ordering of its own.
    pub mailbox: Arc<AtomicU64>,
}

// By hand: the limiter need not be.
impl<L> Clone for Actor<L> {
    fn clone(&self) -> Self {
        let (limiter, recorder, alarms) = (self.limiter.clone(), self.recorder.clone(), self.alarms.clone());
        let (waits, mailbox) = (self.waits.clone(), self.mailbox.clone());
        Actor { who: self.who, key: self.key, limiter, recorder, alarms, waits, mailbox }
    }
}

fn pico(tokens: Tokens) -> i64 {
    i64::from(tokens.whole()) * PICO + i64::try_from(tokens.pico()).expect("below a token")
}

fn take(n: u32, result: Result<(), TryAcquireError>) -> (Op, bool) {
    let refused = match result {
        Err(TryAcquireError::TableFull(_)) => return (Op::NoPlace, false),
        result => result.err().map(|error| error.retry_after().expect("within the burst")),
    };
    (Op::Take { cost: pico(n.into()), refused }, refused.is_none())
}

impl<L: Subject> Actor<L> {
    fn call<R>(&self, at: Option<u64>, call: impl FnOnce() -> (Op, R)) -> R {
        self.recorder.call(self.who, Some(self.key), at.map_or(When::Clock, When::At), call)
    }

    /// Takes `n`, and tells whether it was granted.
    #[allow(clippy::must_use_candidate)]
    pub fn take(&self, n: u32) -> bool {
        self.call(None, || take(n, self.limiter.take(self.key, None, n)))
    }

    /// As [`take`](Actor::take), at a given time.
    #[allow(clippy::must_use_candidate)]
    pub fn take_at(&self, now: u64, n: u32) -> bool {
        self.call(Some(now), || take(n, self.limiter.take(self.key, Some(now), n)))
    }

    /// Reserves `n`, if they are there.
    #[must_use]
    pub fn reserve(&self, n: u32) -> Option<L::Reservation<'_>> {
        self.call(None, || match self.limiter.reserve(self.key, n) {
            Ok(reservation) => (take(n, Ok(())).0, Some(reservation)),
            Err(error) => (take(n, Err(error)).0, None),
        })
    }

    /// Gives all of a reservation back.
    pub fn cancel(&self, reservation: L::Reservation<'_>) {
        let amount = pico(reservation.tokens());
        self.call(None, || {
            reservation.cancel();
            (Op::Give { amount, added: None }, ())
        });
    }

    /// Commits to something else than what was reserved.
    pub fn commit(&self, reservation: L::Reservation<'_>, actual: u32) {
        let more = pico(actual.into()) - pico(reservation.tokens());
        self.call(None, || {
            let left = pico(reservation.commit(actual));
            let op = if more > 0 { Op::Charge { amount: more, left } } else { Op::Give { amount: -more, added: None } };
            (op, ())
        });
    }

    /// Puts `n` tokens in.
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

impl Actor<Table> {
    /// The same, on this key's bucket.
    #[must_use]
    pub fn on(&self, key: Key) -> Self {
        Actor { key, ..self.clone() }
    }

    /// Forgets the key.
    pub fn remove(&self) {
        self.recorder.call(self.who, Some(self.key), When::Never, || {
            let there = self.limiter.remove(&self.key);
            (Op::Remove { there }, ())
        });
    }

    /// Forgets all keys.
    pub fn clear(&self) {
        self.recorder.call(self.who, None, When::Never, || {
            self.limiter.clear();
            (Op::Clear, ())
        });
    }
    /// Has the table forget all full buckets.
    pub fn sweep(&self) {
        self.recorder.call(self.who, None, When::Clock, || {
            self.limiter.retain_recent();
            (Op::Sweep, ())
        });
    }
}

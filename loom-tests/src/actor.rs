//! The limiter's verbs, recorded.

use std::sync::Arc;

use brimful::{Clock, RateLimiter, Reservation, Tokens, TryAcquireError};
use loom::sync::atomic::AtomicU64;

use crate::PICO;
use crate::history::{Op, Recorder};

/// One thread of a model, and its hands on the limiter.
pub struct Actor<C: Clock> {
    pub(crate) who: usize,
    pub(crate) limiter: Arc<RateLimiter<C>>,
    pub(crate) recorder: Arc<Recorder>,
    /// A place to leave something for another thread in, without ordering of its own.
    pub mailbox: Arc<AtomicU64>,
}

fn pico(tokens: Tokens) -> i64 {
    i64::from(tokens.whole()) * PICO + i64::try_from(tokens.pico()).expect("below a token")
}

fn take(n: u32, result: Result<(), TryAcquireError>) -> (Op, bool) {
    let refused = result.err().map(|error| error.retry_after().expect("within the burst"));
    (Op::Take { cost: pico(n.into()), refused }, refused.is_none())
}

impl<C: Clock> Actor<C> {
    /// Takes `n`, and tells whether it was granted.
    #[allow(clippy::must_use_candidate)]
    pub fn take(&self, n: u32) -> bool {
        self.recorder.call(self.who, None, || take(n, self.limiter.try_acquire_n(n)))
    }

    /// As [`take`](Actor::take), at a given time.
    #[allow(clippy::must_use_candidate)]
    pub fn take_at(&self, now: u64, n: u32) -> bool {
        self.recorder.call(self.who, Some(now), || take(n, self.limiter.try_acquire_n_at(now, n)))
    }

    /// Reserves `n`, if they are there.
    #[must_use]
    pub fn reserve(&self, n: u32) -> Option<Reservation<'_, C>> {
        self.recorder.call(self.who, None, || match self.limiter.try_reserve_n(n) {
            Ok(reservation) => (take(n, Ok(())).0, Some(reservation)),
            Err(error) => (take(n, Err(error)).0, None),
        })
    }

    /// Gives all of a reservation back.
    pub fn cancel(&self, reservation: Reservation<'_, C>) {
        let amount = pico(reservation.tokens());
        self.recorder.call(self.who, None, || {
            reservation.cancel();
            (Op::Give { amount, added: None }, ())
        });
    }

    /// Commits to something else than what was reserved.
    pub fn commit(&self, reservation: Reservation<'_, C>, actual: u32) {
        let more = pico(actual.into()) - pico(reservation.tokens());
        self.recorder.call(self.who, None, || {
            let left = pico(reservation.commit(actual));
            let op = if more > 0 { Op::Charge { amount: more, left } } else { Op::Give { amount: -more, added: None } };
            (op, ())
        });
    }

    /// Puts `n` tokens in.
    pub fn add(&self, n: u32) {
        self.recorder.call(self.who, None, || {
            let added = pico(self.limiter.add_tokens(n));
            (Op::Give { amount: pico(n.into()), added: Some(added) }, ())
        });
    }

    /// Fills the bucket.
    pub fn reset(&self) {
        self.recorder.call(self.who, None, || {
            self.limiter.reset();
            (Op::Reset, ())
        });
    }
}

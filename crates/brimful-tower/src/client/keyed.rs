//! [`Keyed`]: turns by the quota of each key.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use brimful::{AcquireError, Clock, OwnedAcquire};
use http::{Request, Response};

use super::answer::{Answer, Jitter, Outcome};
use super::error::ThrottleError;
use super::gate::Gate;
use super::gates::Gates;
use super::limits::{Begun, Limits};
use super::turns::Turns;
use crate::key::{KeyExtractor, RequestHead};

/// Turns by the quota of each key, and by what the server of the key says.
pub struct Keyed<E: KeyExtractor, L: Turns<E::Key>> {
    key: E,
    limiter: Arc<L>,
    pub(super) gates: Gates<L::Clock>,
    /// Whether calls go on after an answer by which none is left.
    pub(super) ignores_remaining: bool,
}

/// The most keys that are paused at a time, by default.
const MAX_PAUSED: usize = 16_384;

impl<E: KeyExtractor, L: Turns<E::Key>> Keyed<E, L> {
    pub(super) fn new(limiter: Arc<L>, key: E) -> Self {
        let gates = Gates::new(limiter.clock().clone(), MAX_PAUSED);
        Keyed { key, limiter, gates, ignores_remaining: false }
    }

    pub(super) fn max_paused(&mut self, most: usize) {
        self.gates = Gates::new(self.limiter.clock().clone(), most);
    }

    pub(super) fn clock(&self) -> &L::Clock {
        self.limiter.clock()
    }
}

impl<E, L, B> Limits<B> for Keyed<E, L>
where
    E: KeyExtractor + Send + Sync + 'static,
    E::Key: 'static,
    L: Turns<E::Key>,
{
    type Turn = KeyedTurn<E::Key>;
    type Wait = KeyedWait<E, L>;

    fn now(&self) -> u64 {
        self.clock().now()
    }

    fn begin(
        self: &Arc<Self>,
        request: &Request<B>,
        deadline: u64,
    ) -> Result<Begun<Self::Turn, Self::Wait>, ThrottleError> {
        let key = self.key.key(&RequestHead::from(request))?;
        let stage = if self.limiter.try_take(&key) {
            match self.gate(&key, deadline) {
                Ok(left_at) => return Ok(Begun::Now(KeyedTurn { key, left_at })),
                Err(stage) => stage,
            }
        } else {
            Stage::InQueue(self.limiter.wait(&key, deadline))
        };
        Ok(Begun::Later(KeyedWait { limits: self.clone(), key: Some(key), deadline, stage }))
    }

    fn answered<R>(&self, turn: KeyedTurn<E::Key>, answer: &Answer, jitter: &Jitter, _: &mut Response<R>) {
        let KeyedTurn { key, left_at } = turn;
        let outcome = match answer.outcome {
            Outcome::Served(_) if self.ignores_remaining => Outcome::Served(None),
            outcome => outcome,
        };
        self.gates.answered(&key, left_at, outcome, jitter, || self.limiter.fastest(&key));
    }
}

impl<E: KeyExtractor, L: Turns<E::Key>> Keyed<E, L> {
    /// Returns the time at which a call leaves that has taken its token; or the wait at the gate of its key.
    fn gate(&self, key: &E::Key, deadline: u64) -> Result<u64, Stage<L::Wait, L::Clock>> {
        let (gate, now) = (self.gates.of(key), self.clock().now());
        match gate {
            Some(gate) if !gate.try_pass(now) => {
                let wait = gate.pass(deadline);
                Err(Stage::AtGate(gate, wait))
            }
            _ => Ok(now),
        }
    }
}

/// The turn of a call: its key, and the time at which it left.
pub struct KeyedTurn<K> {
    key: K,
    left_at: u64,
}

/// A wait for a turn.
///
/// # Cancel safety
///
/// If it is dropped, the call gives up its place, and gives back the token that it may have taken.
pub struct KeyedWait<E: KeyExtractor, L: Turns<E::Key>> {
    limits: Arc<Keyed<E, L>>,
    /// Taken by the turn.
    key: Option<E::Key>,
    deadline: u64,
    stage: Stage<L::Wait, L::Clock>,
}

enum Stage<W, C: Clock + Clone + Send + Sync + 'static> {
    InQueue(W),
    /// The call has its token. It keeps the gate, so that no later call finds none.
    AtGate(Arc<Gate<C>>, OwnedAcquire<C>),
    Over,
}

// Nothing in it is pinned but the waits, which are `Unpin`.
impl<E: KeyExtractor, L: Turns<E::Key>> Unpin for KeyedWait<E, L> {}

impl<E: KeyExtractor, L: Turns<E::Key>> Future for KeyedWait<E, L> {
    type Output = Result<KeyedTurn<E::Key>, ThrottleError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(key) = &this.key else { return Poll::Pending };
        loop {
            let next = match &mut this.stage {
                Stage::InQueue(wait) => match ready!(Pin::new(wait).poll(context)) {
                    Ok(_) => this.limits.gate(key, this.deadline),
                    Err(error) => {
                        this.stage = Stage::Over;
                        return Poll::Ready(Err(error.into()));
                    }
                },
                Stage::AtGate(gate, wait) => match ready!(Pin::new(&mut *wait).poll(context)) {
                    // A pause may have begun after the gate let the call out.
                    Ok(_) if gate.opens() > this.limits.clock().now() => {
                        *wait = gate.pass(this.deadline);
                        continue;
                    }
                    Ok(_) => Ok(this.limits.clock().now()),
                    // The pause was ended, and the key has another gate.
                    Err(AcquireError::LimiterClosed(_)) => this.limits.gate(key, this.deadline),
                    Err(error) => {
                        this.give_back();
                        return Poll::Ready(Err(ThrottleError::Paused(error)));
                    }
                },
                Stage::Over => return Poll::Pending,
            };
            match next {
                Err(stage) => this.stage = stage,
                Ok(left_at) => {
                    this.stage = Stage::Over;
                    return Poll::Ready(Ok(KeyedTurn { key: this.key.take().expect("it is there"), left_at }));
                }
            }
        }
    }
}

impl<E: KeyExtractor, L: Turns<E::Key>> KeyedWait<E, L> {
    /// Gives back the token of a call that does not leave.
    fn give_back(&mut self) {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        if let (Stage::AtGate(..), Some(key)) = (stage, &self.key) {
            self.limits.limiter.give_back(key);
        }
    }
}

impl<E: KeyExtractor, L: Turns<E::Key>> Drop for KeyedWait<E, L> {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl<E: KeyExtractor, L: Turns<E::Key>> fmt::Debug for KeyedWait<E, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::InQueue(_) => "in the queue",
            Stage::AtGate(..) => "at the gate",
            Stage::Over => "over",
        };
        f.debug_struct("KeyedWait").field("stage", &stage).finish_non_exhaustive()
    }
}

//! [`Keyed`]: turns by the quota of each key.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use brimful::{AcquireError, Clock, OwnedAcquire, Tokens};
use http::{Request, Response};

use super::answer::{Answer, Outcome, Pauses};
use super::error::ThrottleError;
use super::gate::Gate;
use super::gates::Gates;
use super::limits::Limits;
use super::turns::Turns;
use crate::key::{KeyExtractor, RequestHead};
use crate::limits::{Begun, Calls, Held, Longest};

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
        let stage = match self.limiter.decide(&key, Tokens::ONE, false) {
            Begun::Now(mut outcome) if L::allowed(&outcome) => {
                match self.gate(&key, deadline, || self.limiter.held(&key, Tokens::ONE, &mut outcome, true)) {
                    Ok(left_at) => return Ok(Begun::Now(KeyedTurn { key, left_at })),
                    Err(stage) => stage,
                }
            }
            Begun::Now(refused) => self.queue(&key, deadline, refused),
            Begun::Later(deciding) => Stage::Deciding(deciding),
        };
        Ok(Begun::Later(KeyedWait { limits: self.clone(), key: Some(key), deadline, stage }))
    }

    fn answered<R>(&self, turn: KeyedTurn<E::Key>, answer: &Answer, pauses: &Pauses, _: &mut Response<R>) {
        let KeyedTurn { key, left_at } = turn;
        let outcome = match answer.outcome {
            Outcome::Served(_) if self.ignores_remaining => Outcome::Served(None),
            outcome => outcome,
        };
        self.gates.answered(&key, left_at, outcome, pauses, || self.limiter.fastest(&key));
    }
}

impl<E: KeyExtractor, L: Turns<E::Key>> Keyed<E, L> {
    /// Lets a call wait that was refused.
    fn queue(&self, key: &E::Key, deadline: u64, refused: L::Outcome) -> StageOf<E, L> {
        let refused = L::decision(refused);
        Stage::InQueue(self.limiter.wait(key, Tokens::ONE, Longest::Until(deadline), Some(&refused)))
    }

    /// Returns the time at which a call leaves that has taken its token; or the wait at the gate of its key, during which it
    /// holds the token.
    fn gate(&self, key: &E::Key, deadline: u64, token: impl FnOnce() -> Option<L::Held>) -> Result<u64, StageOf<E, L>> {
        let (gate, now) = (self.gates.of(key), self.clock().now());
        match gate {
            Some(gate) if !gate.try_pass(now) => {
                let wait = gate.pass(deadline);
                Err(Stage::AtGate { _gate: gate, wait, token: token() })
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
/// If it is dropped, the call gives up its place, and gives back the token that it may have taken. A limiter that many
/// processes share may keep the token of a call that was dropped while its decision was on its way.
pub struct KeyedWait<E: KeyExtractor, L: Turns<E::Key>> {
    limits: Arc<Keyed<E, L>>,
    /// Taken by the turn.
    key: Option<E::Key>,
    deadline: u64,
    stage: StageOf<E, L>,
}

type StageOf<E, L> = Stage<
    <L as Calls<<E as KeyExtractor>::Key>>::Deciding,
    <L as Calls<<E as KeyExtractor>::Key>>::Wait,
    <L as Calls<<E as KeyExtractor>::Key>>::Held,
    <L as Turns<<E as KeyExtractor>::Key>>::Clock,
>;

enum Stage<D, W, H, C: Clock + Clone + Send + Sync + 'static> {
    Deciding(D),
    InQueue(W),
    /// The call has its token, and gives it back if it is dropped. It keeps the gate, so that no later call finds none.
    AtGate {
        _gate: Arc<Gate<C>>,
        wait: OwnedAcquire<C>,
        token: Option<H>,
    },
    Over,
}

// Nothing in it is pinned but the waits, which are `Unpin`.
impl<E: KeyExtractor, L: Turns<E::Key>> Unpin for KeyedWait<E, L> {}

impl<E: KeyExtractor, L: Turns<E::Key>> Future for KeyedWait<E, L> {
    type Output = Result<KeyedTurn<E::Key>, ThrottleError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let KeyedWait { limits, key: place, deadline, stage } = &mut *self;
        let (Some(key), limiter) = (&*place, &limits.limiter) else { return Poll::Pending };
        loop {
            let next = match &mut *stage {
                Stage::Deciding(deciding) => {
                    let mut outcome = ready!(Pin::new(deciding).poll(context));
                    if L::allowed(&outcome) {
                        limits.gate(key, *deadline, || limiter.held(key, Tokens::ONE, &mut outcome, true))
                    } else {
                        Err(limits.queue(key, *deadline, outcome))
                    }
                }
                Stage::InQueue(wait) => match ready!(Pin::new(wait).poll(context)) {
                    Ok(granted) => limits.gate(key, *deadline, || limiter.granted(key, Tokens::ONE, granted)),
                    Err(error) => {
                        *stage = Stage::Over;
                        return Poll::Ready(Err(error.into()));
                    }
                },
                Stage::AtGate { wait, token, .. } => match ready!(Pin::new(&mut *wait).poll(context)) {
                    Ok(_) if limits.gates.paused(key).is_zero() => {
                        spend(token.take());
                        Ok(limits.clock().now())
                    }
                    // A pause has begun after the gate let the call out, or the key has another gate.
                    Ok(_) | Err(AcquireError::LimiterClosed(_)) => {
                        let mut token = token.take();
                        let next = limits.gate(key, *deadline, || token.take());
                        spend(token);
                        next
                    }
                    Err(error) => {
                        *stage = Stage::Over;
                        return Poll::Ready(Err(ThrottleError::Paused(error)));
                    }
                },
                Stage::Over => return Poll::Pending,
            };
            match next {
                Err(next) => *stage = next,
                Ok(left_at) => {
                    *stage = Stage::Over;
                    return Poll::Ready(Ok(KeyedTurn { key: place.take().expect("it is there"), left_at }));
                }
            }
        }
    }
}

/// Keeps the token of a call that leaves.
fn spend(token: Option<impl Held>) {
    if let Some(token) = token {
        token.settle(Tokens::ONE, drop);
    }
}

impl<E: KeyExtractor, L: Turns<E::Key>> fmt::Debug for KeyedWait<E, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Deciding(_) => "being decided",
            Stage::InQueue(_) => "in the queue",
            Stage::AtGate { .. } => "at the gate",
            Stage::Over => "over",
        };
        f.debug_struct("KeyedWait").field("stage", &stage).finish_non_exhaustive()
    }
}

//! [`Calls`] and [`Numbers`]: the calls that the middleware makes to a limiter.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use brimful::{Quota, Tokens};

use crate::headers::Decided;

/// The calls that servers and clients make.
pub trait Calls<K>: Send + Sync + 'static {
    /// The decision on a request, which can be put into its extensions.
    type Decision: Clone + Send + Sync + 'static;

    /// A decision, and the permit that it has taken. It is not moved on the way of most requests, because moves of it take
    /// longer than the rest of the decision.
    type Outcome;

    /// A decision that is on its way from a server; [`Never`] of a limiter in this process.
    type Deciding: Future<Output = Self::Outcome> + Unpin + Send;

    /// The tokens or the permit that an admitted request can hold until its response ends.
    type Held: Held;

    /// A wait for the tokens of a request.
    type Wait: Future<Output = Result<Self::Granted, Self::Error>> + Unpin + Send + 'static;

    /// The end of a wait.
    type Granted;

    /// The reason for which a wait ended in vain.
    type Error: Vain;

    /// Takes the tokens of a request if they are there. A limiter whose [`has`](Numbers::has) cannot look takes nothing if
    /// the request `pays_later`.
    fn decide(self: &Arc<Self>, key: &K, cost: Tokens, pays_later: bool) -> Begun<Self::Outcome, Self::Deciding>;

    fn allowed(outcome: &Self::Outcome) -> bool;

    fn decision(outcome: Self::Outcome) -> Self::Decision;

    /// Returns the permit that a request has taken, or else its tokens if it `settles` them later.
    fn held(self: &Arc<Self>, key: &K, taken: Tokens, outcome: &mut Self::Outcome, settles: bool)
    -> Option<Self::Held>;

    /// Waits for the tokens of a request that was refused.
    fn wait(self: &Arc<Self>, key: &K, cost: Tokens, longest: Longest, refused: Option<&Self::Decision>) -> Self::Wait;

    /// Returns the permit or the tokens that a wait has ended in.
    fn granted(self: &Arc<Self>, key: &K, cost: Tokens, granted: Self::Granted) -> Option<Self::Held>;
}

/// The calls that servers make besides, for their answers.
pub trait Numbers<K>: Calls<K> {
    /// Whether a wait takes its tokens in turn although it is not polled, and need not settle them by a response. The shadow
    /// mode can then keep the place of a request that would wait.
    const KEEPS_PLACES: bool;

    /// Returns whether the tokens of a request are there, and takes nothing. `false` if a look takes time.
    fn has(&self, key: &K, cost: Tokens) -> bool;

    /// Returns the numbers of a decision; `None` if it has none.
    fn decided(decision: &Self::Decision) -> Option<Decided<'_>>;

    /// Returns a decision that shows the state of a key, and takes nothing; `None` if a look takes time.
    fn look(self: &Arc<Self>, key: &K) -> Option<Self::Decision>;

    /// Returns the decision that a wait has ended in, if it knows one.
    fn of_wait(granted: &Self::Granted) -> Option<Self::Decision> {
        let _ = granted;
        None
    }

    /// Returns whether the policy for failures made a decision.
    fn is_degraded(decision: &Self::Decision) -> bool {
        let _ = decision;
        false
    }

    /// Returns the current quota of the policy with this name.
    fn quota(&self, key: &K, policy: &str) -> Option<Quota>;

    /// Returns the name of the key's policy, if it is not that of the layer.
    fn policy(&self, key: &K) -> Option<&str> {
        let _ = key;
        None
    }
}

/// A decision, or a turn, that is there or takes time.
pub enum Begun<T, L> {
    /// It is there.
    Now(T),
    /// It takes time.
    Later(L),
}

/// A decision that is on its way, of a limiter that has none of these.
pub struct Never<T>(Infallible, PhantomData<fn() -> T>);

impl<T> Future for Never<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        match self.0 {}
    }
}

/// The longest time for a wait.
#[derive(Clone, Copy, Debug)]
pub enum Longest {
    /// From the first poll.
    Within(Duration),
    /// A deadline of the limiter's clock.
    Until(u64),
}

/// Sets the longest time of a wait of `brimful`.
macro_rules! set_longest {
    ($wait:expr, $longest:expr) => {
        match $longest {
            $crate::limits::Longest::Within(time) => $wait.within(time),
            $crate::limits::Longest::Until(deadline) => $wait.until(deadline),
        }
    };
}

pub(crate) use set_longest;

/// The tokens or the permit that a request holds until its response ends. If it is dropped, all that was taken is given
/// back.
pub trait Held: Send + Sync + 'static {
    /// Whether every request holds it until the end of its response, as a permit; if not, until the cost is settled.
    const LASTS: bool;

    /// Ends the holding: the request has cost this. Calls the function with the tokens that the limit of debt leaves
    /// uncharged, as soon as they are known.
    fn settle(self, cost: Tokens, uncharged: impl FnOnce(Tokens) + Send + 'static);
}

/// The error of a wait.
pub trait Vain: Error + Send + Sync + 'static {
    /// Returns whether a quota is the reason: the tokens would not have been there in time, or never are.
    fn is_of_quota(&self) -> bool;
    fn retry_after(&self) -> Option<Duration>;
    /// Returns whether the limiter was closed, so that all waits end in vain from now on.
    fn is_closed(&self) -> bool;
}

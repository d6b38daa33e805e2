//! [`Calls`]: the calls that the middleware makes to a limiter.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use brimful::{Quota, Tokens};

use crate::headers::Decided;

/// The calls that the middleware makes.
pub trait Calls<K>: Send + Sync + 'static {
    /// The decision on a request, which can be put into its extensions.
    type Decision: Clone + Send + Sync + 'static;

    /// A decision, and the permit that it has taken. It is not moved on the way of most requests, because moves of it take
    /// longer than the rest of the decision.
    type Outcome;

    /// The tokens or the permit that an admitted request can hold until its response ends.
    type Held: Held;

    /// A wait for the tokens of a request.
    type Wait: Future<Output = Result<Self::Granted, Self::Error>> + Unpin + Send + 'static;

    /// The end of a wait.
    type Granted;

    /// The reason for which a wait ended in vain.
    type Error: Vain;

    /// Takes the tokens of a request if they are there.
    fn decide(self: &Arc<Self>, key: &K, cost: Tokens) -> Self::Outcome;

    /// Returns whether the tokens of a request are there, and takes nothing.
    fn has(&self, key: &K, cost: Tokens) -> bool;

    fn allowed(outcome: &Self::Outcome) -> bool;

    /// Takes the permit from an outcome.
    fn permit(outcome: &mut Self::Outcome) -> Option<Self::Held>;

    fn decision(outcome: Self::Outcome) -> Self::Decision;

    /// Returns the numbers of a decision; `None` if it has none.
    fn decided(decision: &Self::Decision) -> Option<Decided<'_>>;

    /// Waits for the tokens of a request, but not longer than `longest`.
    fn wait(self: &Arc<Self>, key: &K, cost: Tokens, longest: Duration) -> Self::Wait;

    /// Returns the permit that a wait has ended in.
    fn granted(granted: Self::Granted) -> Option<Self::Held>;

    /// Returns the tokens that a request has taken, so that they can be settled later; `None` for permits.
    fn hold(self: &Arc<Self>, key: &K, taken: Tokens) -> Option<Self::Held>;

    /// Returns the current quota of the policy with this name.
    fn quota(&self, key: &K, policy: &str) -> Option<Quota>;

    /// Returns the name of the key's policy, if it is not that of the layer.
    fn policy(&self, key: &K) -> Option<&str> {
        let _ = key;
        None
    }
}

/// The tokens or the permit that a request holds until its response ends. If it is dropped, all that was taken is given
/// back.
pub trait Held: Send + Sync + 'static {
    /// Whether every request holds it until the end of its response, as a permit; if not, until the cost is settled.
    const LASTS: bool;

    /// Ends the holding: the request has cost this. Returns the tokens that the limit of debt leaves uncharged.
    fn settle(self, cost: Tokens) -> Tokens;
}

/// The error of a wait.
pub trait Vain: Error + Send + Sync + 'static {
    /// Returns whether a quota is the reason: the tokens would not have been there in time, or never are.
    fn is_of_quota(&self) -> bool;
    fn retry_after(&self) -> Option<Duration>;
    /// Returns whether the limiter was closed, so that all waits end in vain from now on.
    fn is_closed(&self) -> bool;
}

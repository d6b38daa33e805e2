//! [`Limits`]: the source of the turns of calls.

use std::future::Future;
use std::sync::Arc;

use http::{Request, Response};

use super::answer::{Answer, Pauses};
use super::error::ThrottleError;
use crate::limits::Begun;

/// The source of the turns of calls: [`Keyed`](crate::client::Keyed) or [`Models`](crate::client::Models).
///
/// It is implemented for these only.
pub trait Limits<B>: Send + Sync + 'static {
    /// The turn of a call, which the call keeps until its answer.
    type Turn;

    /// A wait for a turn.
    type Wait: Future<Output = Result<Self::Turn, ThrottleError>> + Unpin;

    /// Returns the time of the clock, in nanoseconds.
    fn now(&self) -> u64;

    /// Takes a turn if a call can leave now, or else begins a wait that lasts at most until a deadline of the clock.
    ///
    /// # Errors
    ///
    /// If the call can never leave.
    fn begin(
        self: &Arc<Self>,
        request: &Request<B>,
        deadline: u64,
    ) -> Result<Begun<Self::Turn, Self::Wait>, ThrottleError>;

    /// Ends the turn of a call with the answer of the server.
    fn answered<R>(&self, turn: Self::Turn, answer: &Answer, pauses: &Pauses, response: &mut Response<R>);
}

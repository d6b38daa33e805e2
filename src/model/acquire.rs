//! [`ModelAcquire`]: the future of a wait for a call to a model.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::clock::{Clock, QuantaClock};
use crate::queue::Deadline;
use crate::word::Reading;

use super::error::ModelError;
use super::permit::Permit;
use super::state::Model;
use super::usage::Usage;
use super::wait::ModelWait;

/// A wait for a call to a model: a future; or, by [`wait`](ModelAcquire::wait), a call that blocks the thread. It ends
/// in a [`Permit`].
///
/// It begins, and takes its place in the queue, when it is polled for the first time. The waiters of a model are served
/// in order of arrival, over all dimensions at once: a waiter is charged when every dimension has the tokens of its
/// estimate and a slot is free, and nothing is charged before. It owns its share of the model, and may go to another
/// task.
///
/// # Cancel safety
///
/// A dropped future gives up its place, and all that it was granted without having completed: nothing is lost, and
/// later waiters move up.
#[must_use = "nothing is acquired until it is awaited, or `wait` is called"]
pub struct ModelAcquire<C: Clock + Send + Sync + 'static = QuantaClock>(Result<ModelWait<C>, ModelError>);

impl<C: Clock + Send + Sync + 'static> ModelAcquire<C> {
    pub(super) fn new(model: Result<Arc<Model<C>>, ModelError>, estimate: Usage) -> Self {
        ModelAcquire(model.map(|model| ModelWait::new(model, estimate)))
    }

    /// Fails if the call cannot be granted within `timeout` of the first poll. If a dimension cannot have the tokens by
    /// then, this is usually known, and the wait fails, at the first poll; if only a slot is missing, it fails at the
    /// deadline.
    pub fn within(self, timeout: Duration) -> Self {
        self.with(|wait| wait.deadline = Deadline::Within(timeout))
    }

    /// As [`within`](ModelAcquire::within), with a deadline in nanoseconds since the origin of the limiter's clock.
    /// After the deadline, a wait fails at once.
    pub fn until(self, deadline_ns: u64) -> Self {
        self.with(|wait| wait.deadline = Deadline::Until(Reading::from_nanos(deadline_ns)))
    }

    /// Delays the completion of a wait by a random time up to `max`, so that waiters that are granted together do not
    /// resume together. In microseconds, up to 71 minutes; never beyond the deadline.
    pub fn jitter(self, max: Duration) -> Self {
        self.with(|wait| wait.jitter = max)
    }

    fn with(mut self, set: impl FnOnce(&mut ModelWait<C>)) -> Self {
        if let Ok(wait) = &mut self.0 {
            set(wait);
        }
        self
    }

    /// Waits by blocking the thread.
    ///
    /// # Errors
    ///
    /// As the future.
    pub fn wait(self) -> Result<Permit<C>, ModelError> {
        self.0?.block()
    }
}

impl<C: Clock + Send + Sync + 'static> Future for ModelAcquire<C> {
    type Output = Result<Permit<C>, ModelError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Ok(wait) => wait.poll(context.waker()),
            Err(error) => Poll::Ready(Err(*error)),
        }
    }
}

impl<C: Clock + Send + Sync + 'static> fmt::Debug for ModelAcquire<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelAcquire").finish_non_exhaustive()
    }
}

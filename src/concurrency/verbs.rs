//! The verbs of a [`ConcurrencyLimit`].

use std::sync::Arc;

use crate::clock::Clock;
use crate::error::{AcquirePermitError, TryAcquirePermitError};
use crate::permits::PermitSource;

use super::acquire::{AcquirePermit, OwnedAcquirePermit};
use super::permit::{OwnedPermit, Permit};
use super::state::ConcurrencyLimit;
use super::target::{BorrowedTarget, OwnedTarget, PermitHandle};

impl<C> ConcurrencyLimit<C> {
    #[inline]
    pub(crate) fn target(&self) -> BorrowedTarget<'_, C> {
        BorrowedTarget { source: PermitSource::Lone(self.permits()), clock: self.clock(), recording: self.recording() }
    }

    /// Takes a permit if one is free and no caller waits.
    ///
    /// # Errors
    ///
    /// [`TryAcquirePermitError::NoPermit`] if as many permits are in flight as the limit permits, or if callers
    /// wait. [`TryAcquirePermitError::LimiterClosed`] if the limit is closed.
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_>, TryAcquirePermitError> {
        self.target().try_acquire()
    }

    /// As [`try_acquire`](ConcurrencyLimit::try_acquire), with a permit that keeps the limit alive, and so may go
    /// to another thread or task.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](ConcurrencyLimit::try_acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::ConcurrencyLimit;
    /// use std::sync::Arc;
    ///
    /// let limit = Arc::new(ConcurrencyLimit::new(8));
    /// let permit = limit.try_acquire_owned()?;
    /// let worker = std::thread::spawn(move || {
    ///     let _permit = permit; // given back when the work ends, or panics
    /// });
    /// worker.join().unwrap();
    /// assert_eq!(limit.in_flight(), 0);
    /// # Ok::<(), brimful::TryAcquirePermitError>(())
    /// ```
    #[inline]
    pub fn try_acquire_owned(self: &Arc<Self>) -> Result<OwnedPermit<C>, TryAcquirePermitError> {
        self.target().take().map(|()| OwnedPermit::new(OwnedTarget::Lone(self.clone())))
    }
}

/// Verbs that wait until a permit is free. Tasks on any runtime and threads share one FIFO queue.
///
/// The clock is cloned for the timer of the deadlines, which may outlive the call that made it. A clock that is not
/// `Clone` can be given in an `Arc`.
impl<C: Clock + Clone + Send + Sync + 'static> ConcurrencyLimit<C> {
    /// Waits for a permit. The returned future has options: `limit.acquire().within(timeout).await`. A thread
    /// waits by `.wait()`.
    ///
    /// # Errors
    ///
    /// [`AcquirePermitError::TimedOut`] if [`within`](AcquirePermit::within) or [`until`](AcquirePermit::until)
    /// set a deadline and it has passed, [`AcquirePermitError::QueueFull`] if there are already as many waiters as
    /// permitted, and [`AcquirePermitError::LimiterClosed`] if the limit is closed, also if a permit is free.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: see [`AcquirePermit`].
    #[inline]
    pub fn acquire(&self) -> AcquirePermit<'_, C> {
        AcquirePermit::new(self.target())
    }

    /// As [`acquire`](ConcurrencyLimit::acquire), by a future that keeps the limit alive. So does the permit, and
    /// both may go to another task.
    ///
    /// # Errors
    ///
    /// As [`acquire`](ConcurrencyLimit::acquire).
    #[inline]
    pub fn acquire_owned(self: &Arc<Self>) -> OwnedAcquirePermit<C> {
        OwnedAcquirePermit::new(OwnedTarget::Lone(self.clone()))
    }

    /// Blocks the thread until a permit is free, and takes it.
    ///
    /// # Errors
    ///
    /// As [`acquire`](ConcurrencyLimit::acquire).
    #[inline]
    pub fn acquire_blocking(&self) -> Result<Permit<'_>, AcquirePermitError> {
        self.acquire().wait()
    }
}

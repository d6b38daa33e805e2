//! The verbs of a limiter that wait.

use std::sync::Arc;
use std::time::Duration;

use super::{Acquire, Granted, OwnedAcquire, RateLimiter};
use crate::clock::Clock;
use crate::error::AcquireError;
use crate::tokens::Tokens;

/// The verbs that wait until the tokens are there, first come, first served. A call that costs 50
/// waits for 50, and is not overtaken by calls for one; while somebody waits, calls that do not wait
/// are refused, unless they are to leave less. Tasks on any runtime and threads share one queue.
///
/// The clock is cloned for the queue, which outlives the call that made it: one that is not `Clone`
/// can be given in an `Arc`.
///
/// # Priorities
///
/// [`leaving`](Acquire::leaving) and [`RateLimiter::leaving`] are for calls that may only take what
/// leaves some tokens for others. Who is to leave less is served first.
///
/// # Lateness
///
/// A waiter is granted its tokens by the queue's timer: with the default one within 0.1 ms of the
/// instant at which they are there, as a rule; where many are due within a millisecond, they are
/// served by one look, up to a millisecond late. Never early. What comes in meanwhile is kept, up to
/// the burst: a burst of 2 ms' worth or more keeps the full rate.
impl<C: Clock + Clone + Send + Sync + 'static> RateLimiter<C> {
    /// Waits for one token.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](RateLimiter::acquire_n).
    #[inline]
    pub fn acquire(&self) -> Acquire<'_, C> {
        self.acquire_n(Tokens::ONE)
    }

    /// Waits for `n` tokens. A cost of zero does not wait, and charges nothing.
    ///
    /// # Errors
    ///
    /// [`AcquireError::ExceedsBurst`] at once where they could never be there,
    /// [`AcquireError::QueueFull`] where as many wait as may, and [`AcquireError::TooLate`] where
    /// [`within`](Acquire::within) or [`until`](Acquire::until) say so. Nothing is charged then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: see [`Acquire`].
    #[inline]
    pub fn acquire_n(&self, n: impl Into<Tokens>) -> Acquire<'_, C> {
        Acquire::new(self, n.into())
    }

    /// [`acquire_n`](RateLimiter::acquire_n) by a future that keeps the limiter alive, and so may go
    /// to another task.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](RateLimiter::acquire_n).
    #[inline]
    pub fn acquire_n_owned(self: &Arc<Self>, n: impl Into<Tokens>) -> OwnedAcquire<C> {
        OwnedAcquire::new(self.clone(), n.into())
    }

    /// Waits for one token, if it will be there within `timeout`; refused at once if not.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](RateLimiter::acquire_n).
    pub fn try_acquire_for(&self, timeout: Duration) -> Acquire<'_, C> {
        self.try_acquire_n_for(Tokens::ONE, timeout)
    }

    /// Waits for `n` tokens, if they will be there within `timeout`; refused at once if not.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](RateLimiter::acquire_n).
    pub fn try_acquire_n_for(&self, n: impl Into<Tokens>, timeout: Duration) -> Acquire<'_, C> {
        self.acquire_n(n).within(timeout)
    }

    /// Waits for one token, if it will be there by an instant, in nanoseconds since the origin of the
    /// limiter's clock; refused at once if not.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](RateLimiter::acquire_n).
    pub fn try_acquire_until(&self, deadline_ns: u64) -> Acquire<'_, C> {
        self.try_acquire_n_until(Tokens::ONE, deadline_ns)
    }

    /// Waits for `n` tokens, if they will be there by an instant, in nanoseconds since the origin of
    /// the limiter's clock; refused at once if not.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](RateLimiter::acquire_n).
    pub fn try_acquire_n_until(&self, n: impl Into<Tokens>, deadline_ns: u64) -> Acquire<'_, C> {
        self.acquire_n(n).until(deadline_ns)
    }

    /// [`acquire`](RateLimiter::acquire) by blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](RateLimiter::acquire_n).
    #[inline]
    pub fn acquire_blocking(&self) -> Result<Granted, AcquireError> {
        self.acquire().wait()
    }

    /// [`acquire_n`](RateLimiter::acquire_n) by blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](RateLimiter::acquire_n).
    #[inline]
    pub fn acquire_n_blocking(&self, n: impl Into<Tokens>) -> Result<Granted, AcquireError> {
        self.acquire_n(n).wait()
    }

    /// [`try_acquire_for`](RateLimiter::try_acquire_for) by blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](RateLimiter::acquire_n).
    pub fn try_acquire_for_blocking(&self, timeout: Duration) -> Result<Granted, AcquireError> {
        self.try_acquire_for(timeout).wait()
    }

    /// [`try_acquire_n_for`](RateLimiter::try_acquire_n_for) by blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](RateLimiter::acquire_n).
    pub fn try_acquire_n_for_blocking(&self, n: impl Into<Tokens>, timeout: Duration) -> Result<Granted, AcquireError> {
        self.try_acquire_n_for(n, timeout).wait()
    }

    /// [`try_acquire_until`](RateLimiter::try_acquire_until) by blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](RateLimiter::acquire_n).
    pub fn try_acquire_until_blocking(&self, deadline_ns: u64) -> Result<Granted, AcquireError> {
        self.try_acquire_until(deadline_ns).wait()
    }

    /// [`try_acquire_n_until`](RateLimiter::try_acquire_n_until) by blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](RateLimiter::acquire_n).
    pub fn try_acquire_n_until_blocking(
        &self,
        n: impl Into<Tokens>,
        deadline_ns: u64,
    ) -> Result<Granted, AcquireError> {
        self.try_acquire_n_until(n, deadline_ns).wait()
    }
}

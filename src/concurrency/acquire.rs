//! The futures of waits for permits: [`AcquirePermit`] and [`OwnedAcquirePermit`].

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::clock::{Clock, QuantaClock};
use crate::error::AcquirePermitError;
use crate::queue::Deadline;
use crate::word::Reading;

use super::permit::{OwnedPermit, Permit};
use super::target::{BorrowedTarget, OwnedTarget};
use super::wait::Wait;

/// The options of a wait, its future, and its blocking form. `$permit` makes the permit that the wait owns.
macro_rules! wait {
    ($name:ident, [$($generics:tt)*], $handle:ty, $output:ty, $permit:expr) => {
        impl<$($generics)*> $name<$($generics)*>
        where
            C: Clock + Clone + Send + Sync + 'static,
        {
            #[inline]
            pub(crate) fn new(handle: $handle) -> Self {
                $name(Wait::new(handle))
            }

            /// Fails with [`AcquirePermitError::TimedOut`] if no permit was granted within `timeout` of the
            /// first poll. A timeout of zero does not wait. The clock is read only if no permit is
            /// free at that poll.
            pub fn within(mut self, timeout: Duration) -> Self {
                self.0.deadline = Deadline::Within(timeout);
                self
            }

            /// As `within`, with a deadline in nanoseconds since the origin of the limit's clock. After the
            /// deadline, a wait fails at once, also if a permit is free.
            pub fn until(mut self, deadline_ns: u64) -> Self {
                self.0.deadline = Deadline::Until(Reading::from_nanos(deadline_ns));
                self
            }

            /// Waits by blocking the thread. A future that has completed waits anew.
            ///
            /// # Errors
            ///
            /// As the future.
            #[inline]
            pub fn wait(mut self) -> Result<$output, AcquirePermitError> {
                self.0.block().map(|()| $permit(&self.0.handle))
            }
        }

        impl<$($generics)*> Future for $name<$($generics)*>
        where
            C: Clock + Clone + Send + Sync + 'static,
        {
            type Output = Result<$output, AcquirePermitError>;

            #[inline]
            fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
                let wait = &mut self.0;
                wait.poll(context.waker()).map(|outcome| outcome.map(|()| $permit(&wait.handle)))
            }
        }

        impl<$($generics)*> fmt::Debug for $name<$($generics)*>
        where
            C: Clock + Clone + Send + Sync + 'static,
        {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("deadline", &self.0.deadline).finish_non_exhaustive()
            }
        }
    };
}

/// A wait for a permit, made by [`acquire`](crate::ConcurrencyLimit::acquire): a future; or, by
/// [`wait`](AcquirePermit::wait), a call that blocks the thread.
///
/// It begins, and takes its place in the queue, when it is polled for the first time. The options have no effect
/// after that.
///
/// # Cancel safety
///
/// A dropped future gives up its place, and any permit that it was granted without having completed: that permit
/// goes to the next waiter at once. A future that is leaked (by [`mem::forget`](std::mem::forget)) is granted a
/// permit in its turn, which then stays in flight.
///
/// # Yielding
///
/// A wait that finds a free permit completes at its first poll, and does not yield to the executor. See
/// [`Acquire`](crate::Acquire#yielding).
///
/// # Errors
///
/// [`AcquirePermitError`], as described at [`acquire`](crate::ConcurrencyLimit::acquire).
///
/// # Examples
///
/// ```
/// use brimful::{AcquirePermitError, ConcurrencyLimit};
/// use std::time::Duration;
///
/// let limit = ConcurrencyLimit::new(1);
///
/// # async_io::block_on(async {
/// let permit = limit.acquire().within(Duration::from_secs(1)).await?;
/// let late = limit.acquire().within(Duration::from_millis(1)).await.unwrap_err();
/// assert!(matches!(late, AcquirePermitError::TimedOut(_)));
/// drop(permit);
/// # Ok::<(), AcquirePermitError>(())
/// # }).unwrap();
/// ```
#[must_use = "nothing is acquired until it is awaited, or `wait` is called"]
pub struct AcquirePermit<'a, C: Clock + Clone + Send + Sync + 'static = QuantaClock>(Wait<BorrowedTarget<'a, C>>);

wait!(AcquirePermit, ['a, C], BorrowedTarget<'a, C>, Permit<'a>, |target: &BorrowedTarget<'a, C>| {
    Permit::new(target.source)
});

/// An [`AcquirePermit`] that keeps its limit alive, and so may go to another task. It ends in an
/// [`OwnedPermit`]. Made by [`acquire_owned`](crate::ConcurrencyLimit::acquire_owned).
#[must_use = "nothing is acquired until it is awaited, or `wait` is called"]
pub struct OwnedAcquirePermit<C: Clock + Clone + Send + Sync + 'static = QuantaClock>(Wait<OwnedTarget<C>>);

wait!(OwnedAcquirePermit, [C], OwnedTarget<C>, OwnedPermit<C>, |target: &OwnedTarget<C>| {
    OwnedPermit::new(target.clone())
});

//! The futures of waits: [`Acquire`], [`OwnedAcquire`], and [`Reserve`].

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::future::{Answer, Granted, Wait};
use crate::clock::{Clock, QuantaClock};
use crate::error::AcquireError;
use crate::limiter::reservation::Reservation;
use crate::limiter::target::{OwnedTarget, Target};
use crate::queue::Deadline;
use crate::tokens::Tokens;
use crate::word::Reading;

/// The options of a wait, its future, and its blocking form. `$wait` is the state machine, and `$convert` makes
/// the output of its answer.
macro_rules! wait {
    ($name:ident, [$($generics:tt)*], $wait:ty, ($handle:ty, $leaving:ty), Result<$output:ty, $error:ty>, $convert:expr) => {
        impl<$($generics)*> $name<$($generics)*>
        where
            C: Clock + Clone + Send + Sync + 'static,
        {
            #[inline]
            pub(crate) fn new(handle: $handle, n: Tokens, leaving: $leaving) -> Self {
                $name(<$wait>::new(handle, n, leaving))
            }

            /// Fails with [`AcquireError::TooLate`](crate::AcquireError::TooLate) if the tokens cannot be granted within `timeout` of
            /// the first poll. This is usually decided at the first poll. If a later settlement takes the
            /// bucket into debt, the wait fails then; if waiters that leave less delay it, it fails at the
            /// deadline.
            pub fn within(mut self, timeout: Duration) -> Self {
                self.0.deadline = Deadline::Within(timeout);
                self
            }

            /// As `within`, with a deadline in nanoseconds since the origin of the limiter's clock. After
            /// the deadline, a wait fails at once unless it costs nothing. Tokens that were there by the
            /// deadline are granted even if the timer is late; [`granted_at`](crate::Granted::granted_at) may
            /// then be after the deadline.
            pub fn until(mut self, deadline_ns: u64) -> Self {
                self.0.deadline = Deadline::Until(Reading::from_nanos(deadline_ns));
                self
            }

            /// Waits for tokens that leave `n` in the bucket. See [`Bucket`](crate::Bucket).
            pub fn leaving(mut self, n: impl Into<Tokens>) -> Self {
                let n: Tokens = n.into();
                self.0.leaving = n.into();
                self
            }

            /// Delays the completion of a wait by a random time up to `max`, so that waiters that are
            /// granted together do not resume together. In microseconds, up to 71 minutes; never beyond
            /// the deadline. The tokens are granted as without it, so the use that callers make of them in a
            /// window is bounded by `burst + rate × (window + max)`. Until it completes, the wait takes a
            /// place in the queue, and counts towards the most waiters that the builder permits.
            pub fn jitter(mut self, max: Duration) -> Self {
                self.0.jitter = max;
                self
            }

            /// Waits by blocking the thread. A future that has completed waits anew. If the clock stands
            /// still, as a mock clock does, another thread has to move it.
            ///
            /// # Errors
            ///
            /// As the future.
            #[inline]
            pub fn wait(mut self) -> Result<$output, $error> {
                let answer = self.0.block();
                $convert(&self.0, answer)
            }
        }

        impl<$($generics)*> Future for $name<$($generics)*>
        where
            C: Clock + Clone + Send + Sync + 'static,
        {
            type Output = Result<$output, $error>;

            #[inline]
            fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
                let wait = &mut self.0;
                wait.poll(context.waker()).map(|answer| $convert(wait, answer))
            }
        }

        impl<$($generics)*> fmt::Debug for $name<$($generics)*>
        where
            C: Clock + Clone + Send + Sync + 'static,
        {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("tokens", &self.0.n).finish_non_exhaustive()
            }
        }
    };
}

pub(crate) use wait;

/// A wait for tokens, made by `acquire` and `acquire_n`: a future; or, by [`wait`](Acquire::wait), a
/// call that blocks the thread.
///
/// It begins, and takes its place in the queue, when it is polled for the first time. The options
/// have no effect after that.
///
/// # Cancel safety
///
/// A dropped future gives up its place, and any tokens that it was granted without having completed:
/// nothing is lost, and later waiters move up. Dropping a completed future changes nothing. A future
/// that is leaked (by [`mem::forget`](std::mem::forget)) is granted its tokens in its turn, and its
/// entry stays in the queue.
///
/// # Yielding
///
/// A wait whose tokens are there completes at its first poll. A loop of such waits never yields to the
/// executor. In tokio, `cooperative` charges each wait to the task's budget, as tokio charges its own
/// futures, and the task yields when the budget is spent:
///
/// ```
/// use brimful::{Quota, RateLimiter};
/// use tokio::task::coop::cooperative;
///
/// static API: RateLimiter = RateLimiter::new(Quota::per_hour(1_000));
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let other = tokio::spawn(async { /* runs on the same thread */ });
/// # for _ in 0..500 {
/// #     API.acquire().await?;
/// # }
/// # assert!(!other.is_finished(), "without `cooperative`, the loop does not yield");
/// for _ in 0..500 {
///     cooperative(API.acquire()).await?;
/// }
/// assert!(other.is_finished());
/// # Ok::<(), brimful::AcquireError>(())
/// # }).unwrap();
/// ```
///
/// In a loop that does more than wait, `tokio::task::coop::consume_budget().await` has the same effect.
///
/// # Errors
///
/// [`AcquireError`], as described at [`RateLimiter::acquire_n`](crate::RateLimiter::acquire_n).
///
/// # Examples
///
/// ```
/// use brimful::{Quota, RateLimiter};
/// use std::time::Duration;
///
/// static API: RateLimiter = RateLimiter::new(Quota::per_second(1000).burst(2));
///
/// # async_io::block_on(async {
/// API.acquire().await?;
/// let granted = API.acquire_n(2).within(Duration::from_secs(60)).await?;
/// println!("waited {:?}", granted.waited());
/// # Ok::<(), brimful::AcquireError>(())
/// # }).unwrap();
/// ```
#[must_use = "nothing is acquired until it is awaited, or `wait` is called"]
pub struct Acquire<'a, C: Clock + Clone + Send + Sync + 'static = QuantaClock>(Wait<Target<'a, C>>);

wait!(
    Acquire,
    ['a, C],
    Wait<Target<'a, C>>,
    (Target<'a, C>, Tokens),
    Result<Granted, AcquireError>,
    |_: &Wait<Target<'a, C>>, answer: Answer| answer
);

/// An [`Acquire`] that keeps its limiter alive, and so may go to another task. Made by
/// `acquire_n_owned`.
#[must_use = "nothing is acquired until it is awaited, or `wait` is called"]
pub struct OwnedAcquire<C: Clock + Clone + Send + Sync + 'static = QuantaClock>(Wait<OwnedTarget<C>>);

wait!(
    OwnedAcquire,
    [C],
    Wait<OwnedTarget<C>>,
    (OwnedTarget<C>, Tokens),
    Result<Granted, AcquireError>,
    |_: &Wait<OwnedTarget<C>>, answer: Answer| answer
);

/// A wait for tokens whose use is known later, made by `reserve_n`: an [`Acquire`] that ends in a
/// [`Reservation`].
///
/// # Examples
///
/// ```
/// use brimful::{Quota, RateLimiter};
///
/// static TOKENS: RateLimiter = RateLimiter::new(Quota::per_minute(90_000));
///
/// # async_io::block_on(async {
/// let reservation = TOKENS.reserve_n(1_200).await?; // the estimate
/// let used = 950; // what the call turned out to cost
/// reservation.commit(used);
/// # Ok::<(), brimful::AcquireError>(())
/// # }).unwrap();
/// ```
#[must_use = "nothing is acquired until it is awaited, or `wait` is called"]
pub struct Reserve<'a, C: Clock + Clone + Send + Sync + 'static = QuantaClock>(Wait<Target<'a, C>>);

wait!(
    Reserve,
    ['a, C],
    Wait<Target<'a, C>>,
    (Target<'a, C>, Tokens),
    Result<Reservation<'a, C>, AcquireError>,
    |wait: &Wait<Target<'a, C>>, answer: Answer| answer.map(|_| Reservation::new(wait.handle, wait.n, None))
);

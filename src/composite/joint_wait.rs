//! [`AcquireAll`]: a wait on limits that others use as well.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use super::all_of::{AllOf, Held};
use super::error::{AcquireCause, CompositeAcquireError, LimitCause};
use crate::clock::{Clock, QuantaClock};
use crate::concurrency::{AcquirePermit, Permit};
use crate::error::LimitName;
use crate::limiter::{Granted, UncountedAcquire};
use crate::queue::{Deadline, Parker};
use crate::word::Reading;

/// A wait for all limits of an [`AllOf`]: a future; or, by [`wait`](AcquireAll::wait), a call that blocks the
/// thread.
///
/// The limits are not this call's own, so it waits on one limit at a time: the one that refused it. When that
/// limit has served the call, all others are tried at once. If one of them refuses, what was taken is given back,
/// and the call waits there. So it never holds tokens or permits while it waits for others: there is no deadlock.
///
/// # Fairness
///
/// On each limit, calls are served in order of arrival. Over all limits they are not: a call that has to give
/// back has lost its place, and may be overtaken, any number of times, by calls that need fewer limits. To serve
/// calls in order, let one limiter own the limits: see [`CompositeLimiter`](crate::CompositeLimiter).
///
/// # Cancel safety
///
/// A dropped future gives up its place, and loses nothing.
#[must_use = "nothing is acquired until it is awaited, or `wait` is called"]
pub struct AcquireAll<'a, const N: usize, const M: usize, C: Clock + Clone + Send + Sync + 'static = QuantaClock> {
    all: AllOf<'a, N, M, C>,
    deadline: Deadline,
    stage: Stage<'a, C>,
}

/// The most times that one poll turns to another limit.
const ROUNDS: usize = 32;

enum Stage<'a, C: Clock + Clone + Send + Sync + 'static> {
    /// Not yet polled.
    New,
    /// Nothing is taken, and nothing is waited for.
    Free,
    /// Waits for the tokens of a charge.
    Tokens(usize, UncountedAcquire<'a, C>),
    /// Waits for a permit.
    Permit(usize, AcquirePermit<'a, C>),
    Over,
}

/// The tokens or the permit that a call has waited for.
enum Waited<'a> {
    Nothing,
    Tokens(usize, Granted),
    Permit(usize, Permit<'a>),
}

type Answer<'a, const M: usize> = Result<Held<'a, M>, CompositeAcquireError>;

impl<'a, const N: usize, const M: usize, C: Clock + Clone + Send + Sync + 'static> AllOf<'a, N, M, C> {
    /// Waits until every charge and all permits can be taken at once.
    ///
    /// # Errors
    ///
    /// [`CompositeAcquireError`], which names the limit that cannot be met. [`AcquireCause::JoinedTwice`] if a
    /// concurrency limit is joined twice.
    pub fn acquire(self) -> AcquireAll<'a, N, M, C> {
        AcquireAll::new(self)
    }
}

impl<'a, const N: usize, const M: usize, C: Clock + Clone + Send + Sync + 'static> AcquireAll<'a, N, M, C> {
    fn new(all: AllOf<'a, N, M, C>) -> Self {
        AcquireAll { all, deadline: Deadline::None, stage: Stage::New }
    }

    /// Fails if the call cannot be served within `timeout` of the first poll, by the clock of the first limit. A limit
    /// that grants in time, to a call that is polled after its deadline, gets its tokens back if the call takes from
    /// others as well.
    pub fn within(mut self, timeout: Duration) -> Self {
        self.deadline = Deadline::Within(timeout);
        self
    }

    /// As `within`, with a deadline in nanoseconds since the origin of the limits' clock. After the deadline, a call
    /// fails at once unless it costs nothing.
    pub fn until(mut self, deadline_ns: u64) -> Self {
        self.deadline = Deadline::Until(Reading::from_nanos(deadline_ns));
        self
    }

    /// Waits by blocking the thread.
    ///
    /// # Errors
    ///
    /// As the future.
    pub fn wait(mut self) -> Result<Held<'a, M>, CompositeAcquireError> {
        let parker = Parker::new();
        loop {
            if let Poll::Ready(answer) = self.advance(parker.waker()) {
                return answer;
            }
            parker.sleep(Duration::MAX);
        }
    }

    fn error(&self, nth: usize, cause: AcquireCause) -> CompositeAcquireError {
        CompositeAcquireError::new(Some((nth, LimitName::new(self.all.name_of(nth)))), cause)
    }

    /// Ends the wait without what it waited for.
    fn end(&mut self, error: CompositeAcquireError) -> Poll<Answer<'a, M>> {
        self.stage = Stage::Over;
        self.all.count_ended(&error);
        Poll::Ready(Err(error))
    }

    fn advance(&mut self, by: &Waker) -> Poll<Answer<'a, M>> {
        let mut context = Context::from_waker(by);
        for _ in 0..ROUNDS {
            let waited = match &mut self.stage {
                Stage::New | Stage::Free => Waited::Nothing,
                Stage::Tokens(nth, acquire) => {
                    let nth = *nth;
                    match ready!(acquire.poll(by)) {
                        Ok(granted) => Waited::Tokens(nth, granted),
                        Err(error) => return self.end(self.error(nth, AcquireCause::Tokens(error))),
                    }
                }
                Stage::Permit(nth, acquire) => {
                    let nth = *nth;
                    match ready!(Pin::new(acquire).poll(&mut context)) {
                        Ok(permit) => Waited::Permit(nth, permit),
                        Err(error) => return self.end(self.error(N + nth, AcquireCause::Permit(error))),
                    }
                }
                Stage::Over => return Poll::Pending,
            };
            self.stage = Stage::Free;
            let (tokens, permit) = match waited {
                Waited::Nothing => (None, None),
                Waited::Tokens(nth, granted) => (Some((nth, granted)), None),
                Waited::Permit(nth, permit) => (None, Some((nth, permit))),
            };
            let call = self.all.without(tokens);
            // Tokens that were granted by the deadline are the call's. The other limits have to be taken from by then.
            if is_late(&mut self.deadline, self.all.clock()) && call.takes_more(usize::from(permit.is_some())) {
                drop((call, permit));
                return self.end(self.all.too_late());
            }
            match call.take(permit) {
                Ok(held) => {
                    self.stage = Stage::Over;
                    return Poll::Ready(Ok(held));
                }
                Err(refused) => match refused.cause() {
                    LimitCause::JoinedTwice(twice) => {
                        return self.end(self.error(refused.index(), AcquireCause::JoinedTwice(twice)));
                    }
                    LimitCause::Tokens(_) | LimitCause::Permit(_) => self.stage = self.wait_on(refused.index()),
                },
            }
        }
        // Each limit serves this call at once, and another one refuses it. Others have to come in between.
        by.wake_by_ref();
        Poll::Pending
    }

    /// Returns the wait on a limit that refused the call.
    fn wait_on(&self, nth: usize) -> Stage<'a, C> {
        if nth < N {
            return Stage::Tokens(nth, self.all.acquire_tokens(nth, self.deadline));
        }
        let acquire = self.all.acquire_permit(nth - N);
        let acquire = match self.deadline {
            Deadline::Until(deadline) => acquire.until(deadline.nanos()),
            _ => acquire,
        };
        Stage::Permit(nth - N, acquire)
    }
}

/// Returns whether a deadline has passed. A timeout begins with the first call.
fn is_late(deadline: &mut Deadline, clock: Option<&impl Clock>) -> bool {
    let (false, Some(clock)) = (matches!(deadline, Deadline::None), clock) else { return false };
    let now = Reading::from_nanos(clock.now());
    let at = deadline.from(now);
    *deadline = Deadline::Until(at);
    now > at
}

impl<'a, const N: usize, const M: usize, C: Clock + Clone + Send + Sync + 'static> Future for AcquireAll<'a, N, M, C> {
    type Output = Result<Held<'a, M>, CompositeAcquireError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.advance(context.waker())
    }
}

impl<const N: usize, const M: usize, C: Clock + Clone + Send + Sync + 'static> Drop for AcquireAll<'_, N, M, C> {
    fn drop(&mut self) {
        if let Stage::Tokens(nth, _) = self.stage {
            self.all.count_abandoned(nth);
        }
    }
}

impl<const N: usize, const M: usize, C: Clock + Clone + Send + Sync + 'static> fmt::Debug for AcquireAll<'_, N, M, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireAll").field("all", &self.all).finish_non_exhaustive()
    }
}

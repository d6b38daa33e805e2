//! A wait on several limits: one state machine for tasks and threads.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::error::{AcquireCause, CompositeAcquireError};
use super::holder::{CompositeHandle, Holder};
use super::limits::Leaving;
use super::order::{Order, OrderCall, Queue};
use super::queued::{CompositeRequest, Effect, Entered, NotServed};
use super::together::{self, Refused};
use crate::clock::Clock;
use crate::error::{AcquireError, KeyRemoved, LimiterClosed, QueueFull, QueueLimit};
use crate::limiter::Granted;
use crate::queue::{Deadline, Id, Outcome, Parker, ignore_panic, in_drop};
use crate::tokens::Tokens;
use crate::word::Reading;

/// A borrow or a share of a composite whose clock can drive a queue.
pub(super) trait WaitHandle: CompositeHandle<Clock: Clock + Send + Sync + 'static> {}

impl<H: CompositeHandle<Clock: Clock + Send + Sync + 'static>> WaitHandle for H {}

/// A wait, before or after it has begun.
pub(super) struct CompositeWait<H: WaitHandle> {
    pub(super) handle: H,
    pub(super) n: Tokens,
    pub(super) leaving: Leaving,
    pub(super) deadline: Deadline,
    pub(super) jitter: Duration,
    stage: Stage,
}

enum Stage {
    New,
    Waiting { queue: Arc<Queue>, id: Id, since: Reading },
    Over,
}

pub(super) type Answer = Result<Granted, CompositeAcquireError>;

impl<H: WaitHandle> CompositeWait<H> {
    #[inline]
    pub(super) fn new(handle: H, n: Tokens, leaving: Leaving) -> Self {
        CompositeWait { handle, n, leaving, deadline: Deadline::None, jitter: Duration::ZERO, stage: Stage::New }
    }

    fn holder(&self) -> Holder<'_, H::Clock> {
        self.handle.holder()
    }

    fn order(&self) -> Order {
        Order { n: self.n, leaving: self.leaving }
    }

    fn call(&self) -> OrderCall<'_, H::Clock> {
        OrderCall { limits: self.holder().limits(), order: self.order() }
    }

    fn read(&self) -> Reading {
        self.holder().limits().targets().next().map_or(Reading::NONE, |target| target.live().read())
    }

    pub(super) fn poll(&mut self, by: &Waker) -> Poll<Answer> {
        let polled = self.advance(by);
        self.holder().report();
        polled
    }

    fn advance(&mut self, by: &Waker) -> Poll<Answer> {
        let answer = match &self.stage {
            Stage::New => match self.begin(by) {
                Poll::Ready(answer) => answer,
                Poll::Pending => return Poll::Pending,
            },
            &Stage::Waiting { ref queue, id, since } => match queue.poll(id, by) {
                Poll::Ready(outcome) => {
                    self.stage = Stage::Over;
                    self.holder().tidy();
                    self.answer(outcome, since)
                }
                Poll::Pending => return Poll::Pending,
            },
            Stage::Over => return Poll::Pending,
        };
        self.stage = Stage::Over;
        self.count(&answer);
        Poll::Ready(answer)
    }

    /// Counts the end of the wait in the statistics.
    fn count(&self, answer: &Answer) {
        let recording = self.holder().recording();
        match answer {
            Ok(granted) => recording.waited(self.n, Ok(granted.waited())),
            Err(error) => {
                if let AcquireCause::Tokens(cause) = error.cause() {
                    recording.waited(self.n, Err(&cause));
                }
                if let Some(nth) = error.index() {
                    recording.refused_by(nth);
                }
            }
        }
    }

    fn answer(&self, outcome: Outcome<NotServed<Refused>>, since: Reading) -> Answer {
        match outcome {
            Outcome::Granted { at, .. } => Ok(Granted::new(since, at)),
            Outcome::Refused(why) => Err(self.not_served(why)),
        }
    }

    fn not_served(&self, why: NotServed<Refused>) -> CompositeAcquireError {
        let error = match why {
            NotServed::Refused(refused) => return refused.acquire_error(self.call()),
            NotServed::Removed => AcquireError::KeyRemoved(KeyRemoved(())),
            NotServed::Displaced => AcquireError::QueueFull(QueueFull(QueueLimit::Displaced)),
            NotServed::Closed => AcquireError::LimiterClosed(LimiterClosed(())),
            NotServed::NoPermit => unreachable!("a composite has no permits"),
        };
        CompositeAcquireError::new(None, AcquireCause::Tokens(error))
    }

    /// Takes the tokens, or joins the queue.
    fn begin(&mut self, by: &Waker) -> Poll<Answer> {
        let now = self.read();
        if self.n.is_zero() {
            return Poll::Ready(Ok(Granted::new(now, now)));
        }
        let deadline = self.deadline.from(now);
        let is_late = matches!(self.deadline, Deadline::Until(deadline) if now > deadline);
        if is_late {
            // It fails at once, also if the tokens are there.
            return Poll::Ready(Err(together::too_late(self.call(), Some(now))));
        }
        if self.holder().waiters().is_none() {
            // Without waiters, a call that is admitted at once need not come to the queue.
            match together::take_cold(self.call(), Some(now), &mut |_, _| ()) {
                Ok(()) => return Poll::Ready(Ok(Granted::new(now, now))),
                Err(refused) => {
                    if refused.gave_back {
                        self.holder().changed(Effect::Earlier);
                    }
                    if refused.is_table_full() {
                        return Poll::Ready(Err(self.not_served(NotServed::Refused(refused))));
                    }
                }
            }
        }
        let hold = u32::try_from(self.jitter.as_micros()).unwrap_or(u32::MAX);
        let full = |limit| {
            let cause = AcquireCause::Tokens(AcquireError::QueueFull(QueueFull(limit)));
            Poll::Ready(Err(CompositeAcquireError::new(None, cause)))
        };
        loop {
            let queue = match self.holder().queue() {
                Ok(queue) => queue,
                Err(most) => return full(QueueLimit::Keys(most as usize)),
            };
            let mut request = CompositeRequest { order: self.order(), deadline, hold, waker: Some(by.clone()) };
            let (entered, needs_dispatch) = queue.enter(&mut request);
            ignore_panic(|| drop(request.waker.take()));
            if let Entered::Waiting(id) = entered {
                // Before the dispatch, which may panic where the clock or the timer does.
                self.stage = Stage::Waiting { queue: queue.clone(), id, since: now };
            }
            if needs_dispatch {
                queue.dispatch();
            }
            let answer = match entered {
                Entered::Waiting(_) => return Poll::Pending,
                Entered::Gone => continue,
                Entered::Granted(at, _) => Ok(Granted::new(now, at)),
                Entered::NotServed(why) => Err(self.not_served(why)),
                Entered::Full(most) => return full(QueueLimit::Waiters(most as usize)),
                Entered::TooManyClasses(most) => return full(QueueLimit::Amounts(most)),
            };
            self.holder().tidy();
            return Poll::Ready(answer);
        }
    }

    /// Blocks the thread until the wait is over. A wait that is over starts again.
    pub(super) fn block(&mut self) -> Answer {
        if let Stage::Over = self.stage {
            self.stage = Stage::New;
        }
        let parker = Parker::new();
        loop {
            if let Poll::Ready(answer) = self.poll(parker.waker()) {
                return answer;
            }
            parker.sleep(Duration::MAX);
        }
    }

    /// Leaves the queue, and gives back the tokens that were granted.
    #[cold]
    #[inline(never)]
    fn give_up(&mut self) {
        let Stage::Waiting { queue, id, .. } = std::mem::replace(&mut self.stage, Stage::Over) else { return };
        let (outcome, needs_dispatch) = queue.leave(id);
        self.holder().recording().abandoned();
        let granted_at = outcome.and_then(|outcome| match outcome {
            Outcome::Granted { at, .. } => Some(at),
            Outcome::Refused(_) => None,
        });
        if granted_at.is_some() {
            // As of the grant: the clock, which may panic, is not read again for this.
            together::give_back(self.call(), self.holder().limits().len(), granted_at, |_, _| ());
        }
        // The dispatch may panic.
        let look = catch_unwind(AssertUnwindSafe(|| {
            if granted_at.is_some() {
                self.holder().changed(Effect::Earlier);
            }
            if needs_dispatch {
                queue.dispatch();
            }
        }));
        self.holder().tidy();
        self.holder().report();
        if let Err(panic) = look {
            resume_unwind(panic);
        }
    }
}

impl<H: WaitHandle> Drop for CompositeWait<H> {
    #[inline]
    fn drop(&mut self) {
        if matches!(self.stage, Stage::Waiting { .. }) {
            in_drop(|| self.give_up());
        }
    }
}

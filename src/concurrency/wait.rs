//! A wait for a permit: one state machine for tasks and threads.

use std::task::{Poll, Waker, ready};

use crate::clock::Clock;
use crate::error::{AcquirePermitError, LimiterClosed, QueueFull, QueueLimit, TimedOut};
use crate::permits::{Entered, PermitRefusal, PermitRequest, PermitWaiter, Unavailable};
use crate::queue::{Deadline, Parker, TimeDriver, ignore_panic, in_drop};
use crate::word::Reading;

use super::target::PermitHandle;

/// A borrow or a share of a limit whose clock can drive a queue.
pub(super) trait WaitHandle: PermitHandle<Clock: Clock + Clone + Send + Sync + 'static> + Unpin {}

impl<H: PermitHandle<Clock: Clock + Clone + Send + Sync + 'static> + Unpin> WaitHandle for H {}

/// A wait, before or after it has begun.
pub(super) struct Wait<H: WaitHandle> {
    pub(super) handle: H,
    pub(super) deadline: Deadline,
    stage: Stage,
}

enum Stage {
    New,
    Waiting(PermitWaiter),
    Over,
}

/// The outcome of a wait. If it is `Ok`, the caller owns a permit.
pub(super) type Outcome = Result<(), AcquirePermitError>;

const TIMED_OUT: Outcome = Err(AcquirePermitError::TimedOut(TimedOut(())));

const CLOSED: Outcome = Err(AcquirePermitError::LimiterClosed(LimiterClosed(())));

impl<H: WaitHandle> Wait<H> {
    #[inline]
    pub(super) fn new(handle: H) -> Self {
        Wait { handle, deadline: Deadline::None, stage: Stage::New }
    }

    #[inline]
    pub(super) fn poll(&mut self, by: &Waker) -> Poll<Outcome> {
        if matches!((&self.stage, self.deadline), (Stage::New, Deadline::None | Deadline::Within(_)))
            && self.handle.source().take().is_ok()
        {
            self.stage = Stage::Over;
            self.handle.recording().permitted(false);
            return Poll::Ready(Ok(()));
        }
        self.poll_cold(by)
    }

    #[cold]
    #[inline(never)]
    fn poll_cold(&mut self, by: &Waker) -> Poll<Outcome> {
        let waited = matches!(self.stage, Stage::Waiting(_));
        let outcome = match &self.stage {
            Stage::New => ready!(self.begin(by)),
            Stage::Waiting(waiter) => match ready!(waiter.poll(by)) {
                Ok(()) => Ok(()),
                Err(refusal) => {
                    self.handle.source().left();
                    match refusal {
                        PermitRefusal::TimedOut => TIMED_OUT,
                        PermitRefusal::Closed => CLOSED,
                    }
                }
            },
            Stage::Over => return Poll::Pending,
        };
        self.stage = Stage::Over;
        match &outcome {
            Ok(()) => self.handle.recording().permitted(waited),
            Err(error) => self.handle.recording().not_permitted(Some(error)),
        }
        Poll::Ready(outcome)
    }

    /// Takes a permit, or joins the queue.
    fn begin(&mut self, by: &Waker) -> Poll<Outcome> {
        let (source, clock) = (self.handle.source(), self.handle.clock());
        let deadline = match self.deadline {
            Deadline::None => Reading::MAX,
            deadline => {
                let now = Reading::from_nanos(clock.now());
                let at = deadline.from(now);
                if now >= at {
                    return Poll::Ready(if now > at { TIMED_OUT } else { self.take_now() });
                }
                source.drive(|chosen| TimeDriver::on(clock, chosen));
                at
            }
        };
        let mut request = PermitRequest { deadline, waker: Some(by.clone()) };
        let (entered, needs_dispatch) = source.enter(&mut request);
        ignore_panic(|| drop(request.waker.take()));
        match entered {
            Entered::Granted => Poll::Ready(Ok(())),
            Entered::Full { max_waiters } => {
                let full = QueueFull(QueueLimit::Waiters(max_waiters as usize));
                Poll::Ready(Err(AcquirePermitError::QueueFull(full)))
            }
            Entered::Closed => Poll::Ready(CLOSED),
            Entered::Waiting(waiter) => {
                // Before the dispatch, which may panic where the clock or the timer does.
                self.stage = Stage::Waiting(waiter);
                if let (Stage::Waiting(waiter), true) = (&self.stage, needs_dispatch) {
                    waiter.dispatch();
                }
                Poll::Pending
            }
        }
    }

    /// Takes a permit if it is there, at the deadline itself.
    fn take_now(&self) -> Outcome {
        self.handle.source().take().or_else(|unavailable| match unavailable {
            Unavailable::NoPermit(_) => TIMED_OUT,
            Unavailable::Closed => CLOSED,
        })
    }

    /// Blocks the thread until the wait is over. A wait that is over starts again.
    #[inline]
    pub(super) fn block(&mut self) -> Outcome {
        if let Stage::Over = self.stage {
            self.stage = Stage::New;
        }
        if matches!((&self.stage, self.deadline), (Stage::New, Deadline::None | Deadline::Within(_)))
            && self.handle.source().take().is_ok()
        {
            self.stage = Stage::Over;
            self.handle.recording().permitted(false);
            return Ok(());
        }
        self.sleep()
    }

    #[cold]
    #[inline(never)]
    fn sleep(&mut self) -> Outcome {
        let parker = Parker::new();
        loop {
            if let Poll::Ready(outcome) = self.poll_cold(parker.waker()) {
                return outcome;
            }
            parker.sleep(std::time::Duration::MAX);
        }
    }

    /// Leaves the queue, and gives back the permit that was granted.
    #[cold]
    #[inline(never)]
    fn give_up(&mut self) {
        let Stage::Waiting(waiter) = std::mem::replace(&mut self.stage, Stage::Over) else { return };
        let source = self.handle.source();
        self.handle.recording().abandoned();
        if waiter.leave() {
            source.give_back();
        } else {
            source.left();
        }
    }
}

impl<H: WaitHandle> Drop for Wait<H> {
    #[inline]
    fn drop(&mut self) {
        if matches!(self.stage, Stage::Waiting(_)) {
            in_drop(|| self.give_up());
        }
    }
}

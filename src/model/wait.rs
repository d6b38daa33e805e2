//! A wait for a call to a model: one state machine for tasks and threads.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::clock::Clock;
use crate::composite::{CompositeRequest, Entered, NotServed, QueuedLimits, Waiters};
use crate::error::{QueueFull, QueueLimit};
use crate::limiter::Granted;
use crate::queue::{Deadline, Id, Outcome, Parker, TimeDriver, ignore_panic, in_drop};
use crate::word::Reading;

use super::amounts::Amounts;
use super::charge::Charge;
use super::error::{ModelCause, ModelError};
use super::permit::Permit;
use super::state::Model;
use super::usage::Usage;

/// A wait, before or after it has begun.
pub(super) struct ModelWait<C: Clock + Send + Sync + 'static> {
    model: Arc<Model<C>>,
    estimate: Usage,
    pub(super) deadline: Deadline,
    pub(super) jitter: Duration,
    stage: Stage,
}

enum Stage {
    New,
    Waiting { id: Id, since: Reading, amounts: Amounts },
    Over,
}

pub(super) type Answer<C> = Result<Permit<C>, ModelError>;

impl<C: Clock + Send + Sync + 'static> ModelWait<C> {
    pub(super) fn new(model: Arc<Model<C>>, estimate: Usage) -> Self {
        ModelWait { model, estimate, deadline: Deadline::None, jitter: Duration::ZERO, stage: Stage::New }
    }

    fn granted(&self, amounts: Amounts, epoch: u64, (since, at): (Reading, Reading)) -> Answer<C> {
        let waited = Granted::new(since, at).waited();
        if !waited.is_zero() {
            self.model.count_wait(waited);
        }
        Ok(Permit::new(self.model.clone(), self.estimate, Charge::new(amounts, epoch), waited))
    }

    fn not_served(&self, why: NotServed<ModelCause>) -> Answer<C> {
        Err(self.model.error(match why {
            NotServed::Refused(cause) => cause,
            NotServed::NoPermit => ModelCause::TimedOut,
            NotServed::Removed | NotServed::Closed => ModelCause::ModelRemoved,
            NotServed::Displaced => ModelCause::QueueFull(QueueFull(QueueLimit::Displaced)),
        }))
    }

    pub(super) fn poll(&mut self, by: &Waker) -> Poll<Answer<C>> {
        let answer = match self.stage {
            Stage::New => match self.begin(by) {
                Poll::Ready(answer) => answer,
                Poll::Pending => return Poll::Pending,
            },
            Stage::Waiting { id, since, amounts } => match self.model.queue.poll(id, by) {
                Poll::Ready(outcome) => {
                    self.stage = Stage::Over;
                    match outcome {
                        Outcome::Granted { cost: epoch, at } => self.granted(amounts, epoch.0, (since, at)),
                        Outcome::Refused(why) => self.not_served(why),
                    }
                }
                Poll::Pending => return Poll::Pending,
            },
            Stage::Over => return Poll::Pending,
        };
        self.stage = Stage::Over;
        Poll::Ready(answer)
    }

    /// Takes, or joins the queue.
    fn begin(&mut self, by: &Waker) -> Poll<Answer<C>> {
        let (limits, queue) = (self.model.limits(), &self.model.queue);
        let now = limits.read();
        let deadline = self.deadline.from(now);
        let amounts = self.model.amounts(self.estimate);
        if now > deadline {
            return Poll::Ready(Err(self.model.error(self.model.too_late(amounts, now))));
        }
        if let Ok(epoch) = self.model.try_take(amounts, Some(now)) {
            return Poll::Ready(self.granted(amounts, epoch, (now, now)));
        }
        queue.config().drive_all(|chosen| TimeDriver::on(&limits.clock, chosen));
        let hold = u32::try_from(self.jitter.as_micros()).unwrap_or(u32::MAX);
        let mut request = CompositeRequest { order: amounts, deadline, hold, waker: Some(by.clone()) };
        let (entered, needs_dispatch) = queue.enter(&mut request);
        ignore_panic(|| drop(request.waker.take()));
        if let Entered::Waiting(id) = entered {
            // Before the dispatch, which may panic where the clock or the timer does.
            self.stage = Stage::Waiting { id, since: now, amounts };
        }
        if needs_dispatch {
            self.model.queue.dispatch();
        }
        let full = |limit| Err(self.model.error(ModelCause::QueueFull(QueueFull(limit))));
        Poll::Ready(match entered {
            Entered::Waiting(_) => return Poll::Pending,
            Entered::Gone => Err(self.model.error(ModelCause::ModelRemoved)),
            Entered::Granted(at, epoch) => self.granted(amounts, epoch.0, (now, at)),
            Entered::NotServed(why) => self.not_served(why),
            Entered::Full(most) => full(QueueLimit::Waiters(most as usize)),
            Entered::TooManyClasses(most) => full(QueueLimit::Amounts(most)),
        })
    }

    /// Blocks the thread until the wait is over.
    pub(super) fn block(&mut self) -> Answer<C> {
        let parker = Parker::new();
        loop {
            if let Poll::Ready(answer) = self.poll(parker.waker()) {
                return answer;
            }
            parker.sleep(Duration::MAX);
        }
    }

    /// Leaves the queue, and gives back what was granted.
    #[cold]
    #[inline(never)]
    fn give_up(&mut self) {
        let Stage::Waiting { id, amounts, .. } = std::mem::replace(&mut self.stage, Stage::Over) else { return };
        let (outcome, needs_dispatch) = self.model.queue.leave(id);
        // Either may panic, and the other one has to be done.
        let cancelled = catch_unwind(AssertUnwindSafe(|| {
            if let Some(Outcome::Granted { cost: epoch, .. }) = outcome {
                let charge = Charge::new(amounts, epoch.0);
                Permit::new(self.model.clone(), self.estimate, charge, Duration::ZERO).cancel();
            }
        }));
        if needs_dispatch {
            self.model.queue.dispatch();
        }
        if let Err(panic) = cancelled {
            resume_unwind(panic);
        }
    }
}

impl<C: Clock + Send + Sync + 'static> Drop for ModelWait<C> {
    #[inline]
    fn drop(&mut self) {
        if matches!(self.stage, Stage::Waiting { .. }) {
            in_drop(|| self.give_up());
        }
    }
}

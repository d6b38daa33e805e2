//! A wait: one state machine for tasks and threads, whatever the limiter.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::algorithm::token_bucket::Demand;
use crate::cell::{Taken, TimeSource};
use crate::clock::Clock;
use crate::error::{AcquireError, ExceedsBurst, KeyRemoved, LimiterClosed, QueueFull, QueueLimit, TableFull, TooLate};
use crate::limiter::target::Handle;
use crate::queue::{Deadline, Enqueued, Id, Outcome, Parker, Queue, Refusal, WaitRequest, ignore_panic, in_drop};
use crate::table::Arrival;
use crate::tokens::Tokens;
use crate::word::{Due, Reading, Units};

/// Tokens that a caller waited for, and the instant at which they were granted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    since: Reading,
    at: Reading,
}

impl Granted {
    pub(crate) fn new(since: Reading, at: Reading) -> Self {
        Granted { since, at }
    }

    /// Returns the instant of the grant, in nanoseconds since the origin of the limiter's clock. The
    /// window bound holds for these instants. A task may run later than that.
    #[must_use]
    pub fn granted_at(&self) -> u64 {
        self.at.nanos()
    }

    /// Returns the time from the first look at the bucket to the grant: zero if the tokens were there.
    #[must_use]
    pub fn waited(&self) -> Duration {
        Duration::from_nanos(self.at.nanos().saturating_sub(self.since.nanos()))
    }
}

impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Granted").field("granted_at", &self.granted_at()).field("waited", &self.waited()).finish()
    }
}

/// A borrow or a share of a limiter whose clock can drive a queue.
pub(super) trait WaitHandle: Handle<Clock: Clock + Clone + Send + Sync + 'static> + Unpin {}

impl<H: Handle<Clock: Clock + Clone + Send + Sync + 'static> + Unpin> WaitHandle for H {}

/// A wait, before or after it has begun.
pub(super) struct Wait<H: WaitHandle> {
    pub(super) handle: H,
    pub(super) n: Tokens,
    pub(super) leaving: Tokens,
    pub(super) deadline: Deadline,
    pub(super) jitter: Duration,
    stage: Stage,
}

enum Stage {
    New,
    Waiting { queue: Arc<Queue>, id: Id, since: Reading },
    Over,
}

/// The result of beginning a wait.
enum Begun {
    Over(Answer),
    /// The call waits. `alone` is the instant of the grant if it is first, `None` if it is behind
    /// others.
    Waiting {
        alone: Option<Due>,
    },
}

impl Begun {
    fn poll(self) -> Poll<Answer> {
        match self {
            Begun::Over(answer) => Poll::Ready(answer),
            Begun::Waiting { .. } => Poll::Pending,
        }
    }
}

pub(super) type Answer = Result<Granted, AcquireError>;

impl<H: WaitHandle> Wait<H> {
    #[inline]
    pub(super) fn new(handle: H, n: Tokens, leaving: Tokens) -> Self {
        Wait { handle, n, leaving, deadline: Deadline::None, jitter: Duration::ZERO, stage: Stage::New }
    }

    #[inline(always)]
    pub(super) fn poll(&mut self, by: &Waker) -> Poll<Answer> {
        if !matches!(self.stage, Stage::New) || self.n.is_zero() || matches!(self.deadline, Deadline::Until(_)) {
            return self.poll_cold(by);
        }
        let taken = {
            let target = self.handle.target();
            target.take_or_queue(self.n, self.leaving, target.live())
        };
        if let Some(Taken::Admitted { now, .. }) = taken {
            self.stage = Stage::Over;
            self.handle.count_admitted(self.n);
            return Poll::Ready(Ok(granted_now(now)));
        }
        self.wait(taken, by).poll()
    }

    /// Takes, unless the deadline has passed; what would be refused for good, is.
    #[cold]
    fn take_by(&self, deadline: Reading) -> Result<Option<Taken>, AcquireError> {
        let target = self.handle.target();
        let now = target.read();
        let demand = Demand::new(target.layout(), self.n, self.leaving);
        if now > deadline && demand.needed <= target.terms().capacity() {
            if let Some(due) = target.due_at(demand, TimeSource::given(now)) {
                return self.count(Err(AcquireError::TooLate(TooLate(due)))).map(|_| None);
            }
        }
        Ok(target.take_or_queue(self.n, self.leaving, TimeSource::given(now)))
    }

    #[cold]
    fn poll_cold(&mut self, by: &Waker) -> Poll<Answer> {
        match &self.stage {
            &Stage::Waiting { ref queue, id, since } => match queue.poll(id, by) {
                Poll::Ready((outcome, idle)) => {
                    let idle = idle.then(|| queue.clone());
                    self.stage = Stage::Over;
                    if let Some(queue) = idle {
                        // As of the grant: the clock is not read again for this.
                        let now = if let Outcome::Granted { at, .. } = outcome { at } else { since };
                        self.handle.target().take_back(&queue, now);
                    }
                    Poll::Ready(self.count(self.answer(outcome, since)))
                }
                Poll::Pending => Poll::Pending,
            },
            Stage::New => match self.deadline {
                Deadline::Until(deadline) if !self.n.is_zero() => match self.take_by(deadline) {
                    Ok(taken) => self.wait(taken, by).poll(),
                    Err(late) => {
                        self.stage = Stage::Over;
                        Poll::Ready(Err(late))
                    }
                },
                _ => {
                    let now = self.handle.target().read();
                    self.stage = Stage::Over;
                    Poll::Ready(Ok(granted_now(now)))
                }
            },
            Stage::Over => Poll::Pending,
        }
    }

    /// Joins the queue if the tokens were not there.
    #[cold]
    #[inline(never)]
    fn wait(&mut self, taken: Option<Taken>, by: &Waker) -> Begun {
        let begun = self.begin(taken, by);
        // Not before: what is the user's may panic, and the wait has not ended then.
        if let Begun::Over(answer) = begun {
            self.stage = Stage::Over;
            return Begun::Over(self.count(answer));
        }
        begun
    }

    #[inline]
    fn begin(&mut self, taken: Option<Taken>, by: &Waker) -> Begun {
        let target = self.handle.target();
        let (terms, demand) = (target.terms(), Demand::new(target.layout(), self.n, self.leaving));
        let due_at = |now, deficit| terms.due(now, deficit);
        let full = |deficit, now| Err(AcquireError::TableFull(TableFull(due_at(now, deficit))));
        let (due, now) = match taken {
            Some(Taken::Admitted { now, .. }) => return Begun::Over(Ok(granted_now(now))),
            Some(Taken::Unlimited) => return Begun::Over(Ok(granted_now(target.read()))),
            Some(Taken::TableFull { deficit, now }) => return Begun::Over(full(deficit, now)),
            _ if demand.needed > terms.capacity() => return Begun::Over(Err(self.exceeds(terms.capacity()))),
            Some(Taken::Denied { deficit, now, .. }) => (Some(due_at(now, deficit)), now),
            None => (None, target.read()),
        };
        let deadline = self.deadline.from(now);
        // A wait that would miss its deadline need not come to the queue.
        if let Some(due) = due.filter(|due| due.misses(deadline)) {
            return Begun::Over(Err(AcquireError::TooLate(TooLate(due))));
        }
        let hold = u32::try_from(self.jitter.as_micros()).unwrap_or(u32::MAX);
        let queue_full = |crowd| Err(AcquireError::QueueFull(QueueFull(crowd)));
        let mut call = WaitRequest { demand, deadline, hold, waker: Some(by.clone()) };
        let (queue, enqueued, needs_dispatch, event) = match target.enter(&mut call, now) {
            Arrival::Enqueued { queue, enqueued, needs_dispatch, event } => (queue, enqueued, needs_dispatch, event),
            Arrival::TooManyKeys(most) => return Begun::Over(queue_full(QueueLimit::Keys(most as usize))),
            Arrival::NoPlace { deficit, now } => return Begun::Over(full(deficit, now)),
        };
        ignore_panic(|| drop(call.waker.take()));
        // Before the look, which may panic where the clock or the timer does.
        self.stage = match enqueued {
            Enqueued::Waiting { id, .. } => Stage::Waiting { queue: queue.clone(), id, since: now },
            _ => Stage::Over,
        };
        if needs_dispatch {
            queue.dispatch();
        }
        // Last: a table may wait for a lock to grow, and the hook is user code.
        target.arrived(event, now);
        Begun::Over(match enqueued {
            Enqueued::Waiting { alone, .. } => return Begun::Waiting { alone },
            Enqueued::Granted(at) => Ok(Granted::new(now, at)),
            Enqueued::TooLate(due) => Err(AcquireError::TooLate(TooLate(due))),
            Enqueued::ExceedsBurst(burst) => Err(self.exceeds(burst)),
            Enqueued::Full => queue_full(QueueLimit::Waiters(queue.config().max_waiters as usize)),
            Enqueued::TooManyClasses(most) => queue_full(QueueLimit::Amounts(most)),
            Enqueued::Closed => Err(AcquireError::LimiterClosed(LimiterClosed(()))),
        })
    }

    #[inline(always)]
    pub(super) fn block(&mut self) -> Answer {
        if matches!(self.stage, Stage::Waiting { .. }) {
            return self.sleep(&Parker::new());
        }
        // A wait that is over starts again when it blocks once more.
        self.stage = Stage::Over;
        if self.n.is_zero() {
            return Ok(granted_now(self.handle.target().read()));
        }
        if let Deadline::Until(deadline) = self.deadline {
            return self.take_by(deadline).and_then(|taken| self.park(taken));
        }
        let taken = {
            let target = self.handle.target();
            target.take_or_queue(self.n, self.leaving, target.live())
        };
        if let Some(Taken::Admitted { now, .. }) = taken {
            self.handle.count_admitted(self.n);
            return Ok(granted_now(now));
        }
        self.park(taken)
    }

    /// Blocks the thread if the tokens were not there.
    #[cold]
    #[inline(never)]
    fn park(&mut self, taken: Option<Taken>) -> Answer {
        let parker = Parker::new();
        match self.wait(taken, parker.waker()) {
            Begun::Over(answer) => answer,
            Begun::Waiting { alone } => {
                if let (Some(due), Stage::Waiting { queue, .. }) = (alone, &self.stage) {
                    if !parker.sleep(due.after().unwrap_or(Duration::MAX)) {
                        queue.notify();
                    }
                }
                self.sleep(&parker)
            }
        }
    }

    /// Blocks the thread until the wait is over.
    #[cold]
    #[inline(never)]
    fn sleep(&mut self, parker: &Parker) -> Answer {
        loop {
            if let Poll::Ready(answer) = self.poll_cold(parker.waker()) {
                return answer;
            }
            parker.sleep(Duration::MAX);
        }
    }
}

fn granted_now(now: Reading) -> Granted {
    Granted::new(now, now)
}

impl<H: WaitHandle> Wait<H> {
    /// Counts the end of the wait in the statistics, and returns it.
    fn count(&self, answer: Answer) -> Answer {
        let waited = answer.as_ref().map(Granted::waited);
        self.handle.target().count_wait(self.handle.recording(), self.n, waited);
        answer
    }

    fn answer(&self, outcome: Outcome, since: Reading) -> Answer {
        match outcome {
            Outcome::Granted { at, .. } => Ok(Granted::new(since, at)),
            Outcome::Refused(Refusal::TooLate(due)) => Err(AcquireError::TooLate(TooLate(due))),
            Outcome::Refused(Refusal::ExceedsBurst(burst)) => Err(self.exceeds(burst)),
            Outcome::Refused(Refusal::Forgotten) => Err(AcquireError::KeyRemoved(KeyRemoved(()))),
            Outcome::Refused(Refusal::Displaced) => Err(AcquireError::QueueFull(QueueFull(QueueLimit::Displaced))),
            Outcome::Refused(Refusal::Closed) => Err(AcquireError::LimiterClosed(LimiterClosed(()))),
        }
    }

    /// Returns the error of a call that needs more than the burst.
    fn exceeds(&self, burst: Units) -> AcquireError {
        let burst = self.handle.target().layout().tokens_down(burst);
        AcquireError::ExceedsBurst(ExceedsBurst::new(self.n, self.leaving, burst))
    }

    /// Leaves the queue, and gives back the tokens that were granted.
    #[cold]
    #[inline(never)]
    fn give_up(&mut self) {
        let Stage::Waiting { queue, id, since } = std::mem::replace(&mut self.stage, Stage::Over) else { return };
        let (outcome, needs_dispatch) = queue.leave(id);
        // The dispatch may panic, and so may the calls below.
        let look = catch_unwind(AssertUnwindSafe(|| {
            if needs_dispatch {
                queue.dispatch();
            }
        }));
        let target = self.handle.target();
        self.handle.recording().abandoned();
        if let Some(Outcome::Granted { cost, .. }) = outcome {
            target.give_back(cost.0.into(), target.live());
        }
        target.take_back(&queue, since);
        if let Err(panic) = look {
            resume_unwind(panic);
        }
    }
}

impl<H: WaitHandle> Drop for Wait<H> {
    #[inline]
    fn drop(&mut self) {
        if matches!(self.stage, Stage::Waiting { .. }) {
            in_drop(|| self.give_up());
        }
    }
}

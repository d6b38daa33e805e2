//! [`PermitQueue`]: the waiters of one limit.

use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::algorithm::token_bucket::Demand;
use crate::queue::{
    self, Dispatch, Dispatcher, Id, Left, Outcome, Pass, TimeDriver, WaitConfig, WaitList, Waiting, ignore_panic,
    once_idle, poll_entry,
};
use crate::sync::{Mutex, MutexGuard, lock};
use crate::word::{Reading, Units};

use super::cell::{PermitCell, TakenOrQueued};

/// The demand of every waiter: one permit.
const ONE: Demand = Demand { cost: Units(1), needed: Units(1) };

/// The reason why a waiter got no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PermitRefusal {
    /// The deadline has passed.
    TimedOut,
    /// The limit was closed.
    Closed,
}

/// The request of a caller that is ready to wait.
pub(crate) struct PermitRequest {
    /// The instant at which the caller gives up; [`Reading::MAX`] for no deadline.
    pub(crate) deadline: Reading,
    /// Taken if the call waits. It is cloned before the lock is taken, because a clone may run any code.
    pub(crate) waker: Option<Waker>,
}

/// The result of a [`PermitRequest`].
pub(crate) enum Entered {
    Granted,
    Waiting(PermitWaiter),
    /// The queue has its maximum number of waiters.
    Full {
        max_waiters: u32,
    },
    Closed,
}

/// The waiters of one limit, first come, first served. Each method that changes the word takes its cell: the
/// queue has no way to a limit that may be a `static`, or may be moved.
///
/// # Invariant
///
/// When the lock is released and a caller waits, the word is queued. If the word is queued, no permit is free, or a
/// thread that freed one is about to [`serve`](PermitQueue::serve). After the last waiter has left or timed out, the
/// word stays queued until then: calls are refused rightly meanwhile.
pub(super) struct PermitQueue {
    config: Arc<WaitConfig>,
    state: Mutex<State>,
    dispatcher: Dispatcher,
}

struct State {
    list: WaitList<PermitRefusal>,
    /// Set after repeated panics of the timer: the next call has to dispatch.
    needs_dispatch: bool,
}

impl State {
    fn is_empty(&self) -> bool {
        self.list.waiting() == 0
    }
}

impl PermitQueue {
    pub(super) fn new(config: Arc<WaitConfig>) -> Arc<Self> {
        Arc::new_cyclic(|queue| PermitQueue {
            config,
            state: Mutex::new(State { list: WaitList::new(), needs_dispatch: false }),
            dispatcher: Dispatcher::new(queue.clone()),
        })
    }

    pub(super) fn config(&self) -> &WaitConfig {
        &self.config
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Returns whether no caller waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Returns the number of waiters, once the timer is armed for them. Yields for a moment while a dispatch
    /// runs.
    pub(super) fn waiting(&self) -> u32 {
        once_idle(|| self.dispatcher.is_busy(), || self.lock().list.waiting())
    }

    /// Takes a permit or joins the wait list. If the second result is `true`, the caller has to
    /// [`dispatch`](PermitWaiter::dispatch) once it has recorded that it waits.
    pub(super) fn enter(self: &Arc<Self>, cell: &PermitCell, request: &mut PermitRequest) -> (Entered, bool) {
        let mut state = self.lock();
        // While callers wait, the word is queued already.
        if state.is_empty() {
            match cell.take_or_queue() {
                TakenOrQueued::Taken => return (Entered::Granted, false),
                TakenOrQueued::Closed => return (Entered::Closed, false),
                TakenOrQueued::Queued => {}
            }
        }
        let max_waiters = self.config.max_waiters;
        // The waker of a call that is refused is dropped when no lock is held.
        let waker = if state.list.waiting() < max_waiters { request.waker.take() } else { None };
        let Some(id) = waker.and_then(|waker| state.list.push(Waiting::new(ONE, request.deadline, 0, waker))) else {
            if state.is_empty() {
                cell.unqueue();
            }
            return (Entered::Full { max_waiters }, false);
        };
        let is_first_deadline = state.list.first_timeout() == Some(request.deadline);
        let needs_dispatch = is_first_deadline || std::mem::take(&mut state.needs_dispatch);
        // The request is made under the lock, so that a thread that sees the waiter also sees that a dispatch
        // is to come.
        let needs_dispatch = needs_dispatch && self.dispatcher.request();
        (Entered::Waiting(PermitWaiter { queue: self.clone(), id }), needs_dispatch)
    }

    /// Grants free permits to the first waiters. The caller wakes the returned wakers when it holds no lock.
    #[must_use = "the waiters have to be woken"]
    pub(super) fn serve(&self, cell: &PermitCell) -> Vec<Waker> {
        let mut woken = Vec::new();
        let mut state = self.lock();
        while let Some(first) = state.list.first().map(|(id, _)| id) {
            if !cell.take_for_waiter() {
                return woken;
            }
            woken.extend(state.list.grant(first, Reading::NONE));
        }
        cell.unqueue();
        woken
    }

    /// Refuses every waiter, now and later. The caller wakes the returned wakers when it holds no lock.
    #[must_use = "the waiters have to be woken"]
    pub(super) fn close(&self, cell: &PermitCell) -> Vec<Waker> {
        let mut state = self.lock();
        cell.close();
        cell.unqueue();
        let ids: Vec<Id> = state.list.ids().map(|(id, _)| id).collect();
        ids.into_iter().filter_map(|id| state.list.refuse(id, PermitRefusal::Closed)).collect()
    }
}

impl Dispatch for PermitQueue {
    fn dispatcher(&self) -> &Dispatcher {
        &self.dispatcher
    }

    fn drive(&self) -> Option<&TimeDriver> {
        self.config.driver()
    }

    /// Refuses every waiter whose deadline has passed. A pass grants nothing, because only a thread with the
    /// cell at hand can.
    fn look(&self, drive: &TimeDriver, _: Duration, _: bool) -> Pass {
        let mut state = self.lock();
        state.needs_dispatch = false;
        let (now, mut woken) = (drive.now(), Vec::new());
        while state.list.first_timeout().is_some_and(|at| at <= now) {
            if let Some(Err(id)) = state.list.time_out() {
                woken.extend(state.list.refuse(id, PermitRefusal::TimedOut));
            }
        }
        Pass { now, next: state.list.first_timeout(), woken }
    }

    fn give_up(&self) {
        let mut state = self.lock();
        state.needs_dispatch = true;
        self.dispatcher.close();
    }
}

/// A place in a queue. Its owner calls [`leave`](PermitWaiter::leave) before it drops the place, unless
/// [`poll`](PermitWaiter::poll) has returned an outcome.
pub(crate) struct PermitWaiter {
    queue: Arc<PermitQueue>,
    id: Id,
}

impl PermitWaiter {
    /// Returns the outcome. Registers `by` to be woken if there is no outcome yet.
    pub(crate) fn poll(&self, by: &Waker) -> Poll<Result<(), PermitRefusal>> {
        let polled = poll_entry(by, |fresh| (self.queue.lock().list.collect(self.id, by, fresh), ()));
        polled.map(|(outcome, ())| match outcome {
            Outcome::Granted { .. } => Ok(()),
            Outcome::Refused(why) => Err(why),
        })
    }

    /// Refuses the waiters whose deadlines have passed, wakes them, and arms the timer for the next deadline.
    pub(crate) fn dispatch(&self) {
        queue::run(&*self.queue);
    }

    /// Gives up the place. Returns whether a permit was granted: the caller then has to give it back.
    #[must_use = "a permit may have to be given back"]
    pub(crate) fn leave(self) -> bool {
        let left = self.queue.lock().list.take_out(self.id);
        let (outcome, waker) = match left {
            Some((Left::Settled(outcome), waker)) => (Some(outcome), waker),
            Some((Left::Waiting { .. }, waker)) => (None, waker),
            None => (None, None),
        };
        ignore_panic(|| drop(waker));
        matches!(outcome, Some(Outcome::Granted { .. }))
    }
}

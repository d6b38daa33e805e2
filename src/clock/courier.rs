//! Wakes wakers from within a tokio runtime.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::runtime::{Handle, Id};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use super::timer_queue::{TimerQueue, TimerSlot};

/// One runtime's queue, shared by all timers of the process that live in that runtime.
///
/// At most one task serves the queue. So a runtime that is kept but not driven holds one task,
/// whatever the number of timers and of waits.
pub(super) struct Courier {
    runtime: Handle,
    /// The origin of the queue's instants, on the runtime's time.
    origin: Instant,
    state: Mutex<State>,
}

/// A place on a queue; `None` once it is given up. Its lock is taken under the courier's.
pub(super) struct Place(Mutex<Option<TimerSlot>>);

impl Place {
    fn slot(&self) -> MutexGuard<'_, Option<TimerSlot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct State {
    /// In nanoseconds since the origin.
    queue: TimerQueue,
    task: Task,
}

/// The state of the task.
enum Task {
    /// There is no task, because the queue is empty.
    Idle,
    /// The task was spawned or woken at that instant, and has not run since.
    Called(std::time::Instant),
    /// The task sleeps until the first instant of the queue.
    Asleep(Waker),
    /// The runtime was shut down: it dropped the task, and will run no other task.
    Lost,
}

/// The next step of the task, after it has served the queue.
enum Next {
    End,
    Yield,
    /// Sleeps until this instant, or until it is no longer the first of the queue.
    Sleep(u64),
}

/// The couriers of all runtimes.
static COURIERS: Mutex<Vec<(Id, Weak<Courier>)>> = Mutex::new(Vec::new());

impl Courier {
    /// Returns the courier of this runtime.
    pub(super) fn of(runtime: Handle) -> Arc<Self> {
        let mut couriers = COURIERS.lock().unwrap_or_else(PoisonError::into_inner);
        couriers.retain(|(_, courier)| courier.strong_count() > 0);
        let id = runtime.id();
        let known = couriers.iter().find(|(known, _)| *known == id).and_then(|(_, courier)| courier.upgrade());
        known.unwrap_or_else(|| {
            let state = Mutex::new(State { queue: TimerQueue::default(), task: Task::Idle });
            let courier = Arc::new(Courier { runtime, origin: Instant::now(), state });
            couriers.push((id, Arc::downgrade(&courier)));
            courier
        })
    }

    pub(super) fn runtime(&self) -> Id {
        self.runtime.id()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a new place on the queue.
    pub(super) fn join(&self) -> Place {
        Place(Mutex::new(Some(self.state().queue.join())))
    }

    /// Returns whether the runtime was shut down.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.state().task, Task::Lost)
    }

    /// Puts `waker` into the place, to be woken in the runtime as soon as the runtime runs. Returns
    /// `false`, and does nothing, if the runtime was shut down or has not run the task for
    /// `patience`.
    pub(super) fn call(self: &Arc<Self>, place: &Place, waker: &Waker, patience: Duration) -> bool {
        self.put(place, 0, waker, patience)
    }

    /// Puts `waker` into the place, to be woken at an instant of the runtime's time. Returns
    /// `false`, and does nothing, if the runtime was shut down.
    ///
    /// # Panics
    ///
    /// The task panics in a runtime without a time driver.
    pub(super) fn call_at(self: &Arc<Self>, place: &Place, at: Instant, waker: &Waker) -> bool {
        let at = at.saturating_duration_since(self.origin).as_nanos();
        self.put(place, u64::try_from(at).unwrap_or(u64::MAX), waker, Duration::MAX)
    }

    fn put(self: &Arc<Self>, place: &Place, at: u64, waker: &Waker, patience: Duration) -> bool {
        let waker = waker.clone();
        let mut state = self.state();
        let refuses = match state.task {
            Task::Lost => true,
            Task::Called(since) => since.elapsed() >= patience,
            Task::Idle | Task::Asleep(_) => false,
        };
        if refuses {
            return false;
        }
        let mut old = None;
        if let Some(slot) = &mut *place.slot() {
            old = state.queue.remove(slot);
            state.queue.insert(slot, at, waker);
        }
        self.wake_task(state);
        drop(old);
        true
    }

    /// Removes the place from the queue for good.
    pub(super) fn leave(self: &Arc<Self>, place: &Place) {
        let mut state = self.state();
        let slot = place.slot().take();
        let waker = slot.and_then(|mut slot| state.queue.remove(&mut slot));
        self.wake_task(state);
        drop(waker);
    }

    /// Makes the task look at the queue again, if the queue may have changed.
    fn wake_task(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        let called = Task::Called(std::time::Instant::now());
        match std::mem::replace(&mut state.task, called) {
            Task::Asleep(task) => {
                drop(state);
                task.wake();
            }
            Task::Idle if state.queue.first().is_some() => {
                drop(state);
                drop(self.runtime.spawn(serve(Serving { courier: self.clone(), has_ended: false })));
            }
            other => state.task = other,
        }
    }

    /// Wakes the wakers that are due.
    fn round(&self) -> Next {
        let now = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mut state = self.state();
        state.task = Task::Called(std::time::Instant::now());
        // Only the wakers that are due now: a waker may put itself on the queue again.
        let due: Vec<Waker> = state.queue.pop_all(now);
        drop(state);
        due.into_iter().for_each(Waker::wake);
        let mut state = self.state();
        match state.queue.first() {
            None => {
                state.task = Task::Idle;
                Next::End
            }
            Some(first) if first <= now => Next::Yield,
            Some(first) => Next::Sleep(first),
        }
    }

    /// Waits for an instant, or until it is no longer the first of the queue.
    async fn sleep(&self, until: u64) {
        let mut sleep = pin!(sleep_until(self.origin + Duration::from_nanos(until)));
        poll_fn(|context| {
            let mut state = self.state();
            if state.queue.first() != Some(until) {
                return Poll::Ready(());
            }
            state.task = Task::Asleep(context.waker().clone());
            drop(state);
            sleep.as_mut().poll(context)
        })
        .await;
        self.state().task = Task::Called(std::time::Instant::now());
    }
}

/// Dropped with the task, when the task ends or when its runtime drops it.
struct Serving {
    courier: Arc<Courier>,
    has_ended: bool,
}

async fn serve(mut serving: Serving) {
    loop {
        match serving.courier.round() {
            Next::End => break,
            Next::Yield => yield_now().await,
            Next::Sleep(until) => serving.courier.sleep(until).await,
        }
    }
    serving.has_ended = true;
}

impl Drop for Serving {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let mut state = self.courier.state();
        state.task = Task::Lost;
        let stranded: Vec<Waker> = state.queue.pop_all(u64::MAX);
        drop(state);
        stranded.into_iter().for_each(Waker::wake);
    }
}

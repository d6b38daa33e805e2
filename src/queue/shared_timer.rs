//! One timer for many queues.
//!
//! With one timer, the queues are served in the order in which they are due. Separate timers would
//! not keep that order within microseconds. Each queue costs one slot in a tree.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crate::clock::{Timer, TimerQueue, TimerSlot};
use crate::sync::{Mutex, MutexGuard, lock};
use crate::word::Reading;

use super::dispatcher::{self, Dispatch, Dispatcher, Pass, wake};
use super::driver::{TimeDriver, TimerFactory};

pub(super) struct SharedTimer {
    drive: TimeDriver,
    state: Mutex<State>,
    dispatcher: Dispatcher,
}

struct State {
    timers: TimerQueue,
    /// A slot that is armed for an earlier instant than this requests a dispatch. It is zero while
    /// a pass runs, because the pass looks at the slots again. It is `u64::MAX` if no slot is
    /// armed.
    covered: u64,
    /// The reading of the caller that requested the dispatch.
    fresh: Option<Reading>,
    /// The slack of the timer.
    slack: Duration,
}

/// Returns a driver with the clock of `drive`, whose timers are slots of one timer of `drive`.
pub(crate) fn share_timer(drive: TimeDriver) -> TimeDriver {
    SharedTimer::new(drive).driver_of_parts()
}

/// One queue's slot of the shared timer.
struct Part {
    timer: Arc<SharedTimer>,
    slot: TimerSlot,
}

impl SharedTimer {
    /// Makes a shared timer on the timer and the clock of `drive`.
    pub(super) fn new(drive: TimeDriver) -> Arc<Self> {
        let state =
            Mutex::new(State { timers: TimerQueue::default(), covered: u64::MAX, fresh: None, slack: Duration::ZERO });
        Arc::new_cyclic(|timer| SharedTimer { drive, state, dispatcher: Dispatcher::new(timer.clone()) })
    }

    /// Returns the driver of queues whose timers are slots of this timer.
    pub(super) fn driver_of_parts(self: &Arc<Self>) -> TimeDriver {
        let timer = self.clone();
        self.drive.with_timer(TimerFactory::new(move || {
            let slot = timer.state().timers.join();
            Part { timer: timer.clone(), slot }
        }))
    }

    /// Returns whether a dispatch is running, or the timer is about to be armed.
    pub(super) fn is_busy(&self) -> bool {
        self.dispatcher.is_busy()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Dispatch for SharedTimer {
    fn dispatcher(&self) -> &Dispatcher {
        &self.dispatcher
    }

    fn drive(&self) -> Option<&TimeDriver> {
        Some(&self.drive)
    }

    /// Wakes each queue that is due, once, in order. A slot that is armed during the pass needs no
    /// request.
    fn look(&self, drive: &TimeDriver, slack: Duration, fired: bool) -> Pass {
        let mut state = self.state();
        state.slack = slack;
        let fresh = state.fresh.take().filter(|_| !fired);
        // Without an armed slot, no reading is needed.
        let time = |state: &State| state.timers.first().map_or(Reading::from_nanos(0), |_| drive.now());
        let mut now = fresh.unwrap_or_else(|| time(&state));
        let due: Vec<_> = state.timers.pop_all(now.nanos());
        if !due.is_empty() {
            state.covered = 0;
            drop(state);
            wake(due);
            state = self.state();
            now = time(&state);
        }
        let next = state.timers.first().map(Reading::from_nanos);
        state.covered = next.map_or(u64::MAX, Reading::nanos);
        Pass { now, next, woken: Vec::new() }
    }

    fn give_up(&self) {
        let mut state = self.state();
        state.covered = u64::MAX;
        self.dispatcher.close();
    }
}

impl Timer for Part {
    fn arm(&mut self, now_ns: u64, at_ns: u64, waker: &Waker) {
        let waker = waker.clone();
        let mut state = self.timer.state();
        let old = state.timers.remove(&mut self.slot);
        state.timers.insert(&mut self.slot, at_ns, waker);
        let is_first = at_ns < state.covered && self.timer.dispatcher.request();
        if is_first {
            state.fresh = Some(Reading::from_nanos(now_ns));
        }
        drop(state);
        drop(old);
        if is_first {
            dispatcher::run(&*self.timer);
        }
    }

    fn slack(&self) -> Duration {
        self.timer.state().slack
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _waker = self.timer.state().timers.remove(&mut self.slot);
    }
}

//! One timer for many queues.
//!
//! So they are served in the order in which they are due, which timers of their own would not keep
//! among the microseconds; and each costs an entry in a tree.

use std::sync::Arc;
use std::task::Waker;

use crate::clock::{Agenda, Entry, Timer};
use crate::sync::{Mutex, MutexGuard, lock};
use crate::word::Reading;

use super::pump::{self, Looked, Pump, Pumped};
use super::{Drive, wake};

pub(super) struct SharedTimer {
    drive: Drive,
    state: Mutex<State>,
    pump: Pump,
}

struct State {
    agenda: Agenda,
    /// Whoever comes in for an earlier instant calls for a look: nobody while one is under way, which
    /// looks again; anybody where nobody is waited for.
    covered: u64,
    /// The time, as whoever called for the look had just read it.
    fresh: Option<Reading>,
}

/// A queue's part of the timer.
pub(super) struct Part {
    timer: Arc<SharedTimer>,
    entry: Entry,
}

impl SharedTimer {
    /// On the timer and the clock of this drive.
    pub(super) fn new(drive: Drive) -> Arc<Self> {
        let state = Mutex::new(State { agenda: Agenda::default(), covered: u64::MAX, fresh: None });
        Arc::new_cyclic(|timer| SharedTimer { drive, state, pump: Pump::new(timer.clone()) })
    }

    pub(super) fn part(self: &Arc<Self>) -> Part {
        let entry = self.state().agenda.join();
        Part { timer: self.clone(), entry }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Pumped for SharedTimer {
    fn pump(&self) -> &Pump {
        &self.pump
    }

    fn drive(&self) -> Option<&Drive> {
        Some(&self.drive)
    }

    /// Wakes whoever is due, once and one after the other. What they arm meanwhile needs no call.
    fn look(&self, drive: &Drive, fired: bool) -> Looked {
        let mut state = self.state();
        let fresh = state.fresh.take().filter(|_| !fired);
        // Where nobody waits, nobody asks for the time.
        let time = |state: &State| state.agenda.first().map_or(Reading::from_nanos(0), |_| (drive.now)());
        let mut now = fresh.unwrap_or_else(|| time(&state));
        let due: Vec<_> = std::iter::from_fn(|| state.agenda.pop(now.nanos())).collect();
        if !due.is_empty() {
            state.covered = 0;
            drop(state);
            wake(due);
            state = self.state();
            now = time(&state);
        }
        let next = state.agenda.first().map(Reading::from_nanos);
        state.covered = next.map_or(u64::MAX, Reading::nanos);
        Looked { now, next, woken: Vec::new() }
    }

    fn give_up(&self) {
        let mut state = self.state();
        state.covered = u64::MAX;
        self.pump.close();
    }
}

impl Timer for Part {
    fn arm(&mut self, now_ns: u64, at_ns: u64, waker: &Waker) {
        let waker = waker.clone();
        let mut state = self.timer.state();
        let old = state.agenda.remove(&mut self.entry);
        state.agenda.insert(&mut self.entry, at_ns, waker);
        let is_first = at_ns < state.covered && self.timer.pump.kick();
        if is_first {
            state.fresh = Some(Reading::from_nanos(now_ns));
        }
        drop(state);
        drop(old);
        if is_first {
            pump::run(&*self.timer);
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _waker = self.timer.state().agenda.remove(&mut self.entry);
    }
}

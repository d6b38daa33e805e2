//! Timers for the waiters. They fire when a thread of the model fires them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::Waker;

use brimful::Timer;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::sync::{Condvar, Mutex, MutexGuard};
use loom::thread::ThreadId;

/// All timers of an execution, and the time that they move.
pub(crate) struct ModelTimers {
    time: Arc<AtomicU64>,
    made: AtomicUsize,
    state: Mutex<Armed>,
    changed: Condvar,
    /// The number of threads, not counting the timekeeper.
    others: usize,
    faults: TimerFaults,
    armings: AtomicUsize,
    /// The thread on which every arming panics.
    broken: std::sync::Mutex<Option<ThreadId>>,
}

/// The ways in which timers misbehave.
#[derive(Clone, Default)]
pub(crate) struct TimerFaults {
    /// A timer wakes its waker from within `arm`, the first time that it is armed.
    pub(crate) wake_when_armed: bool,
    /// The numbers of the armings that panic, in the order of all armings.
    pub(crate) panicking: Range<usize>,
}

#[derive(Default)]
struct Armed {
    /// By the number of the timer: the instant for which it is armed, and the waker.
    timers: BTreeMap<usize, (u64, Waker)>,
    /// The number of threads that have ended.
    done: usize,
}

impl ModelTimers {
    pub(crate) fn new(time: Arc<AtomicU64>, others: usize, faults: TimerFaults) -> Arc<Self> {
        let (made, armings, state) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Armed::default()));
        let (changed, broken) = (Condvar::new(), std::sync::Mutex::new(None));
        Arc::new(ModelTimers { time, made, state, changed, others, faults, armings, broken })
    }

    pub(crate) fn timer(timers: &Arc<ModelTimers>) -> Box<dyn Timer> {
        let number = timers.made.fetch_add(1, Ordering::Relaxed);
        Box::new(ModelTimer { timers: timers.clone(), number, wake_when_armed: timers.faults.wake_when_armed })
    }

    fn state(&self) -> MutexGuard<'_, Armed> {
        self.state.lock().expect("a failed model ends at once")
    }

    /// Fires the first armed timer, and moves the time to its instant. Returns whether a timer was
    /// armed.
    pub(crate) fn fire(&self) -> bool {
        let first = self.state().pop_first();
        let fired = first.is_some();
        if let Some((at, waker)) = first {
            self.time.fetch_max(at, Ordering::Relaxed);
            waker.wake();
        }
        fired
    }

    /// Fires the first armed timer. Every arming on this thread panics meanwhile.
    pub(crate) fn fire_broken(&self) {
        let broken = |thread| *self.broken.lock().expect("a failed model ends at once") = thread;
        broken(Some(loom::thread::current().id()));
        self.fire();
        broken(None);
    }

    fn is_broken(&self) -> bool {
        *self.broken.lock().expect("a failed model ends at once") == Some(loom::thread::current().id())
    }

    /// Fires every armed timer, until the other threads have ended.
    pub(crate) fn fire_until_done(&self) {
        loop {
            let mut state = self.state();
            while state.timers.is_empty() && state.done < self.others {
                state = self.changed.wait(state).expect("a failed model ends at once");
            }
            if state.done == self.others {
                return;
            }
            drop(state);
            self.fire();
        }
    }

    /// Records that a thread has ended.
    pub(crate) fn done(&self) {
        self.state().done += 1;
        self.changed.notify_one();
    }
}

impl Armed {
    fn pop_first(&mut self) -> Option<(u64, Waker)> {
        let first = self.timers.iter().min_by_key(|&(_, &(at, _))| at).map(|(&number, _)| number)?;
        self.timers.remove(&first)
    }
}

impl Drop for ModelTimer {
    fn drop(&mut self) {
        let _old = self.timers.state().timers.remove(&self.number);
    }
}

struct ModelTimer {
    timers: Arc<ModelTimers>,
    number: usize,
    wake_when_armed: bool,
}

impl Timer for ModelTimer {
    fn arm(&mut self, _: u64, at_ns: u64, waker: &Waker) {
        let arming = self.timers.armings.fetch_add(1, Ordering::Relaxed);
        if self.timers.faults.panicking.contains(&arming) || self.timers.is_broken() {
            // `resume_unwind` does not call the panic hook, so the model does not fail.
            resume_unwind(Box::new("a timer panics"));
        }
        let _old = self.timers.state().timers.insert(self.number, (at_ns, waker.clone()));
        self.timers.changed.notify_one();
        if std::mem::take(&mut self.wake_when_armed) {
            waker.wake_by_ref();
        }
    }
}

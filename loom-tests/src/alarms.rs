//! The timers of those who wait, which fire when a thread of the model says so.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::Waker;

use brimful::Timer;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::sync::{Condvar, Mutex, MutexGuard};

/// All timers of an execution, and the time that they move.
pub(crate) struct Alarms {
    time: Arc<AtomicU64>,
    made: AtomicUsize,
    state: Mutex<Armed>,
    changed: Condvar,
    /// Threads beside the one that keeps the time.
    others: usize,
    whims: Whims,
    armings: AtomicUsize,
}

/// What timers may do beside what they are for.
#[derive(Clone, Default)]
pub(crate) struct Whims {
    /// One wakes at once where it is armed for the first time.
    pub(crate) hasty: bool,
    /// These armings panic, of all in their order.
    pub(crate) broken: Range<usize>,
}

#[derive(Default)]
struct Armed {
    /// By the timer's number: when it is to wake whom.
    timers: BTreeMap<usize, (u64, Waker)>,
    /// Threads that have done all that they do.
    through: usize,
}

impl Alarms {
    pub(crate) fn new(time: Arc<AtomicU64>, others: usize, whims: Whims) -> Arc<Self> {
        let (made, armings, state) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Armed::default()));
        Arc::new(Alarms { time, made, state, changed: Condvar::new(), others, whims, armings })
    }

    pub(crate) fn timer(alarms: &Arc<Alarms>) -> Box<dyn Timer> {
        let number = alarms.made.fetch_add(1, Ordering::Relaxed);
        Box::new(ModelTimer { alarms: alarms.clone(), number, hasty: alarms.whims.hasty })
    }

    fn state(&self) -> MutexGuard<'_, Armed> {
        self.state.lock().expect("a failed model ends at once")
    }

    /// The first timer that is armed fires: it is its time now. Tells whether one was armed.
    pub(crate) fn fire(&self) -> bool {
        let first = self.state().pop_first();
        let fired = first.is_some();
        if let Some((at, waker)) = first {
            self.time.fetch_max(at, Ordering::Relaxed);
            waker.wake();
        }
        fired
    }

    /// Fires whatever is armed, until the other threads are through.
    pub(crate) fn keep(&self) {
        loop {
            let mut state = self.state();
            while state.timers.is_empty() && state.through < self.others {
                state = self.changed.wait(state).expect("a failed model ends at once");
            }
            if state.through == self.others {
                return;
            }
            drop(state);
            self.fire();
        }
    }

    /// A thread is through.
    pub(crate) fn through(&self) {
        self.state().through += 1;
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
        let _old = self.alarms.state().timers.remove(&self.number);
    }
}

struct ModelTimer {
    alarms: Arc<Alarms>,
    number: usize,
    hasty: bool,
}

impl Timer for ModelTimer {
    fn arm(&mut self, _: u64, at_ns: u64, waker: &Waker) {
        let arming = self.alarms.armings.fetch_add(1, Ordering::Relaxed);
        if self.alarms.whims.broken.contains(&arming) {
            // So it is not taken for a failure of the model.
            resume_unwind(Box::new("a timer's own affair"));
        }
        let _old = self.alarms.state().timers.insert(self.number, (at_ns, waker.clone()));
        self.alarms.changed.notify_one();
        if std::mem::take(&mut self.hasty) {
            waker.wake_by_ref();
        }
    }
}

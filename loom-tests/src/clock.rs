//! A clock whose readings differ between threads, and move between a call's reading and its write.
//! The timers of the waiters follow it.

use std::sync::Arc;

use brimful::{Clock, Timer};
use loom::sync::atomic::{AtomicU64, Ordering};

use crate::history::Recorder;
use crate::timers::ModelTimers;

/// The readings that a thread gets from the clock.
#[derive(Clone, Copy)]
pub enum Readings {
    /// The readings of the first call, of the second call, and so on. One reading more than the
    /// script has fails the model.
    Script(&'static [&'static [u64]]),
    /// One reading for each call. A call that reads the clock again gets the same value.
    Calls(&'static [u64]),
    /// A time that all such threads share, plus the skew of this thread. Every reading advances the
    /// time by `step`, so the readings differ with the interleaving.
    Shared {
        /// Nanoseconds from one reading to the next.
        step: u64,
        /// Nanoseconds by which this thread is ahead of the shared time.
        skew: i64,
    },
}

/// The clock of a model.
pub struct ModelClock {
    time: Arc<AtomicU64>,
    readings: Arc<Vec<Readings>>,
    recorder: Arc<Recorder>,
    timers: Arc<ModelTimers>,
    /// The clock belongs to a queue.
    copied: bool,
}

impl ModelClock {
    pub(crate) fn new(
        time: Arc<AtomicU64>,
        readings: Vec<Readings>,
        recorder: Arc<Recorder>,
        timers: Arc<ModelTimers>,
    ) -> Self {
        ModelClock { time, readings: Arc::new(readings), recorder, timers, copied: false }
    }

    /// Sets the shared time, after all threads have ended.
    pub(crate) fn set(&self, nanos: u64) {
        self.time.store(nanos, Ordering::Relaxed);
    }
}

/// The limiter keeps the clock. Each queue has a copy, which reads the shared time.
impl Clone for ModelClock {
    fn clone(&self) -> Self {
        let ModelClock { time, readings, recorder, timers, .. } = self;
        let (time, readings) = (time.clone(), readings.clone());
        ModelClock { time, readings, recorder: recorder.clone(), timers: timers.clone(), copied: true }
    }
}

impl Clock for ModelClock {
    // Relaxed: a clock orders nothing, so the model must not get order from it.
    fn now(&self) -> u64 {
        if self.copied {
            let value = self.time.load(Ordering::Relaxed);
            self.recorder.queue_read(value);
            return value;
        }
        let (caller, call, nth) = self.recorder.reader();
        // Before the threads start and after they end, only timers move the time.
        let readings = self.readings.get(caller).copied().unwrap_or(Readings::Shared { step: 0, skew: 0 });
        let value = match readings {
            Readings::Script(calls) => *calls
                .get(call)
                .and_then(|call| call.get(nth))
                .unwrap_or_else(|| panic!("thread {caller} read the clock once more: call {call}, reading {nth}")),
            Readings::Calls(calls) => {
                *calls.get(call).unwrap_or_else(|| panic!("thread {caller} read the clock in call {call}"))
            }
            Readings::Shared { step, skew } => self.time.fetch_add(step, Ordering::Relaxed).saturating_add_signed(skew),
        };
        self.recorder.read(caller, value);
        value
    }

    fn timer(&self) -> Option<Box<dyn Timer>> {
        Some(ModelTimers::timer(&self.timers))
    }
}

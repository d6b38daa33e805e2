//! A clock whose readings differ from thread to thread, and move between a call's reading and
//! its write; and what wakes those who wait by it.

use std::sync::Arc;

use brimful::{Clock, Timer};
use loom::sync::atomic::{AtomicU64, Ordering};

use crate::alarms::Alarms;
use crate::history::Recorder;

/// What a thread reads from the clock.
#[derive(Clone, Copy)]
pub enum Hand {
    /// The readings of its first call, of its second, and so on. A reading more than the
    /// script foresees fails the model.
    Script(&'static [&'static [u64]]),
    /// The one reading of its first call, of its second, and so on, however often they look.
    Calls(&'static [u64]),
    /// The time that all such threads share, plus this thread's skew. Every reading moves that
    /// time on by `step`, so it differs with the interleaving.
    Shared {
        /// Nanoseconds from one reading to the next.
        step: u64,
        /// Nanoseconds by which this thread is ahead.
        skew: i64,
    },
}

/// The clock of a model.
pub struct ModelClock {
    time: Arc<AtomicU64>,
    hands: Arc<Vec<Hand>>,
    recorder: Arc<Recorder>,
    alarms: Arc<Alarms>,
    /// It is a queue's.
    copied: bool,
}

impl ModelClock {
    pub(crate) fn new(time: Arc<AtomicU64>, hands: Vec<Hand>, recorder: Arc<Recorder>, alarms: Arc<Alarms>) -> Self {
        ModelClock { time, hands: Arc::new(hands), recorder, alarms, copied: false }
    }

    /// Moves the shared time, when all threads are over.
    pub(crate) fn set(&self, nanos: u64) {
        self.time.store(nanos, Ordering::Relaxed);
    }
}

/// The limiter keeps the clock, and its queues have a copy, which reads the time that all share.
impl Clone for ModelClock {
    fn clone(&self) -> Self {
        let ModelClock { time, hands, recorder, alarms, .. } = self;
        let (time, hands) = (time.clone(), hands.clone());
        ModelClock { time, hands, recorder: recorder.clone(), alarms: alarms.clone(), copied: true }
    }
}

impl Clock for ModelClock {
    // Relaxed: a clock orders nothing, so the model must not get order from it.
    fn now(&self) -> u64 {
        if self.copied {
            let value = self.time.load(Ordering::Relaxed);
            self.recorder.looked(value);
            return value;
        }
        let (who, call, nth) = self.recorder.reader();
        // Before and after the threads, only timers move it.
        let hand = self.hands.get(who).copied().unwrap_or(Hand::Shared { step: 0, skew: 0 });
        let value = match hand {
            Hand::Script(calls) => *calls
                .get(call)
                .and_then(|call| call.get(nth))
                .unwrap_or_else(|| panic!("thread {who} read the clock once more: call {call}, reading {nth}")),
            Hand::Calls(calls) => {
                *calls.get(call).unwrap_or_else(|| panic!("thread {who} read the clock in call {call}"))
            }
            Hand::Shared { step, skew } => self.time.fetch_add(step, Ordering::Relaxed).saturating_add_signed(skew),
        };
        self.recorder.read(who, value);
        value
    }

    fn timer(&self) -> Option<Box<dyn Timer>> {
        Some(Alarms::timer(&self.alarms))
    }
}

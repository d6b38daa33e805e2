//! A clock whose readings differ from thread to thread, and move between a call's reading and
//! its write.

use brimful::Clock;
use loom::sync::atomic::{AtomicU64, Ordering};

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
    time: AtomicU64,
    hands: Vec<Hand>,
    recorder: std::sync::Arc<Recorder>,
}

impl ModelClock {
    pub(crate) fn new(start: u64, hands: Vec<Hand>, recorder: std::sync::Arc<Recorder>) -> Self {
        ModelClock { time: AtomicU64::new(start), hands, recorder }
    }
}

impl Clock for ModelClock {
    fn now(&self) -> u64 {
        let (who, call, nth) = self.recorder.reader();
        let value = match self.hands[who] {
            Hand::Script(calls) => *calls
                .get(call)
                .and_then(|call| call.get(nth))
                .unwrap_or_else(|| panic!("thread {who} read the clock once more: call {call}, reading {nth}")),
            Hand::Calls(calls) => {
                *calls.get(call).unwrap_or_else(|| panic!("thread {who} read the clock in call {call}"))
            }
            // Relaxed: a clock orders nothing, so the model must not get order from it.
            Hand::Shared { step, skew } => self.time.fetch_add(step, Ordering::Relaxed).saturating_add_signed(skew),
        };
        self.recorder.read(who, value);
        value
    }
}

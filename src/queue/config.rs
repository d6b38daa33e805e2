//! The configuration that the queues of a limiter share: the clock, the timer, and the limits.

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use super::shared_timer::SharedTimer;
use super::state::Rule;
use crate::clock::Timer;
use crate::sync::OnceLock;
use crate::word::Reading;

/// A factory for a queue's timer.
#[derive(Clone)]
pub(crate) struct TimerFactory(Arc<dyn Fn() -> Box<dyn Timer> + Send + Sync>);

impl TimerFactory {
    pub(crate) fn new<T: Timer + 'static>(make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        TimerFactory(Arc::new(move || Box::new(make())))
    }

    pub(super) fn make(&self) -> Box<dyn Timer> {
        (self.0)()
    }
}

/// The clock that a queue reads, and the timer that wakes the queue.
pub(crate) struct TimeDriver {
    pub(super) now: Arc<dyn Fn() -> Reading + Send + Sync>,
    timer: TimerFactory,
    /// The one timer of all queues of a table; `None` for a lone limiter.
    pub(super) shared: Option<Arc<SharedTimer>>,
}

impl TimeDriver {
    pub(crate) fn new(now: impl Fn() -> Reading + Send + Sync + 'static, timer: TimerFactory) -> Self {
        TimeDriver { now: Arc::new(now), timer, shared: None }
    }

    /// Returns the same driver for many queues, whose timers are slots of one shared timer.
    pub(crate) fn shared(self) -> Self {
        TimeDriver { now: self.now.clone(), timer: self.timer.clone(), shared: Some(SharedTimer::new(self)) }
    }

    pub(super) fn timer(&self) -> Box<dyn Timer> {
        match &self.shared {
            None => self.timer.make(),
            Some(shared) => Box::new(shared.part()),
        }
    }
}

// The clock and the timer factory are user code. They may panic, and may leave the state that they
// share with their user as it is at that moment. Nothing of this crate is half done then, so
// waiting does not make a limiter less safe to use after a panic.
impl UnwindSafe for TimerFactory {}
impl RefUnwindSafe for TimerFactory {}
impl UnwindSafe for TimeDriver {}
impl RefUnwindSafe for TimeDriver {}

/// The configuration that all queues of a limiter share.
pub(crate) struct QueueConfig {
    pub(crate) rule: Rule,
    /// The most waiters on one bucket.
    pub(crate) max_waiters: u32,
    /// The timer factory that the user chose, if any.
    timer: Option<TimerFactory>,
    /// Set when the first waiter arrives.
    pub(super) drive: OnceLock<TimeDriver>,
}

impl QueueConfig {
    pub(crate) fn new(rule: Rule, max_waiters: u32, timer: Option<TimerFactory>) -> Arc<Self> {
        Arc::new(QueueConfig { rule, max_waiters, timer, drive: OnceLock::new() })
    }

    /// Reads the clock. Returns `None` if no caller has ever waited.
    pub(super) fn now(&self) -> Option<Reading> {
        self.drive.get().map(|drive| (drive.now)())
    }

    /// Sets the driver of the queues, unless an earlier waiter has set it.
    pub(crate) fn drive(&self, make: impl FnOnce(Option<&TimerFactory>) -> TimeDriver) {
        self.drive.get_or_init(|| make(self.timer.as_ref()));
    }
}

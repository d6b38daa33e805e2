//! The configuration that the queues of a limiter share: the clock, the timer, and the limits.

use std::sync::Arc;

use super::driver::{TimeDriver, TimerFactory};
use super::shared_timer::SharedTimer;
use crate::algorithm::Terms;
use crate::cell::QuotaCell;
use crate::sync::OnceLock;
use crate::word::Reading;

/// The configuration that all queues of a limiter share.
pub(crate) struct QueueConfig {
    /// The quota of every bucket.
    quota: Arc<QuotaCell>,
    /// The most waiters on one bucket.
    pub(crate) max_waiters: u32,
    /// The timer factory that the user chose, if any.
    timer: Option<TimerFactory>,
    /// Set when the first waiter arrives.
    drive: OnceLock<Drive>,
}

struct Drive {
    /// The driver of each queue.
    each: TimeDriver,
    /// The one timer of all queues of a table; `None` for a lone limiter.
    shared: Option<Arc<SharedTimer>>,
}

impl QueueConfig {
    pub(crate) fn new(quota: Arc<QuotaCell>, max_waiters: u32, timer: Option<TimerFactory>) -> Arc<Self> {
        Arc::new(QueueConfig { quota, max_waiters, timer, drive: OnceLock::new() })
    }

    /// Returns the current terms, for a reading that was taken before.
    pub(crate) fn terms(&self) -> Terms<'_> {
        self.quota.terms()
    }

    /// Sets the driver of the queue, unless an earlier waiter has set it.
    pub(crate) fn drive(&self, make: impl FnOnce(Option<&TimerFactory>) -> TimeDriver) {
        self.drive.get_or_init(|| Drive { each: make(self.timer.as_ref()), shared: None });
    }

    /// Sets the driver of many queues, whose timers are slots of one timer.
    pub(crate) fn drive_all(&self, make: impl FnOnce(Option<&TimerFactory>) -> TimeDriver) {
        self.drive.get_or_init(|| {
            let shared = SharedTimer::new(make(self.timer.as_ref()));
            Drive { each: shared.driver_of_parts(), shared: Some(shared) }
        });
    }

    /// Returns the driver of a queue; `None` if no caller has ever waited.
    pub(super) fn driver(&self) -> Option<&TimeDriver> {
        self.drive.get().map(|drive| &drive.each)
    }

    /// Reads the clock. Returns `None` if no caller has ever waited.
    pub(super) fn now(&self) -> Option<Reading> {
        self.driver().map(TimeDriver::now)
    }

    /// Returns whether the timer that the queues share is about to be armed.
    pub(super) fn is_shared_timer_busy(&self) -> bool {
        self.drive.get().and_then(|drive| drive.shared.as_ref()).is_some_and(|shared| shared.is_busy())
    }
}

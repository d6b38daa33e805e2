//! The configuration of the queues of a concurrency limit: the most waiters, the clock and the timer.

use std::sync::Arc;

use crate::queue::{TimeDriver, TimerFactory, share_timer};
use crate::sync::OnceLock;

/// The most waiters on one limit, by default.
const MAX_WAITERS: u32 = 1 << 20;

/// The configuration that the queues of one limit, or of all its keys, share.
pub(crate) struct PermitConfig {
    /// The most waiters in one queue.
    pub(crate) max_waiters: u32,
    /// The timer factory that the user chose, if any.
    timer: Option<TimerFactory>,
    /// Set when the first waiter with a deadline arrives.
    drive: OnceLock<TimeDriver>,
}

impl PermitConfig {
    pub(crate) fn new(max_waiters: Option<u32>, timer: Option<TimerFactory>) -> Arc<Self> {
        let max_waiters = max_waiters.unwrap_or(MAX_WAITERS);
        Arc::new(PermitConfig { max_waiters, timer, drive: OnceLock::new() })
    }

    /// Sets the driver of the queue, unless an earlier waiter has set it.
    pub(super) fn drive(&self, make: impl FnOnce(Option<&TimerFactory>) -> TimeDriver) {
        self.drive.get_or_init(|| make(self.timer.as_ref()));
    }

    /// Sets the driver of many queues, whose timers are slots of one timer.
    pub(super) fn drive_all(&self, make: impl FnOnce(Option<&TimerFactory>) -> TimeDriver) {
        self.drive.get_or_init(|| share_timer(make(self.timer.as_ref())));
    }

    /// Returns the driver; `None` if no caller has ever waited with a deadline.
    pub(super) fn driver(&self) -> Option<&TimeDriver> {
        self.drive.get()
    }
}

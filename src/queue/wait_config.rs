//! [`WaitConfig`]: the most waiters of a queue, the clock and the timer.

use std::sync::Arc;

use super::driver::{TimeDriver, TimerFactory};
use super::shared_timer::share_timer;
use crate::sync::OnceLock;

/// The most waiters on one limit, by default.
const MAX_WAITERS: u32 = 1 << 20;

/// The configuration that the queues of one limit, or of all its keys, share. Only queues whose bucket's word is
/// handed over to them need a [`QueueConfig`](super::QueueConfig).
pub(crate) struct WaitConfig {
    /// The most waiters in one queue.
    pub(crate) max_waiters: u32,
    /// The timer factory that the user chose, if any.
    timer: Option<TimerFactory>,
    /// Set when the first waiter that needs a timer arrives.
    drive: OnceLock<TimeDriver>,
}

impl WaitConfig {
    pub(crate) fn new(max_waiters: Option<u32>, timer: Option<TimerFactory>) -> Arc<Self> {
        let max_waiters = max_waiters.unwrap_or(MAX_WAITERS);
        Arc::new(WaitConfig { max_waiters, timer, drive: OnceLock::new() })
    }

    /// Sets the driver of the queue, unless an earlier waiter has set it.
    pub(crate) fn drive(&self, make: impl FnOnce(Option<&TimerFactory>) -> TimeDriver) {
        self.drive.get_or_init(|| make(self.timer.as_ref()));
    }

    /// Sets the driver of many queues, whose timers are slots of one timer.
    pub(crate) fn drive_all(&self, make: impl FnOnce(Option<&TimerFactory>) -> TimeDriver) {
        self.drive.get_or_init(|| share_timer(make(self.timer.as_ref())));
    }

    /// Returns the driver; `None` if no caller that needs a timer has ever waited.
    pub(crate) fn driver(&self) -> Option<&TimeDriver> {
        self.drive.get()
    }
}

//! [`FullHook`]: the user's function for the decisions that full tables forced.

use std::sync::Arc;
use std::task::Wake;

use crate::sync::{AtomicU64, Ordering};
use crate::table::FullEvent;

/// Counts the decisions that full tables forced, and calls the user's function for each of them later. The tables of a
/// composite are also used under the lock of a queue, and before a decision is complete.
pub(crate) struct FullHook {
    call: Box<dyn Fn(FullEvent) + Send + Sync>,
    /// The events that are not yet reported. Relaxed: counts, which order nothing.
    evicted: AtomicU64,
    refused: AtomicU64,
}

impl FullHook {
    pub(super) fn new(call: impl Fn(FullEvent) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(FullHook { call: Box::new(call), evicted: AtomicU64::new(0), refused: AtomicU64::new(0) })
    }

    /// Called by a table.
    pub(super) fn keep(&self, event: FullEvent) {
        let events = match event {
            FullEvent::Evicted => &self.evicted,
            FullEvent::Refused => &self.refused,
        };
        events.fetch_add(1, Ordering::Relaxed);
    }

    /// Calls the user's function for each event that is not yet reported. Called last, with no lock held.
    pub(super) fn report(&self) {
        for (events, event) in [(&self.evicted, FullEvent::Evicted), (&self.refused, FullEvent::Refused)] {
            // One by one, so that none is lost if the function panics.
            let one_less = |count: u64| count.checked_sub(1);
            while events.load(Ordering::Relaxed) > 0
                && events.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
            {
                (self.call)(event);
            }
        }
    }
}

/// A dispatch wakes it after the waiters.
impl Wake for FullHook {
    fn wake(self: Arc<Self>) {
        self.report();
    }
}

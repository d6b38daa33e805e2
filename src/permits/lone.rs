//! [`Permits`]: the permits of one limit: the word, and the queue.

use std::sync::Arc;
use std::task::Waker;

use crate::queue::{TimeDriver, TimerFactory, WaitConfig, in_drop, wake};
use crate::sync::OnceLock;

use super::cell::PermitCell;
use super::queue::{Entered, PermitQueue, PermitRequest};
use super::word::PermitWord;

/// The reason why a call that does not wait got no permit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unavailable {
    /// The word that was seen: as many permits are in flight as permitted, or callers wait.
    NoPermit(PermitWord),
    Closed,
}

/// The permits of one limit, or of one key.
pub(crate) struct Permits {
    cell: PermitCell,
    /// Made when a caller waits for the first time, before the word is queued.
    queue: OnceLock<Arc<PermitQueue>>,
}

impl Permits {
    #[cfg(not(brimful_loom))]
    pub(crate) const fn new(word: PermitWord) -> Permits {
        Permits { cell: PermitCell::new(word), queue: OnceLock::new() }
    }

    /// The cell of the queue is not modelled, so the models have a queue from the start.
    #[cfg(brimful_loom)]
    pub(crate) fn new(word: PermitWord) -> Permits {
        Permits::on(word, WaitConfig::new(None, None))
    }

    /// Returns the permits of a key.
    pub(super) fn of_key(word: PermitWord) -> Permits {
        Permits { cell: PermitCell::new(word), queue: OnceLock::new() }
    }

    /// Returns the permits of a limit whose queue has this configuration.
    pub(crate) fn on(word: PermitWord, config: Arc<WaitConfig>) -> Permits {
        Permits { cell: PermitCell::new(word), queue: OnceLock::from(PermitQueue::new(config)) }
    }

    #[inline]
    pub(crate) fn word(&self) -> PermitWord {
        self.cell.word()
    }

    /// Returns whether a permit is free.
    pub(crate) fn has_permit(&self) -> bool {
        self.word().has_permit()
    }

    /// Returns the number of waiters.
    pub(crate) fn waiting(&self) -> u32 {
        self.queue.get().map_or(0, |queue| queue.waiting())
    }

    pub(super) fn queue_if_made(&self) -> Option<Arc<PermitQueue>> {
        self.queue.get().cloned()
    }

    /// Returns whether no permit is out and no caller waits.
    pub(super) fn is_idle(&self) -> bool {
        self.word().in_flight() == 0 && self.queue.get().is_none_or(|queue| queue.is_empty())
    }

    /// Orders what the caller did before, and the permits that are given back: the caller sees them, or the thread that
    /// gives one back sees what the caller did.
    pub(crate) fn meet(&self) {
        self.cell.meet();
    }

    /// Takes a permit, unless callers wait.
    #[inline]
    pub(crate) fn take(&self) -> Result<(), Unavailable> {
        self.cell.take().map_err(
            |word| {
                if word.is_closed() { Unavailable::Closed } else { Unavailable::NoPermit(word) }
            },
        )
    }

    /// Takes a permit as [`take`](Permits::take) does. Unless it is [kept](Hold::keep), it is given back when the result
    /// is dropped, and `after` is called then.
    #[inline]
    pub(crate) fn hold<F: Fn()>(&self, after: F) -> Result<Hold<'_, F>, Unavailable> {
        self.take()?;
        Ok(Hold { permits: self, after })
    }

    fn queue(&self, config: impl FnOnce() -> Arc<WaitConfig>) -> &Arc<PermitQueue> {
        self.queue.get_or_init(|| PermitQueue::new(config()))
    }

    /// Takes a permit or joins the queue, as [`PermitQueue::enter`]. `drive` makes the driver, if there is a
    /// deadline.
    pub(super) fn enter(
        &self,
        config: impl FnOnce() -> Arc<WaitConfig>,
        request: &mut PermitRequest,
    ) -> (Entered, bool) {
        self.queue(config).enter(&self.cell, request)
    }

    /// Sets the clock and the timer of the queue, unless an earlier waiter has set them.
    pub(super) fn drive(&self, make: impl FnOnce(Option<&TimerFactory>) -> TimeDriver) {
        self.queue(default_config).config().drive(make);
    }

    /// Gives a permit back, and wakes the waiter that gets it.
    #[inline]
    pub(crate) fn give_back(&self) {
        if self.cell.give_back() {
            wake(self.serve());
        }
    }

    /// The same, for a caller that holds a lock. The caller wakes the returned wakers when it holds none.
    #[must_use = "the waiters have to be woken"]
    pub(super) fn give_back_apart(&self) -> Vec<Waker> {
        if self.cell.give_back() { self.serve() } else { Vec::new() }
    }

    /// Sets the limit, and wakes the waiters that get a permit.
    pub(crate) fn resize(&self, limit: usize) {
        wake(self.set_limit(limit));
    }

    /// Refuses every call, now and later.
    pub(crate) fn close(&self) {
        wake(self.close_apart(default_config));
    }

    /// Sets the limit. The caller wakes the returned wakers when it holds no lock.
    #[must_use = "the waiters have to be woken"]
    pub(super) fn set_limit(&self, limit: usize) -> Vec<Waker> {
        if self.cell.set_limit(limit) { self.serve() } else { Vec::new() }
    }

    #[cold]
    #[inline(never)]
    fn serve(&self) -> Vec<Waker> {
        self.queue.get().map_or_else(Vec::new, |queue| queue.serve(&self.cell))
    }

    /// Refuses every call, now and later. The caller wakes the returned wakers when it holds no lock.
    #[must_use = "the waiters have to be woken"]
    pub(super) fn close_apart(&self, config: impl FnOnce() -> Arc<WaitConfig>) -> Vec<Waker> {
        self.queue(config).close(&self.cell)
    }
}

/// A permit for a call that is not admitted yet.
pub(crate) struct Hold<'a, F: Fn()> {
    permits: &'a Permits,
    after: F,
}

impl<F: Fn()> Hold<'_, F> {
    /// The call is admitted.
    #[inline]
    pub(crate) fn keep(self) {
        std::mem::forget(self);
    }
}

impl<F: Fn()> Drop for Hold<'_, F> {
    fn drop(&mut self) {
        // Waiters may be served, by the clock and the timer of the user.
        in_drop(|| {
            self.permits.give_back();
            (self.after)();
        });
    }
}

/// The configuration of a limit whose builder set none.
pub(super) fn default_config() -> Arc<WaitConfig> {
    WaitConfig::new(None, None)
}

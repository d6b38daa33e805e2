//! The queue of a lone limiter, and the operations on a word that was handed over to it.

use std::sync::Arc;

use crate::algorithm::Terms;
use crate::algorithm::token_bucket::{self, Demand};
use crate::cell::{self, Taken, TermsSource, TimeSource};
use crate::clock::Clock;
use crate::queue::{Queue, QueueCell, QueueConfig, TimeDriver, TimerFactory, WaitRequest};
use crate::table::Arrival;
use crate::word::{Reading, Snapshot, Units, Word};

use super::rate_limiter::RateLimiter;

/// The most waiters on one limiter, by default.
pub(crate) const MAX_WAITERS: u32 = 1 << 20;

impl<C> RateLimiter<C> {
    /// Returns the same limiter, with a queue of at most `most` waiters on this timer.
    pub(crate) fn with_queue(self, most: u32, timer: Option<TimerFactory>) -> Self {
        let waiters = QueueCell::on(QueueConfig::new(self.changed_quota().clone(), most, timer));
        self.with_waiters(waiters)
    }

    pub(super) fn queue(&self) -> &Arc<Queue> {
        self.queue_cell().queue(|| QueueConfig::new(self.changed_quota().clone(), MAX_WAITERS, None))
    }

    /// Takes a snapshot after the word was seen to be with the queue. Returns `None` if it is back
    /// in its cell by then.
    #[cold]
    pub(crate) fn peek_lent(&self, leaving: Units, now: Reading) -> Option<Snapshot> {
        let queue = self.queue();
        queue.work_for(self.cells(), |state| state.snapshot(&queue.config().terms(), leaving, now))
    }

    /// Takes tokens or joins the queue.
    #[cold]
    pub(crate) fn enter(
        &self,
        call: &mut WaitRequest,
        now: Reading,
        drive: impl FnOnce(Option<&TimerFactory>) -> TimeDriver,
    ) -> Arrival {
        let queue = self.queue();
        queue.config().drive(drive);
        let (enqueued, needs_dispatch) = queue.enter_for(self.cells(), |word| self.home(word, now), call, now);
        Arrival::Enqueued { queue: queue.clone(), enqueued, needs_dispatch, event: None }
    }

    /// Returns the word of a bucket for a word from the cell, which starts at `now` if it has not
    /// started.
    fn home(&self, word: Word, now: Reading) -> Word {
        if word.is_special() {
            token_bucket::started(&Terms::of(self.layout()), now, self.initial_units())
        } else {
            word
        }
    }

    /// Refuses every wait, now and later.
    pub(crate) fn close_queue(&self, now: Reading) {
        self.queue().close(self.cells(), |word| self.home(word, now));
    }

    /// Hands the word back to its cell if there are no waiters.
    pub(crate) fn take_back(&self) {
        self.queue().hand_back_if_idle(self.cells());
    }

    /// Returns the number of waiters for which the timer is armed.
    pub(crate) fn waiting(&self) -> u32 {
        self.queue_cell().waiting()
    }
}

impl<C: Clock> RateLimiter<C> {
    /// Takes tokens after the word was seen to be with the queue.
    #[cold]
    #[inline(never)]
    pub(crate) fn take_lent(&self, demand: Demand, source: TimeSource<'_, C>) -> Taken {
        let queue = self.queue();
        loop {
            let lent = queue.work_for(self.cells(), |state| {
                let now = source.read();
                state.take(&queue.config().terms(), demand, now)
            });
            let taken = lent.or_else(|| match self.second() {
                Some(second) => cell::take_exact(&second, second.terms(), demand, source),
                None => cell::take_exact(self, TermsSource::fixed(self.layout()), demand, source),
            });
            if let Some(taken) = taken {
                return taken;
            }
        }
    }

    /// Changes the word after it was seen to be with the queue. Returns `None` if it is back in its
    /// cell by then.
    #[cold]
    pub(crate) fn change_lent(
        &self,
        source: TimeSource<'_, C>,
        change: impl FnOnce(&Terms<'_>, Word, Reading) -> (Word, Units),
    ) -> Option<Units> {
        let queue = self.queue();
        queue.work_for(self.cells(), |state| {
            let now = source.read();
            state.change(&queue.config().terms(), now, change)
        })
    }
}

//! [`Queue`]: the queue of one bucket.

use std::fmt;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::config::QueueConfig;
use super::dispatcher::{self, Dispatch, Dispatcher, Pass, once_idle, wake};
use super::driver::TimeDriver;
use super::state::{Enqueued, QueueState, WaitRequest};
use super::wait_list::{Id, Outcome, poll_entry};
use crate::cell::Cells;
use crate::sync::{Mutex, MutexGuard, OnceLock, ignore_panic, lock, try_lock};
use crate::word::{Reading, Word};

/// The queue of a lone limiter, made when a caller waits for the first time.
pub(crate) struct QueueCell(OnceLock<Arc<Queue>>);

impl QueueCell {
    pub(crate) const fn new() -> Self {
        QueueCell(OnceLock::new())
    }

    pub(crate) fn on(config: Arc<QueueConfig>) -> Self {
        QueueCell(OnceLock::from(Queue::new(config, None)))
    }

    pub(crate) fn queue(&self, config: impl FnOnce() -> Arc<QueueConfig>) -> &Arc<Queue> {
        self.0.get_or_init(|| Queue::new(config(), None))
    }

    /// Returns the number of waiters.
    pub(crate) fn waiting(&self) -> u32 {
        self.0.get().map_or(0, |queue| queue.waiting())
    }
}

/// The queue of one bucket.
pub(crate) struct Queue {
    config: Arc<QueueConfig>,
    state: Mutex<QueueState>,
    dispatcher: Dispatcher,
}

impl Queue {
    /// Makes a queue, with the bucket's word if the queue holds it from the start.
    pub(crate) fn new(config: Arc<QueueConfig>, word: Option<Word>) -> Arc<Self> {
        Arc::new_cyclic(|queue| Queue {
            config,
            state: Mutex::new(QueueState::new(word)),
            dispatcher: Dispatcher::new(queue.clone()),
        })
    }

    pub(crate) fn config(&self) -> &QueueConfig {
        &self.config
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        lock(&self.state)
    }

    /// Runs `work` on the state under the lock, and returns its result and whether a dispatch is
    /// needed. If so, the caller has to [`dispatch`](Queue::dispatch) after it has released every
    /// lock that a waker may take.
    #[must_use = "a dispatch may be needed"]
    pub(crate) fn work_apart<T>(&self, work: impl FnOnce(&mut QueueState) -> T) -> (T, bool) {
        let mut state = self.lock();
        let result = work(&mut state);
        // The request is made under the lock, so that a thread that sees the change also sees that
        // a dispatch is to come.
        let needs_dispatch = state.needs_dispatch() && self.dispatcher.request();
        (result, needs_dispatch)
    }

    /// Grants the waiters that are due, wakes them, and arms the timer for the next one.
    pub(crate) fn dispatch(&self) {
        dispatcher::run(self);
    }

    /// Runs a dispatch in place of the timer, for a caller that finds that its waiter is due.
    pub(crate) fn notify(&self) {
        dispatcher::notify(self);
    }

    /// Returns the number of waiters, once the timer is armed for them. Yields for a moment while a
    /// dispatch runs.
    pub(crate) fn waiting(&self) -> u32 {
        let is_busy = || self.dispatcher.is_busy() || self.config.is_shared_timer_busy();
        once_idle(is_busy, || self.lock().waiting())
    }

    /// Runs `work` on the state of a lone limiter's bucket, and dispatches if needed. Returns
    /// `None` if the word is back in its cell by then.
    pub(crate) fn work_for<T>(
        self: &Arc<Self>,
        cells: &Cells,
        work: impl FnOnce(&mut QueueState) -> Option<T>,
    ) -> Option<T> {
        let (result, needs_dispatch) = self.work_apart(|state| {
            hand_back_if_idle(state, cells);
            work(state)
        });
        if needs_dispatch {
            self.dispatch();
        }
        result
    }

    /// Takes tokens or joins the queue of a lone limiter's bucket. `home` converts a special word
    /// from the cell into the word of a bucket. If the second result is `true`, the caller has to
    /// [`dispatch`](Queue::dispatch) once it has recorded that it waits.
    pub(crate) fn enter_for(
        &self,
        cells: &Cells,
        home: impl FnOnce(Word) -> Word,
        call: &mut WaitRequest,
        now: Reading,
    ) -> (Enqueued, bool) {
        self.work_apart(|state| {
            if !state.has_word() {
                state.hand_over(home(cells.current().hand_over()));
            }
            let enqueued = state.enter(&self.config, call, now);
            hand_back_if_idle(state, cells);
            enqueued
        })
    }

    /// Moves the word of a lone limiter to its second cell, if it is in the first. `home` is as for
    /// [`enter_for`](Queue::enter_for).
    pub(crate) fn move_word(&self, cells: &Cells, home: impl Fn(Word) -> Word) {
        let _state = self.lock();
        cells.move_word(home);
    }

    /// Replaces a word that is with the queue, without a dispatch: the caller holds a lock, and
    /// [`requote`](Queue::requote) follows. Returns whether the word was here.
    pub(crate) fn rewrite(&self, word: impl FnOnce(Word) -> Word) -> bool {
        self.lock().rewrite(word)
    }

    /// Called after the quota changed. Refuses the waiters that will be too late now, or that need more
    /// than the burst, and arms the timer anew.
    pub(crate) fn requote(&self) {
        if self.work_apart(QueueState::requote).1 {
            self.dispatch();
        }
    }

    /// Refuses every waiter on a lone limiter's bucket, now and later. `home` is as for
    /// [`enter_for`](Queue::enter_for).
    pub(crate) fn close(&self, cells: &Cells, home: impl FnOnce(Word) -> Word) {
        let mut state = self.lock();
        if !state.has_word() {
            state.hand_over(home(cells.current().hand_over()));
        }
        let woken = state.close();
        drop(state);
        wake(woken);
    }

    /// Returns the outcome of a waiter, and whether the word can be handed back. Registers `by` to
    /// be woken if there is no outcome yet.
    pub(crate) fn poll(&self, id: Id, by: &Waker) -> Poll<(Outcome, bool)> {
        poll_entry(by, |fresh| {
            let mut state = self.lock();
            (state.collect(id, by, fresh), state.is_idle())
        })
    }

    /// Removes a waiter, and returns its outcome if it has one. If the second result is `true`, the
    /// caller has to [`dispatch`](Queue::dispatch).
    pub(crate) fn leave(&self, id: Id) -> (Option<Outcome>, bool) {
        // The waker is dropped when no lock is held. The drop may panic, and the dispatch would be
        // lost.
        let ((outcome, waker), needs_dispatch) = self.work_apart(|state| state.leave(id));
        ignore_panic(|| drop(waker));
        (outcome, needs_dispatch)
    }

    /// Hands the word back to the cell of a lone limiter if there are no waiters.
    pub(crate) fn hand_back_if_idle(&self, cells: &Cells) {
        hand_back_if_idle(&mut self.lock(), cells);
    }

    /// Removes and returns the word if there are no waiters, no grants that are held back, and a seat for
    /// the word: the table puts it there and drops the queue. Does not wait for the lock.
    pub(crate) fn reclaim<T>(&self, seat: impl FnOnce() -> Option<T>) -> Option<(Word, T)> {
        let mut state = try_lock(&self.state)?;
        // The next queue of the key would not count the grants that are held back.
        if state.holds_back() || !state.is_idle() {
            return None;
        }
        let seat = seat()?;
        Some((state.reclaim()?, seat))
    }

    /// Removes the bucket: no waiter is granted any longer. The caller holds the stripe's lock, and
    /// then has to [`forget`](Queue::forget) the waiters.
    pub(crate) fn drop_word(&self) {
        self.lock().drop_word();
    }

    /// Refuses every waiter on a bucket that was removed, and wakes it. The caller holds no lock.
    pub(crate) fn forget(&self) {
        let woken = self.lock().forget();
        wake(woken);
    }
}

impl Dispatch for Queue {
    fn dispatcher(&self) -> &Dispatcher {
        &self.dispatcher
    }

    fn drive(&self) -> Option<&TimeDriver> {
        self.config.driver()
    }

    fn look(&self, drive: &TimeDriver, slack: Duration, _: bool) -> Pass {
        let mut state = self.lock();
        let now = drive.now();
        state.look(&self.config.terms(), now, slack)
    }

    fn give_up(&self) {
        let mut state = self.lock();
        let woken = state.give_up();
        self.dispatcher.close();
        drop(state);
        wake(woken);
    }
}

/// Hands the word back to the cell if there are no waiters.
fn hand_back_if_idle(state: &mut QueueState, cells: &Cells) {
    if let Some(word) = state.reclaim() {
        cells.current().hand_back(word);
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

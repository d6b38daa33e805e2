//! Keys that callers wait on. Their word is handed over to a queue, and they are in no slot. They
//! keep their place among the keys.
//!
//! A queue is in its stripe's map from the first wait until the word is taken back. It is found
//! there under the stripe's lock, which is taken before the queue's lock. No thread waits for the lock of
//! a queue that others can reach while it holds the stripe's lock, except to remove a key. No waker is
//! called under either lock.

use std::ops::Bound;
use std::sync::Arc;

use crate::cell::TermsSource;
use crate::queue::{Enqueued, Queue, TimeDriver, TimerFactory, WaitRequest};
use crate::sync::Ordering;
use crate::word::{Reading, Units, Word};

use super::eviction::{NoRoom, Room};
use super::fingerprint::Fingerprint;
use super::growth::Sweep;
use super::op::BucketOp;
use super::policy::FullEvent;
use super::state::{Attempt, Locked, Table, raise};

/// The outcome of an attempt to wait.
pub(crate) enum Arrival {
    /// The queue, the outcome there, and whether the caller has to dispatch once it has recorded the
    /// outcome. After that, it has to report what a full table did.
    Enqueued { queue: Arc<Queue>, enqueued: Enqueued, needs_dispatch: bool, event: Option<FullEvent> },
    /// Callers wait on the maximum number of keys, which is this.
    TooManyKeys(u64),
    /// The key is new, and there is no place for it until `deficit` more units have been earned.
    NoPlace { deficit: Units, now: Reading },
}

impl Table {
    /// Returns the number of keys that callers wait on, or waited on a moment ago.
    pub(crate) fn waiting_keys(&self) -> u64 {
        self.waiting_keys.load(Ordering::Relaxed)
    }

    /// Takes tokens from a key's bucket, or joins its queue.
    #[cold]
    pub(crate) fn enter(
        &self,
        key: Fingerprint,
        call: &mut WaitRequest,
        now: Reading,
        drive: impl FnOnce(Option<&TimerFactory>) -> TimeDriver,
    ) -> Arrival {
        self.config.drive_all(drive);
        let mut sweep = Sweep::new();
        loop {
            match self.attempt(key, call, now, sweep.is_over()) {
                Tried::Full => self.sweep_on(&mut sweep, now),
                Tried::Gone => {}
                Tried::Arrived(arrival) => {
                    if let Arrival::NoPlace { .. } = arrival {
                        self.report(FullEvent::Refused);
                    }
                    return arrival;
                }
            }
        }
    }

    /// Tries once to take tokens, or to join the queue.
    fn attempt(&self, key: Fingerprint, call: &mut WaitRequest, now: Reading, swept: bool) -> Tried {
        let mut locked = self.lock(self.stripe_of(key));
        let Some(queue) = locked.state.queued.get(&key).cloned() else {
            return locked.enter_new(key, call, now, swept);
        };
        // A dispatch may hold the queue's lock for long, and other keys need the stripe's.
        drop(locked);
        match queue.work_apart(|state| state.has_word().then(|| state.enter(queue.config(), call, now))) {
            (Some(enqueued), needs_dispatch) => {
                if let Enqueued::Granted(_) = enqueued {
                    self.take_back(key, &queue, now);
                }
                Tried::Arrived(Arrival::Enqueued { queue, enqueued, needs_dispatch, event: None })
            }
            (None, _) => Tried::Gone,
        }
    }

    /// Called after the quota changed. Notifies each queue, with no lock held.
    pub(super) fn requote(&self) {
        for stripe in 0..self.stripes.len() {
            let queues: Vec<_> = self.lock(stripe).state.queued.values().cloned().collect();
            queues.iter().for_each(|queue| queue.requote());
        }
    }

    /// Takes a key's word back from its queue, if there are no waiters.
    pub(crate) fn take_back(&self, key: Fingerprint, queue: &Arc<Queue>, now: Reading) {
        self.lock(self.stripe_of(key)).take_back(key, queue, now);
    }

    /// Returns the number of waiters on a key.
    pub(crate) fn waiting_on(&self, key: Fingerprint) -> u32 {
        let queue = self.lock(self.stripe_of(key)).state.queued.get(&key).cloned();
        queue.map_or(0, |queue| queue.waiting())
    }

    fn count_waiting(&self) -> bool {
        raise(&self.waiting_keys, self.max_waiting_keys)
    }

    fn uncount_waiting(&self, keys: u64) {
        self.waiting_keys.fetch_sub(keys, Ordering::Relaxed);
    }
}

/// The outcome of one attempt to wait, under the lock.
enum Tried {
    Arrived(Arrival),
    /// Nothing was done: the table is full, and has not been swept for this call.
    Full,
    /// Nothing was done: the word was taken back from its queue meanwhile, or the key removed.
    Gone,
}

/// Runs an operation on the bucket of a key that callers wait on, and dispatches if that is due. Returns
/// `None` if the queue has no word. No lock is held.
pub(super) fn run_queued<O: BucketOp>(queue: &Queue, op: &O, terms: TermsSource<'_>) -> Option<O::Output> {
    let (output, needs_dispatch) = queue.work_apart(|state| op.run_queued(state, terms));
    if needs_dispatch {
        queue.dispatch();
    }
    output
}

impl Locked<'_> {
    /// Makes a queue for a key that no caller waits on; takes tokens there, or joins it.
    fn enter_new(&mut self, key: Fingerprint, call: &mut WaitRequest, now: Reading, swept: bool) -> Tried {
        if !self.count_waiting(now) {
            return Tried::Arrived(Arrival::TooManyKeys(self.table.max_waiting_keys));
        }
        let (word, event) = match self.hand_over(key, now, swept) {
            Ok(handed_over) => handed_over,
            Err(tried) => {
                self.table.uncount_waiting(1);
                return tried;
            }
        };
        if let Some(event) = event {
            self.table.counters.count(event);
        }
        let queue = Queue::new(self.table.config.clone(), Some(word));
        self.state.queued.insert(key, queue.clone());
        // No other thread can reach the queue before the stripe's lock is free.
        let (enqueued, needs_dispatch) = queue.work_apart(|state| state.enter(queue.config(), call, now));
        self.take_back(key, &queue, now);
        Tried::Arrived(Arrival::Enqueued { queue, enqueued, needs_dispatch, event })
    }

    /// Counts one more key that callers wait on, if there may be one more.
    fn count_waiting(&mut self, now: Reading) -> bool {
        if !self.table.count_waiting() {
            self.take_back_some(now);
            return self.table.count_waiting();
        }
        true
    }

    /// Takes a key's word out of its place, or makes a new word.
    fn hand_over(&mut self, key: Fingerprint, now: Reading, swept: bool) -> Result<(Word, Option<FullEvent>), Tried> {
        let candidates = self.table.candidates(key);
        if let Some((_, tenant)) = candidates.find(key) {
            let word = tenant.claim();
            self.vacate(tenant);
            return Ok((word, None));
        }
        if let Some(word) = self.state.overflow.remove(&key) {
            self.table.uncount_overflow(1);
            return Ok((word, None));
        }
        let terms = self.table.terms();
        let word = self.new_bucket(&terms, now).word(&terms, now);
        match self.make_room(key, &candidates, Attempt { terms: &terms, now, swept }) {
            Ok(Room { seat, has_evicted }) => {
                self.leave(seat);
                Ok((word, has_evicted.then_some(FullEvent::Evicted)))
            }
            Err(NoRoom::Full) => Err(Tried::Full),
            Err(NoRoom::Refused { deficit }) => Err(Tried::Arrived(Arrival::NoPlace { deficit, now })),
        }
    }

    /// Returns the queue of a key if the queue has waiters. Otherwise takes the word back.
    pub(super) fn queue_of(&mut self, key: Fingerprint, now: impl FnOnce() -> Reading) -> Option<Arc<Queue>> {
        let queue = self.state.queued.get(&key)?.clone();
        let is_back = self.take_back(key, &queue, now());
        (!is_back).then_some(queue)
    }

    /// Takes a word back if its queue has no waiters, and returns whether it did. If there is no seat
    /// for the key, or another thread has the queue's lock, the word stays with its queue, which serves
    /// calls as well.
    fn take_back(&mut self, key: Fingerprint, queue: &Arc<Queue>, now: Reading) -> bool {
        // A queue whose key was removed has no word, and another queue may be in its place.
        if !self.state.queued.get(&key).is_some_and(|current| Arc::ptr_eq(current, queue)) {
            return false;
        }
        let candidates = self.table.candidates(key);
        let Some((word, seat)) = queue.reclaim(|| self.seat(&self.table.terms(), &candidates, now)) else {
            return false;
        };
        self.state.queued.remove(&key);
        self.table.uncount_waiting(1);
        self.place(key, word, seat);
        true
    }

    /// Takes back the words of a few keys that may have no waiters any longer. Each call looks at
    /// other keys.
    pub(super) fn take_back_some(&mut self, now: Reading) {
        const SOME: usize = 8;
        let after = self.state.last_checked.map_or(Bound::Unbounded, Bound::Excluded);
        let queued = &self.state.queued;
        let queues = queued.range((after, Bound::Unbounded)).chain(queued).take(SOME.min(queued.len()));
        let some: Vec<_> = queues.map(|(&key, queue)| (key, queue.clone())).collect();
        self.state.last_checked = some.last().map(|&(key, _)| key);
        for (key, queue) in some {
            self.take_back(key, &queue, now);
        }
    }

    /// Takes back every word of this stripe that has no waiters.
    pub(super) fn take_back_all(&mut self, now: Reading) {
        let all: Vec<_> = self.state.queued.iter().map(|(&key, queue)| (key, queue.clone())).collect();
        for (key, queue) in all {
            self.take_back(key, &queue, now);
        }
    }

    /// Forgets a key that callers wait on, and refuses its waiters.
    pub(super) fn remove_queued(&mut self, key: Fingerprint) -> Option<PendingRefusals> {
        let queue = self.state.queued.remove(&key)?;
        self.table.uncount_waiting(1);
        self.table.uncount(1);
        queue.drop_word();
        Some(PendingRefusals(vec![queue]))
    }

    /// Forgets all keys of this stripe that callers wait on, and refuses their waiters.
    pub(super) fn remove_all_queued(&mut self) -> PendingRefusals {
        let all: Vec<_> = std::mem::take(&mut self.state.queued).into_values().collect();
        self.table.uncount_waiting(all.len() as u64);
        self.table.uncount(all.len() as u64);
        all.iter().for_each(|queue| queue.drop_word());
        PendingRefusals(all)
    }
}

/// The queues of keys that were removed: they have no word any longer, and their waiters are still to
/// be refused. There may be many waiters, so the stripe's lock is released before.
#[must_use = "the waiters sleep until they are refused"]
pub(super) struct PendingRefusals(Vec<Arc<Queue>>);

impl PendingRefusals {
    /// Refuses the waiters and wakes them.
    pub(super) fn send(self) {
        self.0.iter().for_each(|queue| queue.forget());
    }
}

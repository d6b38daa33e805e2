//! Keys that are waited on: their word is lent to a queue, and they are in no slot. They keep their
//! place among the keys.
//!
//! A queue is in its shard's list from when somebody waits until its word comes home, and is found
//! there under the shard's lock, before its own is taken. Nothing is woken under either.

use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::Arc;
use std::task::Waker;

use crate::algorithm::token_bucket;
use crate::sync::Ordering;
use crate::wait::{Call, Drive, Entered, MakeTimer, Queue, Rule, wake};
use crate::word::{Reading, Units, Word, Worth};

use super::errand::Errand;
use super::full::FullEvent;
use super::{Fingerprint, Locked, Table};

/// What came of wanting to wait.
pub(crate) enum Arrival {
    /// The queue, what came of it there, and whether a look is called for, when whoever came knows
    /// that.
    Entered { queue: Arc<Queue>, entered: Entered, stirred: bool },
    /// Of as many keys as may be, somebody waits on each.
    TooManyKeys(u64),
    /// The key is new, and there is no place for it until so much more has been earned.
    NoPlace { deficit: Units, now: Reading },
}

impl Table {
    /// The keys that are waited on, or were a moment ago.
    pub(crate) fn waiting_keys(&self) -> u64 {
        self.waiting_keys.load(Ordering::Relaxed)
    }

    /// Takes from a key's bucket, or waits.
    #[cold]
    pub(crate) fn enter(
        &self,
        key: Fingerprint,
        call: &mut Call,
        now: Reading,
        drive: impl FnOnce(Option<&MakeTimer>) -> Drive,
    ) -> Arrival {
        self.terms.drive(|chosen| drive(chosen).shared());
        let mut is_full = false;
        loop {
            let mut locked = self.lock_shard_of(key);
            if let Some(arrival) = locked.enter(key, call, now) {
                return arrival;
            }
            drop(locked);
            if is_full {
                break;
            }
            // What is freed may be taken by others before we are back.
            is_full = !self.find_room(now);
        }
        self.tell(FullEvent::Refused);
        let (deficit, now) = self.lock_shard_of(key).refusal(key, now);
        Arrival::NoPlace { deficit, now }
    }

    /// A key's word goes home, if nobody waits.
    pub(crate) fn bring_home(&self, key: Fingerprint, queue: &Arc<Queue>, now: Reading) {
        self.lock_shard_of(key).come_home(key, queue, now);
    }

    /// How many wait on a key.
    pub(crate) fn waiting_on(&self, key: Fingerprint) -> u32 {
        let queue = self.lock_shard_of(key).state.waiting.get(&key).cloned();
        queue.map_or(0, |queue| queue.waiting())
    }

    fn count_waiting(&self) -> bool {
        let one_more = |keys: u64| (keys < self.max_waiting_keys).then_some(keys + 1);
        self.waiting_keys.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    fn uncount_waiting(&self, keys: u64) {
        self.waiting_keys.fetch_sub(keys, Ordering::Relaxed);
    }

    fn rule(&self) -> &Rule {
        &self.terms.rule
    }
}

/// What something done to a key that is waited on came to.
#[must_use = "those who wait may be due"]
pub(super) struct Done<T> {
    answer: T,
    /// The queue, where a look is due when no lock is held.
    stirred: Option<Arc<Queue>>,
}

impl<T> Done<T> {
    /// No lock is held any longer.
    pub(super) fn finish(self) -> T {
        if let Some(queue) = self.stirred {
            queue.look();
        }
        self.answer
    }
}

impl Locked<'_> {
    /// Takes from a key's bucket, or waits; `None` where the key is new, and one too many.
    fn enter(&mut self, key: Fingerprint, call: &mut Call, now: Reading) -> Option<Arrival> {
        let queue = match self.state.waiting.get(&key) {
            Some(queue) => queue.clone(),
            None => {
                if !self.count_waiting(now) {
                    return Some(Arrival::TooManyKeys(self.table.max_waiting_keys));
                }
                let Some(word) = self.lend(key, now) else {
                    self.table.uncount_waiting(1);
                    return None;
                };
                let queue = Queue::new(self.table.terms.clone(), Some(word));
                self.state.waiting.insert(key, queue.clone());
                queue
            }
        };
        let (entered, stirred) = queue.work_apart(|loan| loan.enter(queue.terms(), call, now));
        self.come_home(key, &queue, now);
        Some(Arrival::Entered { queue, entered, stirred })
    }

    /// One more key that is waited on, if there may be one.
    fn count_waiting(&mut self, now: Reading) -> bool {
        if !self.table.count_waiting() {
            self.come_home_some(now);
            return self.table.count_waiting();
        }
        true
    }

    /// Takes a key's word out of wherever it is; `None` where it is new, and one too many.
    fn lend(&mut self, key: Fingerprint, now: Reading) -> Option<Word> {
        if let Some(slot) = self.find(key) {
            let word = slot.claim_any();
            slot.move_out(self.layout(), word);
            return Some(word);
        }
        match self.state.overflow.remove(&key) {
            None => self.count().then(|| self.newborn().start(|| now)),
            overflown => overflown,
        }
    }

    /// The queue of a key, if somebody waits there; if nobody does, the word comes home.
    fn queue_of(&mut self, key: Fingerprint, now: impl FnOnce() -> Reading) -> Option<Arc<Queue>> {
        let queue = self.state.waiting.get(&key)?.clone();
        let is_home = self.come_home(key, &queue, now());
        (!is_home).then_some(queue)
    }

    /// Brings a word home if nobody waits, and tells whether it did.
    fn come_home(&mut self, key: Fingerprint, queue: &Arc<Queue>, now: Reading) -> bool {
        let Entry::Occupied(entry) = self.state.waiting.entry(key) else { return false };
        // A queue that was forgotten has no word, and another may be in its place.
        if !Arc::ptr_eq(entry.get(), queue) {
            return false;
        }
        let Some(word) = queue.reclaim() else { return false };
        entry.remove();
        self.table.uncount_waiting(1);
        self.seat(key, word, now, true);
        true
    }

    /// Looks at a few keys of this shard, others each time: on some nobody may wait any longer.
    fn come_home_some(&mut self, now: Reading) {
        const SOME: usize = 8;
        let after = self.state.last_asked.map_or(Bound::Unbounded, Bound::Excluded);
        let waiting = &self.state.waiting;
        let queues = waiting.range((after, Bound::Unbounded)).chain(waiting).take(SOME.min(waiting.len()));
        let some: Vec<_> = queues.map(|(&key, queue)| (key, queue.clone())).collect();
        self.state.last_asked = some.last().map(|&(key, _)| key);
        for (key, queue) in some {
            self.come_home(key, &queue, now);
        }
    }

    /// Brings home whatever can be, of this shard.
    pub(super) fn come_home_all(&mut self, now: Reading) {
        let all: Vec<_> = self.state.waiting.iter().map(|(&key, queue)| (key, queue.clone())).collect();
        for (key, queue) in all {
            self.come_home(key, &queue, now);
        }
    }

    /// Runs an errand to a key that is waited on.
    pub(super) fn run_waited_on<E: Errand>(&mut self, key: Fingerprint, errand: &E) -> Option<Done<E::Answer>> {
        let (queue, rule) = (self.queue_of(key, || errand.now())?, self.table.rule());
        let (answer, stirred) = queue.work_apart(|loan| errand.run_lent(loan, rule));
        Some(Done { answer: answer?, stirred: stirred.then_some(queue) })
    }

    /// Fills the bucket of a key that is waited on.
    pub(super) fn reset_waited_on(&mut self, key: Fingerprint, now: Reading) -> Option<Done<Units>> {
        let (queue, layout) = (self.queue_of(key, || now)?, self.layout());
        let full = |_, now| (token_bucket::born(layout, now, layout.capacity()), Units(0));
        let (answer, stirred) = queue.work_apart(|loan| loan.change(self.table.rule(), now, full));
        Some(Done { answer: answer?, stirred: stirred.then_some(queue) })
    }

    /// What a key that is waited on is worth to somebody who is to leave so much.
    pub(super) fn worth_waited_on(&self, key: Fingerprint, leaving: Units, now: Reading) -> Option<Done<Worth>> {
        let (queue, rule) = (self.state.waiting.get(&key)?, self.table.rule());
        let (worth, stirred) = queue.work_apart(|loan| loan.worth(rule, leaving, now));
        Some(Done { answer: worth?, stirred: stirred.then(|| queue.clone()) })
    }

    /// Forgets a key that is waited on: who waits is refused, to be woken where no lock is held.
    pub(super) fn forget_waited_on(&mut self, key: Fingerprint) -> Option<Unheard> {
        let queue = self.state.waiting.remove(&key)?;
        self.table.uncount_waiting(1);
        self.uncount(1);
        Some(Unheard(queue.forget()))
    }

    /// The same for all of this shard.
    pub(super) fn forget_all_waited_on(&mut self) -> Unheard {
        let all = std::mem::take(&mut self.state.waiting);
        self.table.uncount_waiting(all.len() as u64);
        self.uncount(all.len() as u64);
        Unheard(all.values().flat_map(|queue| queue.forget()).collect())
    }
}

/// Those who were refused, and do not know.
#[must_use = "they wait until they are told"]
pub(super) struct Unheard(Vec<Waker>);

impl Unheard {
    /// No lock is held any longer.
    pub(super) fn tell(self) {
        wake(self.0);
    }
}

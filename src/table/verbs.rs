//! The operations that limiters call.

use std::hint::black_box;

use crate::algorithm::Terms;
use crate::algorithm::token_bucket::{self, Demand, Step};
use crate::cell::{self, Taken, TimeSource};
use crate::clock::Clock;
use crate::sync::lock;
use crate::tokens::Tokens;
use crate::word::{Due, Reading, Snapshot, Units, Word};

use super::eviction::{NoRoom, Room};
use super::fingerprint::Fingerprint;
use super::growth::Sweep;
use super::op::{BucketOp, Change, Detached, Look, Take};
use super::policy::FullEvent;
use super::queued::run_queued;
use super::sizes::{bytes, memory_limit};
use super::slots::{Candidates, InSlot, search};
use super::state::{Attempt, Forgettable, Locked, Table, full};

/// The outcome of an operation on a bucket that was in no slot.
enum Absent<T> {
    Done(T),
    /// The bucket is in the overflow, or was.
    InOverflow(T),
    /// The bucket is in a slot or in the overflow now.
    Placed(T, Reading),
    /// A bucket in use was forgotten for the key, or the key was refused.
    Forced(T, FullEvent),
    /// Nothing was done: the table is full, and has not been swept for this call, or the quota has changed meanwhile.
    Full(Reading),
}

/// A search for a key, without the lock.
struct Search<'a> {
    /// The changes of the stripe before the search.
    changes: u64,
    candidates: Candidates<'a>,
    /// The key's slot, and the number of lines that are better.
    found: Option<(usize, InSlot<'a>)>,
}

impl Table {
    /// Takes the cost of `n` from a key's bucket if `leaving` tokens are left then.
    #[inline(always)]
    pub(crate) fn take(
        &self,
        key: Fingerprint,
        (n, leaving): (Tokens, Tokens),
        source: TimeSource<'_, impl Clock>,
    ) -> Taken {
        match self.take_once(key, (n, leaving), source) {
            Some(taken) => taken,
            None => self.take_cold(key, Demand::new(self.layout(), n, leaving), source),
        }
    }

    /// Takes in one attempt. Returns `None` if the key is not in its home line, or if the attempt does
    /// not decide. Nothing was charged then, and [`take_cold`](Table::take_cold) begins anew.
    // One attempt and no loop: hits on different keys do not collide, and the state of a loop would
    // cost registers on every hit.
    #[inline(always)]
    pub(crate) fn take_once(
        &self,
        key: Fingerprint,
        (n, leaving): (Tokens, Tokens),
        source: TimeSource<'_, impl Clock>,
    ) -> Option<Taken> {
        let tenant = self.find_home(key)?;
        let demand = || Some(Demand::in_units(self.per_token()?, n, leaving));
        cell::take_once(&tenant, self.layout(), demand, source)
    }

    /// Returns the key in a slot, if it is in one. The key may be gone by the time that its word is loaded.
    #[inline(always)]
    pub(crate) fn find_slot(&self, key: Fingerprint) -> Option<InSlot<'_>> {
        self.find_home(key).or_else(|| self.find_away(key))
    }

    #[cold]
    #[inline(never)]
    fn find_away(&self, key: Fingerprint) -> Option<InSlot<'_>> {
        self.candidates(key).find(key).map(|(_, tenant)| tenant)
    }

    /// Returns the key in its home line. The key may be gone by the time that its word is loaded.
    #[inline(always)]
    fn find_home(&self, key: Fingerprint) -> Option<InSlot<'_>> {
        search(self.line(key.home_line(self.groups())), key)
    }

    /// Takes from a key's bucket, in a slot or elsewhere.
    #[cold]
    #[inline(never)]
    pub(crate) fn take_cold(&self, key: Fingerprint, demand: Demand, source: TimeSource<'_, impl Clock>) -> Taken {
        // A reading that was cached for many calls may be older than what the table has forgotten since.
        let take = Take { demand, source: source.anew() };
        let search = self.search(key);
        let new = if search.found.is_none() { self.take_new(key, &take, &search) } else { None };
        new.unwrap_or_else(|| self.run_after(key, &take, search))
    }

    /// Takes from the bucket of a new key, if it is admitted and there is a vacant slot: the short form of
    /// [`run`](Table::run). Returns `None`, and does nothing, if this does not decide.
    #[inline(always)]
    fn take_new<C: Clock>(&self, key: Fingerprint, take: &Take<'_, C>, search: &Search<'_>) -> Option<Taken> {
        if self.keys() >= self.max_keys || !self.starts_full() {
            return None;
        }
        let mut locked = self.lock(self.stripe_of(key));
        let state = &locked.state;
        if !state.queued.is_empty() || !state.overflow.is_empty() || locked.changes() != search.changes {
            return None;
        }
        // The clock is user code and may panic, so it is read before anything is changed.
        let now = take.source.read();
        // After the clock, as for a hit.
        self.per_token()?;
        let Detached::Bucket(word) = locked.new_bucket(&Terms::of(self.layout()), now) else { return None };
        let Step::Admitted { next, held } = token_bucket::step(self.layout(), word, now, take.demand) else {
            return None;
        };
        let slot = search.candidates.vacant(Candidates::LINES)?;
        if !self.count() {
            return None;
        }
        locked.occupy(slot, key, next);
        drop(locked);
        self.grow_if_crowded(now);
        Some(Taken::Admitted { cost: take.demand.cost, held, now })
    }

    /// Takes from the bucket of a key in its home line after the quota has changed, as [`cell::take_changed`] does.
    #[inline(always)]
    pub(crate) fn take_changed(
        &self,
        key: Fingerprint,
        demand: Demand,
        source: TimeSource<'_, impl Clock>,
    ) -> Option<(Taken, Option<Due>)> {
        cell::take_changed(&self.find_home(key)?, &self.quota, demand, source.anew())
    }

    /// Asks for the line in which a key is looked for first, without waiting for it.
    #[inline]
    pub(crate) fn touch(&self, key: Fingerprint) {
        black_box(self.find_home(key).is_some());
    }

    /// Replaces a key's word by the result of `change`, and returns the amount that was added or
    /// charged.
    pub(crate) fn change(
        &self,
        key: Fingerprint,
        source: TimeSource<'_, impl Clock>,
        change: impl Fn(&Terms<'_>, Word, Reading) -> (Word, Units),
    ) -> Units {
        self.run(key, &Change { source, change })
    }

    /// Returns a snapshot of a key's bucket, for a call that leaves `leaving`.
    pub(crate) fn peek(&self, key: Fingerprint, leaving: Units, source: TimeSource<'_, impl Clock>) -> Snapshot {
        self.run(key, &Look { source, leaving })
    }

    /// Searches the slots for a key, without the lock.
    #[inline]
    fn search(&self, key: Fingerprint) -> Search<'_> {
        // Read before the search, so that it need not be repeated under the lock.
        let changes = self.changes(self.stripe_of(key));
        let candidates = self.candidates(key);
        Search { changes, candidates, found: candidates.find(key) }
    }

    /// Runs an operation on a key's bucket.
    fn run<O: BucketOp>(&self, key: Fingerprint, op: &O) -> O::Output {
        self.run_after(key, op, self.search(key))
    }

    /// Runs an operation on a key's bucket after a search.
    fn run_after<O: BucketOp>(&self, key: Fingerprint, op: &O, first: Search<'_>) -> O::Output {
        let stripe = self.stripe_of(key);
        let (mut sweep, mut first) = (Sweep::new(), Some(first));
        loop {
            let Search { changes, mut candidates, found } = first.take().unwrap_or_else(|| self.search(key));
            if let Some(output) = found.and_then(|found| self.run_in_slot(op, &candidates, found)) {
                return output;
            }
            let mut locked = self.lock(stripe);
            if let Some(queue) = locked.queue_of(key, || op.now()) {
                drop(locked);
                match run_queued(&queue, op, self.terms_source()) {
                    Some(output) => return output,
                    // The word was taken back meanwhile, or the key removed.
                    None => continue,
                }
            }
            if found.is_some() || locked.changed || locked.changes() != changes {
                candidates = self.candidates(key);
                let tenant = candidates.find(key);
                if let Some(output) = tenant.and_then(|(_, tenant)| op.run_in_slot(self.terms_source(), &tenant)) {
                    return output;
                }
            }
            let absent = locked.run_absent(key, op, &candidates, sweep.is_over());
            drop(locked);
            match absent {
                Absent::Done(output) => return output,
                Absent::InOverflow(output) => {
                    self.divide_some();
                    return output;
                }
                Absent::Placed(output, now) => {
                    self.grow_if_crowded(now);
                    return output;
                }
                Absent::Forced(output, event) => {
                    self.report(event);
                    return output;
                }
                // Other threads may take the freed places before this thread is back.
                Absent::Full(now) => self.sweep_on(&mut sweep, now),
            }
        }
    }

    /// Runs an operation on a key that was found in a slot. Returns `None` if the key is not there
    /// any longer.
    #[inline]
    fn run_in_slot<O: BucketOp>(
        &self,
        op: &O,
        candidates: &Candidates<'_>,
        (better, tenant): (usize, InSlot<'_>),
    ) -> Option<O::Output> {
        let output = op.run_in_slot(self.terms_source(), &tenant)?;
        if candidates.vacant(better).is_some() {
            if let Some(mut locked) = self.try_lock(self.stripe_of(tenant.key)) {
                locked.move_home(tenant.key);
            }
        }
        // A table to which no new keys come would else be uneven for long, and every hit slower.
        if better > 0 {
            self.divide_some();
        }
        Some(output)
    }

    /// Counts an event of a full table, and reports it. No lock is held.
    pub(crate) fn report(&self, event: FullEvent) {
        self.counters.count(event);
        self.call_hook(event);
    }

    /// Reports an event that is counted. No lock is held.
    fn call_hook(&self, event: FullEvent) {
        if let Some(hook) = &self.hook {
            hook(event);
        }
    }

    /// Completes a wait's arrival, when its outcome is recorded and no lock is held: the table grows if
    /// it is crowded, and an event that was counted is reported.
    pub(crate) fn arrived(&self, event: Option<FullEvent>, now: Reading) {
        self.grow_if_crowded(now);
        if let Some(event) = event {
            self.call_hook(event);
        }
    }

    /// Forgets a key and the tokens that it has taken. Returns whether the key was known.
    pub(crate) fn remove(&self, key: Fingerprint) -> bool {
        let mut locked = self.lock(self.stripe_of(key));
        if let Some(refusals) = locked.remove_queued(key) {
            drop(locked);
            refusals.send();
            return true;
        }
        locked.remove(key)
    }

    /// Forgets every full bucket, but for those that are moved meanwhile, and returns the number of
    /// forgotten buckets.
    pub(crate) fn retain_recent(&self, source: TimeSource<'_, impl Clock>) -> u64 {
        let mut freed = 0;
        for stripe in 0..self.stripes.len() {
            let mut locked = self.lock(stripe);
            locked.take_back_all(source.read());
            freed += with_full(self, source, |full| locked.sweep_whole_overflow(full));
        }
        // One group at a time, so that no lock is held for long. A key that moves meanwhile, to a
        // group that was swept already, stays.
        let mut group = 0;
        while group < self.groups().count() {
            let mut locked = self.lock_group(group);
            freed += with_full(self, source, |full| locked.sweep(group, full));
            group += 1;
        }
        freed
    }

    /// Copies the terms now, as a call that is about to sweep does, and sweeps a group when it is called.
    #[cfg(brimful_loom)]
    pub(crate) fn sweep_later(&self, group: u64, source: TimeSource<'_, impl Clock>) -> impl FnOnce() -> u64 {
        let (now, terms) = (source.read(), self.terms());
        move || self.lock_group(group).sweep(group, full(&terms, now))
    }

    /// Forgets all keys and the tokens that they have taken.
    pub(crate) fn clear(&self) {
        let mut refusals = Vec::new();
        // No group is added meanwhile.
        let growth = lock(&self.growth);
        let groups = self.groups().count();
        // Each stripe is held for its whole clear, so that no key moves from a group that is not yet
        // cleared to one that is.
        for stripe in 0..self.stripes.len() {
            let mut locked = self.lock(stripe);
            locked.remove_all((stripe as u64..groups).step_by(self.stripes.len()));
            refusals.push(locked.remove_all_queued());
        }
        drop(growth);
        refusals.into_iter().for_each(super::queued::PendingRefusals::send);
    }

    pub(crate) fn max_keys(&self) -> u64 {
        self.max_keys
    }

    /// Returns the bytes in use.
    pub(crate) fn memory_usage(&self) -> u64 {
        bytes(self.max_keys, self.groups().count(), self.overflow()).min(self.memory_limit())
    }

    /// Returns the most bytes that will ever be in use.
    pub(crate) fn memory_limit(&self) -> u64 {
        memory_limit(self.max_keys)
    }

    /// Returns the number of keys that were forgotten because their bucket was full. Takes the lock of each
    /// stripe for a moment.
    pub(crate) fn forgotten(&self) -> u64 {
        (0..self.stripes.len()).map(|stripe| self.lock(stripe).state.forgotten).sum()
    }

    /// Returns the number of events of this kind.
    pub(crate) fn events(&self, event: FullEvent) -> u64 {
        self.counters.read(event)
    }
}

impl<'a> Locked<'a> {
    /// Runs an operation on the bucket of a key that is in no slot and not waited on.
    #[inline]
    fn run_absent<O: BucketOp>(
        &mut self,
        key: Fingerprint,
        op: &O,
        candidates: &Candidates<'a>,
        swept: bool,
    ) -> Absent<O::Output> {
        // The clock is user code and may panic, so it is read before anything is changed.
        let now = op.now();
        let terms = &self.table.terms();
        if let Some(&word) = self.state.overflow.get(&key) {
            let (word, output) = op.run(terms, Detached::Bucket(word), now);
            self.place_overflown(key, word);
            return Absent::InOverflow(output);
        }
        let new = self.new_bucket(terms, now);
        let (word, output) = op.run(terms, new, now);
        let is_kept = if self.table.initial(terms).is_some() {
            op.starts(terms)
        } else {
            op.was_charged(&output) || differs(terms, new, word, now)
        };
        if !is_kept {
            return self.run_unkept(key, op, output, candidates, Attempt { terms, now, swept });
        }
        match self.make_room(key, candidates, Attempt { terms, now, swept }) {
            Ok(Room { seat, has_evicted }) => {
                self.place(key, word, seat);
                if has_evicted { Absent::Forced(output, FullEvent::Evicted) } else { Absent::Placed(output, now) }
            }
            Err(NoRoom::Full) => Absent::Full(now),
            Err(NoRoom::Refused { deficit }) if O::LOOKS => Absent::Done(op.refused(output, deficit, now)),
            Err(NoRoom::Refused { deficit }) => Absent::Forced(op.refused(output, deficit, now), FullEvent::Refused),
        }
    }

    /// Completes an operation that leaves a new key unknown. If the output states when a call will
    /// be admitted, the key needs a place then.
    fn run_unkept<O: BucketOp>(
        &self,
        key: Fingerprint,
        op: &O,
        output: O::Output,
        candidates: &Candidates<'a>,
        attempt: Attempt<'_>,
    ) -> Absent<O::Output> {
        let now = attempt.now;
        let Some(missing) = op.foresees(attempt.terms, &output) else { return Absent::Done(output) };
        let refused = |output, deficit: Units| op.refused(output, deficit.max(missing), now);
        match self.foresee_room(key, candidates, attempt) {
            Some(NoRoom::Full) => Absent::Full(now),
            Some(NoRoom::Refused { deficit }) if O::LOOKS => Absent::Done(refused(output, deficit)),
            Some(NoRoom::Refused { deficit }) => Absent::Forced(refused(output, deficit), FullEvent::Refused),
            None => Absent::Done(output),
        }
    }

    /// Returns the bucket of a key that is not known: full, or the floor of the forgotten buckets,
    /// or less if buckets do not start full.
    #[inline(always)]
    pub(super) fn new_bucket(&self, terms: &Terms<'_>, now: Reading) -> Detached {
        match (self.table.initial(terms), self.state.floor) {
            (None, floor) => Detached::Bucket(floor.unwrap_or(token_bucket::full_since_origin(terms.layout))),
            (Some(initial), Some(floor)) if token_bucket::level(terms, floor, now).0 < initial.0 as i64 => {
                Detached::Bucket(floor)
            }
            (Some(initial), _) => Detached::NotStarted(initial),
        }
    }
}

/// Returns whether a new bucket's word contains more than that the key is new. It does not if both
/// buckets are full.
fn differs(terms: &Terms<'_>, new: Detached, word: Word, now: Reading) -> bool {
    let before = new.word(terms, now);
    word != before && !(token_bucket::is_full(terms, word, now) && token_bucket::is_full(terms, before, now))
}

/// Runs `work` with the test for buckets that are full now.
fn with_full(table: &Table, source: TimeSource<'_, impl Clock>, work: impl FnOnce(Forgettable<'_>) -> u64) -> u64 {
    let now = source.read();
    let terms = table.terms();
    work(full(&terms, now))
}

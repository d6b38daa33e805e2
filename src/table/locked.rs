//! A shard under its lock: what is done to keys that are in no slot, and how they get one.

use crate::algorithm::token_bucket::{self, Fullness};
use crate::cell::{Cell, Found, Given, Home};
use crate::sync::{AtomicU64, MutexGuard};
use crate::word::{Layout, Reading, Units, Word};

use super::address::{Fingerprint, SetIndex, Sets};
use super::errand::{Answer, Errand};
use super::full::{FullEvent, OnFull, Search};
use super::shard::Shard;
use super::slots::{Set, Slot, slots};
use super::{Homes, Seated, Table};

/// The shard, for as long as its lock is held.
pub(super) struct Locked<'a> {
    pub(super) table: &'a Table,
    pub(super) shard: usize,
    pub(super) state: MutexGuard<'a, Shard>,
}

/// What came of an errand to a bucket that is in no slot.
enum Absent<T> {
    Done(T),
    /// The same, and the table was full.
    Forced(T, FullEvent),
    /// Nothing was done: the table holds all the keys that it may.
    AtCapacity(Reading),
}

impl Table {
    /// Runs an errand where no slot was found, or its tenant was on the move.
    #[cold]
    #[inline(never)]
    pub(super) fn run_cold<E: Errand>(&self, key: Fingerprint, errand: &E) -> E::Answer {
        let mut is_full = false;
        loop {
            let mut locked = self.lock_shard_of(key);
            #[cfg(feature = "wait")]
            if let Some(done) = locked.run_waited_on(key, errand) {
                drop(locked);
                return done.finish();
            }
            // Somebody may have brought it in, or moved it, before we had the lock.
            if let Some(slot) = locked.find(key) {
                match errand.run(&slot.cell(), &Seated { slot, key }) {
                    Some(answer) => return answer,
                    // Only under the lock do keys move.
                    None => continue,
                }
            }
            let absent = locked.run_absent(key, errand, is_full);
            drop(locked);
            match absent {
                Absent::Done(answer) => return answer,
                Absent::Forced(answer, event) => {
                    self.tell(event);
                    return answer;
                }
                // What is freed may be taken by others before we are back; they got on, then.
                Absent::AtCapacity(now) => is_full = !self.find_room(now),
            }
        }
    }

    /// Forgets some full buckets, if there are any.
    pub(super) fn find_room(&self, now: Reading) -> bool {
        loop {
            match self.make_room(now) {
                Search::Unfinished => {}
                search => return search == Search::Found,
            }
        }
    }

    /// Runs an errand to a bucket that nobody else sees, and returns its word and a reading as well.
    // The clock is the user's, and may panic: it is read before anything is changed.
    fn run_apart<E: Errand>(&self, word: Word, errand: &E) -> (E::Answer, Word, Reading) {
        let atomic = AtomicU64::new(word.bits());
        let cell = Cell::at(&atomic);
        let Some(answer) = errand.run(&cell, &Apart) else { unreachable!("nobody else moves it") };
        let now = answer.reading().unwrap_or_else(|| errand.now());
        (answer, cell.load(Apart::LOAD), now)
    }
}

impl<'a> Locked<'a> {
    pub(super) fn new(table: &'a Table, shard: usize, state: MutexGuard<'a, Shard>) -> Self {
        Locked { table, shard, state }
    }

    pub(super) fn layout(&self) -> &'a Layout {
        &self.table.layout
    }

    /// The number of sets, which changes only under the lock.
    pub(super) fn sets(&self) -> Sets {
        self.homes().sets()
    }

    pub(super) fn homes(&self) -> &'a Homes {
        &self.table.homes[self.shard]
    }

    pub(super) fn set(&self, set: SetIndex) -> Option<&'a Set> {
        self.table.memory.set(self.homes().pair(set))
    }

    pub(super) fn find(&self, key: Fingerprint) -> Option<Slot<'a>> {
        self.table.find(key)
    }

    /// The word of a key's bucket, wherever it is.
    pub(super) fn word_of(&self, key: Fingerprint, now: Reading) -> Word {
        match self.find(key) {
            Some(slot) => slot.word(),
            None => self.state.overflow.get(&key).copied().unwrap_or_else(|| self.newborn().start(|| now)),
        }
    }

    pub(super) fn newborn(&self) -> Newborn<'a> {
        Newborn { table: self.table, ghost: self.state.ghost }
    }

    /// Runs an errand to a bucket that is in no slot. Unless `force`, it is not done where a new
    /// key would be one too many.
    fn run_absent<E: Errand>(&mut self, key: Fingerprint, errand: &E, force: bool) -> Absent<E::Answer> {
        if let Some(&word) = self.state.overflow.get(&key) {
            return Absent::Done(self.run_overflown(key, word, errand));
        }
        let Trial { answer, word, now } = self.newborn().run(errand);
        let Some(word) = word else { return Absent::Done(answer) };
        if self.seat(key, word, now, false) {
            self.grow(now);
        } else if !force {
            return Absent::AtCapacity(now);
        } else if answer.changed() {
            let OnFull::EvictLeastDebt = self.table.on_full else {
                let (deficit, now) = self.refusal(key, now);
                return Absent::Forced(E::Answer::refused(deficit, now), FullEvent::Refused);
            };
            return self.evict_for(key, errand, now);
        }
        // What was denied, and was only to begin to fill, is worth nobody's place.
        Absent::Done(answer)
    }

    /// Runs an errand to a bucket in the overflow, which moves to a slot where it can.
    fn run_overflown<E: Errand>(&mut self, key: Fingerprint, word: Word, errand: &E) -> E::Answer {
        let (answer, word, now) = self.table.run_apart(word, errand);
        self.state.overflow.remove(&key);
        self.seat(key, word, now, true);
        answer
    }

    /// Makes place for a new key by forgetting a bucket that is in use, and runs the errand.
    fn evict_for<E: Errand>(&mut self, key: Fingerprint, errand: &E, now: Reading) -> Absent<E::Answer> {
        // A victim that is charged meanwhile is looked at anew.
        while let Some((slot, seen)) = self.victim(key, now) {
            let ghost = match self.state.ghost {
                Some(ghost) => token_bucket::lower(self.layout(), ghost, seen),
                None => seen,
            };
            let Trial { answer, word, now } = Newborn { table: self.table, ghost: Some(ghost) }.run(errand);
            let (true, Some(word)) = (answer.changed(), word) else { break };
            if slot.cell().claim(seen).is_ok() {
                self.state.ghost = Some(ghost);
                slot.move_out(self.layout(), seen);
                // Its place among the keys is the new one's.
                self.seat(key, word, now, true);
                return Absent::Forced(answer, FullEvent::Evicted);
            }
        }
        let (deficit, now) = self.refusal(key, now);
        Absent::Forced(E::Answer::refused(deficit, now), FullEvent::Refused)
    }

    /// The buckets that are in no slot.
    pub(super) fn overflown(&self) -> u64 {
        self.state.overflow.len() as u64
    }

    /// Fills a key's bucket.
    pub(super) fn reset(&mut self, key: Fingerprint, now: Reading) {
        let layout = self.layout();
        let full = token_bucket::born(layout, now, layout.capacity());
        if let Some(slot) = self.find(key) {
            // A word far ahead of the reading cannot be filled where it is, since its tick must
            // not fall.
            let most = layout.last_tick(now);
            let is_ahead = |word| layout.tick_of(word) > most;
            slot.cell().change(&Seated { slot, key }, Given(now), |word, now| {
                (if is_ahead(word) { word } else { token_bucket::refilled(layout, word, now) }, Units(0))
            });
            if is_ahead(slot.word()) {
                slot.move_out(layout, slot.claim_any());
                self.seat(key, full, now, true);
            } else {
                self.table.full.note(token_bucket::kept(layout, slot.word()));
            }
            return;
        }
        if let Some(word) = self.state.overflow.get_mut(&key) {
            *word = full;
            self.table.full.note(token_bucket::kept(layout, full));
        } else {
            // A key that is not known, and would start full, need not be.
            let start = self.newborn().start(|| now);
            if !Fullness::at(layout, now).of(start) && self.seat(key, full, now, false) {
                self.grow(now);
            }
        }
    }

    /// Forgets a key and what it has taken; tells whether it was there.
    pub(super) fn remove(&mut self, key: Fingerprint) -> bool {
        if let Some(slot) = self.find(key) {
            self.forget(slot);
            return true;
        }
        let there = self.state.overflow.remove(&key).is_some();
        if there {
            self.uncount(1);
        }
        there
    }

    /// Ends the tenancy, whatever the bucket holds.
    fn forget(&mut self, slot: Slot<'_>) {
        let word = slot.claim_any();
        slot.move_out(self.layout(), word);
        self.uncount(1);
    }

    /// Forgets all keys of a set.
    pub(super) fn remove_all(&mut self, set: SetIndex) {
        let Some(set) = self.set(set) else { return };
        slots(set).filter(|slot| slot.tenant().is_some()).for_each(|slot| self.forget(slot));
    }

    /// Forgets what was forgotten, and what is in no slot.
    pub(super) fn forgive(&mut self) {
        self.state.ghost = None;
        let overflown = std::mem::take(&mut self.state.overflow).len();
        self.uncount(overflown as u64);
    }
}

/// A bucket that is nowhere yet.
pub(super) struct Newborn<'a> {
    table: &'a Table,
    ghost: Option<Word>,
}

/// What an errand would make of a new bucket.
struct Trial<T> {
    answer: T,
    /// The word to keep; `None` where it says no more than that the key is new.
    word: Option<Word>,
    now: Reading,
}

impl Newborn<'_> {
    /// The first word: the ghost, which is as good as full where nothing in use was forgotten,
    /// or full; less where buckets do not start full.
    pub(super) fn start(&self, now: impl FnOnce() -> Reading) -> Word {
        let layout = &self.table.layout;
        let Some(initial) = self.table.initial else {
            return self.ghost.unwrap_or(token_bucket::brimful(layout));
        };
        let born = token_bucket::born(layout, now(), initial);
        self.ghost.map_or(born, |ghost| token_bucket::lower(layout, ghost, born))
    }

    fn run<E: Errand>(&self, errand: &E) -> Trial<E::Answer> {
        let start = self.start(|| errand.now());
        let (answer, word, now) = self.table.run_apart(start, errand);
        // Where a bucket does not start full, it is to begin to fill.
        let keep = self.table.initial.is_some() || word != start;
        Trial { answer, word: Some(word).filter(|_| keep), now }
    }
}

/// A bucket that is in no slot, and nobody else's business.
struct Apart;

impl Home for Apart {
    const AHEAD: bool = true;

    fn at_home(&self, seen: Word, _: Reading) -> Found {
        Found::Bucket(seen)
    }
}

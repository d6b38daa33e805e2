//! Tenants come, go and move, all under the shard's lock.

use crate::algorithm::token_bucket::{self, Fullness};
use crate::sync::Ordering;
use crate::word::{Level, Reading, Units, Word};

use super::address::{Fingerprint, SetIndex};
use super::full::Tidied;
use super::locked::Locked;
use super::slots::{SLOTS, Set, Slot, slots};

/// A shard's sets double when four of five slots are taken; so two of five are when they have.
const MOST_LOADED_KEYS: u64 = 4;
const MOST_LOADED_SLOTS: u64 = 5;

/// The sets that are divided for a new key, once they double: more than it takes for the keys
/// that come meanwhile.
const AT_ONCE: u32 = 4;

/// A slot that a tenant may move into, vacant or claimed, and the tenant's word for it: with a
/// tick later than any that the slot has had.
#[derive(Clone, Copy)]
struct Open<'a> {
    slot: Slot<'a>,
    word: Word,
}

impl<'a> Locked<'a> {
    /// Gives a key a slot, or a place in the overflow. `counted` where it has its place among the
    /// keys already; else `false` if there is none left.
    pub(super) fn seat(&mut self, key: Fingerprint, word: Word, now: Reading, counted: bool) -> bool {
        self.table.full.note(token_bucket::kept(self.layout(), word));
        let sets = self.sets();
        for home in [key.first(sets), key.second(sets)] {
            let Some(set) = self.set(home) else { continue };
            if let Some(open) = self.vacant(set, word, now) {
                if counted || self.count() {
                    open.slot.move_in(key, open.word);
                    return true;
                }
            }
            if let Some(open) = self.take_over(set, word, now) {
                open.slot.move_in(key, open.word);
                self.uncount(counted.into());
                return true;
            }
        }
        if !(counted || self.count()) {
            return false;
        }
        if let Some(Open { slot, word }) = self.kick(key, word, now) {
            slot.move_in(key, word);
        } else {
            self.state.overflow.insert(key, word);
        }
        true
    }

    /// `word` as it may move into a slot whose last tick was `last`: with a later tick, which is
    /// its own or not too far ahead of the reading.
    fn open(&self, slot: Slot<'a>, last: Option<u64>, word: Word, now: Reading) -> Option<Open<'a>> {
        let layout = self.layout();
        let own = layout.tick_of(word);
        match last {
            Some(last) if last >= own => {
                let tick = layout.tick_after(last)?;
                let marked = || token_bucket::marked(layout, word, tick);
                (tick <= layout.last_tick(now)).then(|| Open { slot, word: marked() })
            }
            _ => Some(Open { slot, word }),
        }
    }

    /// A vacant slot of the set.
    fn vacant(&self, set: &'a Set, word: Word, now: Reading) -> Option<Open<'a>> {
        slots(set).find_map(|slot| self.open(slot, slot.vacancy(self.layout())?, word, now))
    }

    /// A slot of the set whose tenant's bucket is full: it is forgotten.
    fn take_over(&mut self, set: &'a Set, word: Word, now: Reading) -> Option<Open<'a>> {
        let layout = self.layout();
        let fullness = Fullness::at(layout, now);
        let open = slots(set).filter(|slot| slot.tenant().is_some()).find_map(|slot| {
            let seen = slot.word();
            let open = if fullness.of(seen) { self.open(slot, Some(layout.tick_of(seen)), word, now) } else { None };
            // A charge that is under way makes the claim fail: then it is in use again.
            open.filter(|_| slot.cell().claim(seen).is_ok())
        });
        if open.is_some() {
            self.remember(now);
        }
        open
    }

    /// A bucket that was full at the reading is forgotten.
    fn remember(&mut self, now: Reading) {
        let full = token_bucket::forgotten(self.layout(), now);
        self.state.ghost = Some(match self.state.ghost {
            Some(ghost) => token_bucket::lower(self.layout(), ghost, full),
            None => full,
        });
    }

    /// A slot in one of the key's homes, both of which are full, whose tenant can move to its
    /// other home: it has moved, and the slot is claimed.
    fn kick(&mut self, key: Fingerprint, word: Word, now: Reading) -> Option<Open<'a>> {
        let sets = self.sets();
        for home in [key.first(sets), key.second(sets)] {
            let Some(set) = self.set(home) else { continue };
            for slot in slots(set) {
                let Some(tenant) = slot.tenant() else { continue };
                let last = self.layout().tick_of(slot.word());
                if self.open(slot, Some(last), word, now).is_none() {
                    continue;
                }
                let other = if home == tenant.first(sets) { tenant.second(sets) } else { tenant.first(sets) };
                let Some(other) = self.set(other).filter(|_| other != home) else { continue };
                let Some(left) = self.move_tenant(slot, tenant, other, now) else { continue };
                match self.open(slot, Some(self.layout().tick_of(left)), word, now) {
                    Some(open) => return Some(open),
                    // It was charged at a later reading while it moved.
                    None => slot.move_out(self.layout(), left),
                }
            }
        }
        None
    }

    /// Moves a tenant to a slot of another set, and returns the word that it had. Its old slot
    /// stays claimed, in its name. `None` where it stays.
    ///
    /// The source is claimed before the destination lives: a charge would else find two buckets.
    fn move_tenant(&mut self, slot: Slot<'a>, tenant: Fingerprint, to: &'a Set, now: Reading) -> Option<Word> {
        let word = slot.claim_any();
        let open = self.vacant(to, word, now).or_else(|| {
            let taken = self.take_over(to, word, now);
            self.uncount(taken.is_some().into());
            taken
        });
        match open {
            Some(open) => {
                open.slot.move_in(tenant, open.word);
                Some(word)
            }
            None => {
                slot.cell().settle_in(word);
                None
            }
        }
    }

    /// Moves a key to its first home, if that is not where it is and there is a slot open to it.
    pub(super) fn lead_home(&mut self, key: Fingerprint, now: Reading) {
        let Some(home) = self.set(key.first(self.sets())) else { return };
        if slots(home).any(|slot| slot.is_of(key)) {
            return;
        }
        let Some(slot) = self.find(key) else { return };
        if let Some(word) = self.move_tenant(slot, key, home, now) {
            slot.move_out(self.layout(), word);
        }
    }

    /// Doubles the sets, a few at a time, from when they hold more keys than the load allows until
    /// each has been divided; not where there are full buckets to be forgotten instead.
    pub(super) fn grow(&mut self, now: Reading) {
        let sets = self.sets();
        let crowded = self.state.keys * MOST_LOADED_SLOTS > sets.count() * MOST_LOADED_KEYS * SLOTS as u64;
        if sets.is_even() && (!crowded || self.tidy_ahead(now)) {
            return;
        }
        for _ in 0..AT_ONCE {
            if self.sets().count() < self.state.most_sets {
                self.split(now);
            }
            if self.sets().is_even() {
                return;
            }
        }
    }

    /// Looks for full buckets where it has not looked for long; where it found some last time,
    /// longer before it gives up.
    fn tidy_ahead(&mut self, now: Reading) -> bool {
        let looks = if self.state.finds { 8 } else { 1 };
        self.state.finds = (0..looks).any(|_| {
            let set = self.state.hand;
            self.state.hand = (set + 1) % self.sets().count();
            self.tidy(SetIndex::new(set), now).freed > 0
        });
        self.state.finds
    }

    /// Forgets the full buckets of a set.
    pub(super) fn tidy(&mut self, set: SetIndex, now: Reading) -> Tidied {
        let layout = self.layout();
        let fullness = Fullness::at(layout, now);
        let mut tidied = Tidied { freed: 0, highest: i64::MIN };
        let Some(set) = self.set(set) else { return tidied };
        for slot in slots(set).filter(|slot| slot.tenant().is_some()) {
            let word = slot.word();
            if fullness.of(word) && slot.cell().claim(word).is_ok() {
                slot.move_out(layout, word);
                tidied.freed += 1;
            } else {
                tidied.highest = tidied.highest.max(token_bucket::kept(layout, word).0);
            }
        }
        if tidied.freed > 0 {
            self.remember(now);
            self.uncount(tidied.freed);
        }
        tidied
    }

    /// Forgets the full buckets of the overflow.
    pub(super) fn tidy_overflow(&mut self, now: Reading) -> Tidied {
        // Of those that nobody waits on any longer, too.
        #[cfg(feature = "wait")]
        self.come_home_all(now);
        let (layout, before) = (self.layout(), self.state.overflow.len());
        let fullness = Fullness::at(layout, now);
        self.state.overflow.retain(|_, word| !fullness.of(*word));
        let freed = (before - self.state.overflow.len()) as u64;
        if freed > 0 {
            self.remember(now);
            self.uncount(freed);
        }
        let intercepts = self.state.overflow.values().map(|word| token_bucket::kept(layout, *word).0);
        Tidied { freed, highest: intercepts.max().unwrap_or(i64::MIN) }
    }

    /// One more set, and the keys that belong there.
    fn split(&mut self, now: Reading) {
        let layout = self.layout();
        let (sets, homes) = (self.sets(), self.homes());
        let (from, new, after) = (sets.divided(), SetIndex::new(sets.count()), sets.one_more());
        let (Some(source), Some(to)) = (self.set(from), self.set(new)) else { return };
        // Full buckets need not move.
        self.tidy(from, now);
        // The new set has a slot for each of the old one's, none of them ever used.
        for (slot, fresh) in slots(source).zip(slots(to)) {
            let Some(tenant) = slot.tenant() else { continue };
            if tenant.first(after) == from || tenant.second(after) == from {
                continue;
            }
            let word = slot.claim_any();
            fresh.move_in(tenant, word);
            slot.move_out(layout, word);
        }
        // Before the lock is free: who misses a key looks again under it, where the keys are now.
        // Release, so that who sees the new set mostly sees its tenants, and need not.
        homes.sets.store(after.bits(), Ordering::Release);
    }

    /// The bucket to be forgotten for a new key, and its word: the one closest to full among
    /// those in the key's homes; where none of them will do but there is room, among those of the
    /// next sets. Never one that is exhausted. If its slot is closed to the new key, none is: those
    /// that owe more do not go in its place.
    pub(super) fn victim(&self, key: Fingerprint, now: Reading) -> Option<(Slot<'a>, Word)> {
        const FURTHER: u64 = 32;
        let sets = self.sets();
        let homes = [key.first(sets), key.second(sets)];
        if let Some((slot, word)) = self.fullest(homes, now) {
            let open = self.layout().tick_of(word) < self.layout().last_tick(now);
            return open.then_some((slot, word));
        }
        let start = homes[0].first_slot() as u64 / SLOTS as u64;
        let further = (0..FURTHER.min(sets.count())).map(|step| SetIndex::new((start + step) % sets.count()));
        let mut homes = homes.into_iter().filter_map(|home| self.set(home));
        let room = homes.any(|home| self.vacant(home, token_bucket::brimful(self.layout()), now).is_some());
        if room { self.fullest(further, now) } else { None }
    }

    /// The bucket closest to full among those in the sets that are not exhausted.
    fn fullest(&self, sets: impl IntoIterator<Item = SetIndex>, now: Reading) -> Option<(Slot<'a>, Word)> {
        let layout = self.layout();
        let token = layout.per_token().min(layout.capacity().0) as i64;
        let tenants = sets.into_iter().filter_map(|set| self.set(set)).flat_map(slots);
        let candidates = tenants.filter(|slot| slot.tenant().is_some()).filter_map(|slot| {
            let word = slot.word();
            let Level(held) = token_bucket::level(layout, word, now);
            (!word.is_special() && held >= token).then_some((held, slot, word))
        });
        candidates.max_by_key(|&(held, ..)| held).map(|(_, slot, word)| (slot, word))
    }

    /// What a refused key may come back for: the units missing until the fullest bucket in its
    /// homes is full.
    pub(super) fn refusal(&self, key: Fingerprint, now: Reading) -> (Units, Reading) {
        let (sets, layout) = (self.sets(), self.layout());
        let homes = [key.first(sets), key.second(sets)].into_iter().filter_map(|set| self.set(set));
        let tenants = homes.flat_map(slots).filter(|slot| slot.tenant().is_some());
        let held = tenants.map(|slot| token_bucket::level(layout, slot.word(), now).0.max(0)).max().unwrap_or(0);
        (Units((layout.capacity().0 - held as u64).max(1)), now)
    }

    /// One more key, if there may be one.
    pub(super) fn count(&mut self) -> bool {
        let most = self.table.max_keys;
        // Relaxed: a count; what it allows is ordered by the shard's lock.
        let one_more = |keys: u64| (keys < most).then_some(keys + 1);
        let counted = self.table.keys.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok();
        self.state.keys += u64::from(counted);
        counted
    }

    pub(super) fn uncount(&mut self, keys: u64) {
        if keys > 0 {
            self.state.keys -= keys;
            self.table.keys.fetch_sub(keys, Ordering::Relaxed);
        }
    }
}

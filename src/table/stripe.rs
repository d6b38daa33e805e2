//! A stripe under its lock: tenants are placed, displaced and forgotten.

use std::ops::Bound;

use crate::algorithm::Terms;
use crate::algorithm::token_bucket;
use crate::word::{Reading, Word};

use super::fingerprint::Fingerprint;
use super::slots::{Candidates, InSlot, Slot};
use super::state::{Forgettable, Locked};

/// The place of a key that is about to come. The stripe's lock is held until it is there.
#[must_use = "a place in the overflow is counted"]
pub(super) enum Seat<'a> {
    Slot(Slot<'a>),
    /// A place in the overflow, which is counted.
    Overflow,
}

impl<'a> Locked<'a> {
    /// Returns a seat for a key that is counted: a vacant slot, a slot whose tenant may be forgotten or
    /// moved, or a place in the overflow. Returns `None` if there is none.
    #[inline]
    pub(super) fn seat(&mut self, terms: &Terms<'_>, candidates: &Candidates<'a>, now: Reading) -> Option<Seat<'a>> {
        match candidates.vacant(Candidates::LINES) {
            Some(slot) => Some(Seat::Slot(slot)),
            None => self.seat_in_crowd(terms, candidates, now),
        }
    }

    #[cold]
    fn seat_in_crowd(&mut self, terms: &Terms<'_>, candidates: &Candidates<'a>, now: Reading) -> Option<Seat<'a>> {
        let slot = self.reuse(candidates, self.table.idle(terms, now)).or_else(|| self.displace(candidates));
        slot.map(Seat::Slot).or_else(|| self.table.count_overflow().then_some(Seat::Overflow))
    }

    /// Returns whether there is a seat, as far as a look can show.
    pub(super) fn has_seat(&self, terms: &Terms<'_>, candidates: &Candidates<'a>, now: Reading) -> bool {
        let idle = self.table.idle(terms, now);
        !self.table.overflow_is_full()
            || candidates.vacant(Candidates::LINES).is_some()
            || candidates.tenants().any(|tenant| {
                idle.includes(tenant.word()) || self.table.candidates(tenant.key).vacant(Candidates::LINES).is_some()
            })
    }

    /// Moves a key to its seat.
    #[inline]
    pub(super) fn place(&mut self, key: Fingerprint, word: Word, seat: Seat<'a>) {
        match seat {
            Seat::Slot(slot) => self.occupy(slot, key, word),
            Seat::Overflow => drop(self.state.overflow.insert(key, word)),
        }
    }

    /// Gives a seat back that is not needed.
    pub(super) fn leave(&self, seat: Seat<'a>) {
        if let Seat::Overflow = seat {
            self.table.uncount_overflow(1);
        }
    }

    #[inline]
    pub(super) fn occupy(&mut self, slot: Slot<'a>, key: Fingerprint, word: Word) {
        self.changed = true;
        slot.occupy(key, word);
    }

    /// Moves a tenant out of its slot, which is claimed.
    pub(super) fn vacate(&mut self, tenant: InSlot<'a>) -> Slot<'a> {
        self.changed = true;
        tenant.vacate()
    }

    /// Forgets a candidate that may be forgotten, and returns its slot.
    fn reuse(&mut self, candidates: &Candidates<'a>, forgettable: Forgettable<'_>) -> Option<Slot<'a>> {
        let tenant = candidates.tenants().find(|tenant| self.claim_if(tenant, forgettable))?;
        self.table.uncount(1);
        Some(self.vacate(tenant))
    }

    /// Claims the slot of a tenant if the tenant may be forgotten.
    pub(super) fn claim_if(&mut self, tenant: &InSlot<'a>, forgettable: Forgettable<'_>) -> bool {
        let word = tenant.word();
        // A charge that is under way makes the claim fail. The bucket is in use again then. Terms that are older than
        // the word, or than the floor, could take it for something else.
        let claimed = forgettable.includes(word) && self.table.are_current(forgettable.terms) && tenant.claim_if(word);
        if claimed {
            self.state.forgotten += 1;
            self.lower_floor(forgettable.terms, token_bucket::least_full(forgettable.terms, forgettable.since));
        }
        claimed
    }

    /// Lowers the floor, because a bucket is forgotten that held at least as much as `word`.
    pub(super) fn lower_floor(&mut self, terms: &Terms<'_>, word: Word) {
        let lower = |floor| token_bucket::min_of(terms, floor, word);
        self.state.floor = Some(self.state.floor.map_or(word, lower));
    }

    /// Moves a candidate tenant to another of its own lines, and returns the slot that it left.
    fn displace(&mut self, candidates: &Candidates<'a>) -> Option<Slot<'a>> {
        candidates.tenants().find_map(|tenant| {
            let to = self.table.candidates(tenant.key).vacant(Candidates::LINES)?;
            Some(self.move_tenant(tenant, to))
        })
    }

    /// Moves a tenant, and returns the slot that it left.
    ///
    /// The source is claimed before the destination lives; otherwise a charge would find two
    /// buckets.
    pub(super) fn move_tenant(&mut self, tenant: InSlot<'a>, to: Slot<'a>) -> Slot<'a> {
        let word = tenant.claim();
        self.occupy(to, tenant.key, word);
        self.vacate(tenant)
    }

    /// Moves a key to its home line, or at least to its home group, if there is room by now.
    pub(super) fn move_home(&mut self, key: Fingerprint) {
        let candidates = self.table.candidates(key);
        let Some((better, tenant)) = candidates.find(key) else { return };
        if let Some(to) = candidates.vacant(better) {
            self.move_tenant(tenant, to);
        }
    }

    /// Forgets the buckets of a group that may be forgotten, and returns their number.
    pub(super) fn sweep(&mut self, group: u64, forgettable: Forgettable<'_>) -> u64 {
        let mut freed = 0;
        for tenant in self.table.group_tenants(group) {
            if self.claim_if(&tenant, forgettable) {
                self.vacate(tenant);
                freed += 1;
            }
        }
        self.table.uncount(freed);
        freed
    }

    /// Looks at a few buckets in the overflow, others at each call. Forgets those that may be
    /// forgotten, and returns their number.
    pub(super) fn sweep_overflow(&mut self, forgettable: Forgettable<'_>) -> u64 {
        const FEW: usize = 64;
        if !self.table.are_current(forgettable.terms) {
            return 0;
        }
        let state = &mut *self.state;
        let after = state.last_swept.map_or(Bound::Unbounded, Bound::Excluded);
        let entries = state.overflow.range((after, Bound::Unbounded)).chain(&state.overflow);
        let few: Vec<_> = entries.take(FEW.min(state.overflow.len())).map(|(&key, &word)| (key, word)).collect();
        state.last_swept = few.last().map(|&(key, _)| key);
        let mut freed = 0;
        for (key, word) in few {
            if forgettable.includes(word) && state.overflow.remove(&key).is_some() {
                freed += 1;
            }
        }
        self.forgot_overflown(freed, forgettable)
    }

    /// Looks at all buckets in the overflow. Forgets those that may be forgotten, and returns their
    /// number.
    pub(super) fn sweep_whole_overflow(&mut self, forgettable: Forgettable<'_>) -> u64 {
        if !self.table.are_current(forgettable.terms) {
            return 0;
        }
        let before = self.state.overflow.len();
        self.state.overflow.retain(|_, word| !forgettable.includes(*word));
        self.forgot_overflown((before - self.state.overflow.len()) as u64, forgettable)
    }

    fn forgot_overflown(&mut self, freed: u64, forgettable: Forgettable<'_>) -> u64 {
        if freed > 0 {
            self.state.forgotten += freed;
            self.lower_floor(forgettable.terms, token_bucket::least_full(forgettable.terms, forgettable.since));
            self.table.uncount(freed);
            self.table.uncount_overflow(freed);
        }
        freed
    }

    /// Moves a key from the overflow to a slot of its own lines, if one is vacant or can be made
    /// vacant. Otherwise the key stays in the overflow, with this word.
    pub(super) fn place_overflown(&mut self, key: Fingerprint, word: Word) {
        let candidates = self.table.candidates(key);
        match candidates.vacant(Candidates::LINES).or_else(|| self.displace(&candidates)) {
            Some(slot) => {
                self.state.overflow.remove(&key);
                self.table.uncount_overflow(1);
                self.occupy(slot, key, word);
            }
            None => drop(self.state.overflow.insert(key, word)),
        }
    }

    /// Forgets a key and the tokens that it has taken. Returns whether the key was known.
    pub(super) fn remove(&mut self, key: Fingerprint) -> bool {
        let candidates = self.table.candidates(key);
        if let Some((_, tenant)) = candidates.find(key) {
            self.forget(tenant);
            return true;
        }
        let known = self.state.overflow.remove(&key).is_some();
        if known {
            self.table.uncount(1);
            self.table.uncount_overflow(1);
        }
        known
    }

    /// Forgets all keys of the stripe, and the tokens that earlier keys have taken.
    pub(super) fn remove_all(&mut self, groups: impl Iterator<Item = u64>) {
        for group in groups {
            self.table.group_tenants(group).for_each(|tenant| self.forget(tenant));
        }
        self.state.floor = None;
        let overflow = std::mem::take(&mut self.state.overflow).len() as u64;
        self.table.uncount(overflow);
        self.table.uncount_overflow(overflow);
    }

    /// Ends a tenancy, whatever the bucket holds.
    fn forget(&mut self, tenant: InSlot<'a>) {
        tenant.claim();
        self.vacate(tenant);
        self.table.uncount(1);
    }
}

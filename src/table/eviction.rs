//! A place for a new key, when the table holds all the keys that it may.

use crate::algorithm::token_bucket;
use crate::word::{Level, Reading, Units, Word};

use super::fingerprint::Fingerprint;
use super::policy::OnFull;
use super::slots::{Candidates, InSlot};
use super::state::Locked;

/// What was found for one more key.
pub(super) enum Room {
    /// The key is counted; the keys are so many now, if it was not in the place of another.
    Counted(Option<u64>),
    /// The same, after a bucket in use was forgotten.
    Evicted,
    /// The table is full, and has not been swept for this key.
    Full,
    /// There is none until `deficit` units more have been earned.
    Refused { deficit: Units },
}

impl<'a> Locked<'a> {
    /// Counts one more key, in the place of another if the table is full. Unless the table was
    /// `swept`, no bucket in use is forgotten.
    #[inline]
    pub(super) fn make_room(
        &mut self,
        key: Fingerprint,
        candidates: &Candidates<'a>,
        now: Reading,
        swept: bool,
    ) -> Room {
        if !self.is_crowded_out(candidates) {
            if let Some(keys) = self.table.count() {
                return Room::Counted(Some(keys));
            }
        }
        self.make_room_at_limit(key, candidates, now, swept)
    }

    #[cold]
    fn make_room_at_limit(&mut self, key: Fingerprint, candidates: &Candidates<'a>, now: Reading, swept: bool) -> Room {
        let rivals = self.rivals(key, candidates);
        let full = self.table.full(now);
        if let Some(tenant) = rivals.tenants().find(|tenant| self.claim_if(tenant, full)) {
            self.vacate(tenant);
            return Room::Counted(None);
        }
        if !swept {
            return Room::Full;
        }
        // A victim that is charged meanwhile is looked at anew.
        while let Some((victim, word)) = self.victim(&rivals, now) {
            if victim.claim_if(word) {
                self.lower_floor(word);
                self.vacate(victim);
                return Room::Evicted;
            }
        }
        Room::Refused { deficit: self.refusal(&rivals, now) }
    }

    /// What [`make_room`](Locked::make_room) would find, as far as a look can say.
    pub(super) fn foresee_room(
        &self,
        key: Fingerprint,
        candidates: &Candidates<'a>,
        now: Reading,
        swept: bool,
    ) -> Room {
        if !self.is_crowded_out(candidates) && self.table.keys() < self.table.max_keys {
            return Room::Counted(None);
        }
        let rivals = self.rivals(key, candidates);
        if rivals.tenants().any(|tenant| token_bucket::is_full(self.layout(), tenant.word(), now)) {
            return Room::Counted(None);
        }
        if !swept {
            return Room::Full;
        }
        match self.victim(&rivals, now) {
            Some(_) => Room::Evicted,
            None => Room::Refused { deficit: self.refusal(&rivals, now) },
        }
    }

    /// The slots whose tenants a new key may replace: its own. If they are all vacant, those of the
    /// first group of the stripe, among a few, that is not.
    ///
    /// A call that comes back finds the same ones, so the wait that it was told is sufficient.
    fn rivals(&self, key: Fingerprint, candidates: &Candidates<'a>) -> Candidates<'a> {
        const MOST_GROUPS: usize = 32;
        if candidates.tenants().next().is_some() {
            return *candidates;
        }
        let (table, stripe) = (self.table, self.table.stripe_of(key) as u64);
        let groups = (stripe..table.groups().count()).step_by(table.stripes.len()).take(MOST_GROUPS);
        let mut groups = groups.map(|group| table.group(group));
        groups.find(|slots| slots.tenants().next().is_some()).unwrap_or(*candidates)
    }

    /// The bucket to be forgotten for a new key, and its word: the one closest to full, never one
    /// that is exhausted. None if the policy forbids it.
    fn victim(&self, rivals: &Candidates<'a>, now: Reading) -> Option<(InSlot<'a>, Word)> {
        let OnFull::EvictLeastDebt = self.table.on_full else { return None };
        let candidates = rivals.tenants().filter_map(|tenant| {
            let word = tenant.word();
            let Level(held) = token_bucket::level(self.layout(), word, now);
            (!word.is_special() && held >= self.token()).then_some((held, tenant, word))
        });
        candidates.max_by_key(|&(held, ..)| held).map(|(_, tenant, word)| (tenant, word))
    }

    /// The units that must be earned until one of the rivals may be forgotten.
    fn refusal(&self, rivals: &Candidates<'a>, now: Reading) -> Units {
        let capacity = self.layout().capacity().0 as i64;
        let enough = if self.table.on_full == OnFull::EvictLeastDebt { self.token() } else { capacity };
        let levels = rivals.tenants().map(|tenant| token_bucket::level(self.layout(), tenant.word(), now).0);
        // If there are none, all keys are waited on or elsewhere: a guess.
        let missing = levels.max().map_or(capacity, |most| enough - most);
        Units(missing.max(1) as u64)
    }

    /// A bucket that holds less is exhausted.
    fn token(&self) -> i64 {
        self.layout().per_token().min(self.layout().capacity().0) as i64
    }
}

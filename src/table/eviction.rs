//! Room for a new key when the table holds its maximum number of keys.

use crate::algorithm::Terms;
use crate::algorithm::token_bucket;
use crate::word::{Level, Reading, Units, Word};

use super::fingerprint::Fingerprint;
use super::policy::OnFull;
use super::slots::{Candidates, InSlot};
use super::state::{Attempt, Locked, full};
use super::stripe::Seat;

/// Room for one more key, which is counted.
pub(super) struct Room<'a> {
    pub(super) seat: Seat<'a>,
    /// Set if a bucket in use was forgotten for the key.
    pub(super) has_evicted: bool,
}

/// The reason why there is no room for one more key.
pub(super) enum NoRoom {
    /// The table is full, and has not been swept for this key, or the quota has changed meanwhile.
    Full,
    /// There is no room until `deficit` more units have been earned.
    Refused { deficit: Units },
}

impl<'a> Locked<'a> {
    /// Counts one more key. If the table is full, the key takes the place of another key. A bucket
    /// in use is forgotten only if the table was `swept`.
    #[inline(always)]
    pub(super) fn make_room(
        &mut self,
        key: Fingerprint,
        candidates: &Candidates<'a>,
        attempt: Attempt<'_>,
    ) -> Result<Room<'a>, NoRoom> {
        if self.table.count() {
            if let Some(seat) = self.seat(attempt.terms, candidates, attempt.now) {
                return Ok(Room { seat, has_evicted: false });
            }
            self.table.uncount(1);
        }
        self.make_room_at_limit(key, candidates, attempt)
    }

    #[cold]
    fn make_room_at_limit(
        &mut self,
        key: Fingerprint,
        candidates: &Candidates<'a>,
        attempt: Attempt<'_>,
    ) -> Result<Room<'a>, NoRoom> {
        let Attempt { terms, now, swept } = attempt;
        let rivals = self.rivals(key, candidates);
        let full = full(terms, now);
        // A rival is in one of the key's own slots, or those are all vacant.
        let seat = |slot| Seat::Slot(candidates.vacant(Candidates::LINES).unwrap_or(slot));
        if let Some(tenant) = rivals.tenants().find(|tenant| self.claim_if(tenant, full)) {
            return Ok(Room { seat: seat(self.vacate(tenant)), has_evicted: false });
        }
        if !swept {
            return Err(NoRoom::Full);
        }
        // If the victim is charged meanwhile, the search begins anew.
        while let Some((victim, word)) = self.victim(terms, &rivals, now).filter(|_| self.table.are_current(terms)) {
            if victim.claim_if(word) {
                self.lower_floor(terms, word);
                return Ok(Room { seat: seat(self.vacate(victim)), has_evicted: true });
            }
        }
        if !self.table.are_current(terms) {
            // The quota has changed, and the call tries again by the new one.
            return Err(NoRoom::Full);
        }
        Err(NoRoom::Refused { deficit: self.refusal(terms, &rivals, now) })
    }

    /// Returns the reason for which [`make_room`](Locked::make_room) would refuse the key now, as far as a
    /// look can show; `None` if there is room.
    pub(super) fn foresee_room(
        &self,
        key: Fingerprint,
        candidates: &Candidates<'a>,
        attempt: Attempt<'_>,
    ) -> Option<NoRoom> {
        let Attempt { terms, now, swept } = attempt;
        if self.table.keys() < self.table.max_keys && self.has_seat(terms, candidates, now) {
            return None;
        }
        let (rivals, full) = (self.rivals(key, candidates), full(terms, now));
        if rivals.tenants().any(|tenant| full.includes(tenant.word())) {
            return None;
        }
        if !swept {
            return Some(NoRoom::Full);
        }
        match self.victim(terms, &rivals, now) {
            Some(_) => None,
            None => Some(NoRoom::Refused { deficit: self.refusal(terms, &rivals, now) }),
        }
    }

    /// Returns the slots whose tenants a new key may replace: the key's own slots. If those are all
    /// vacant, returns the slots of the first group of the stripe, among a few, that is not vacant.
    ///
    /// A call that comes back finds the same slots, so the wait that it was given is sufficient.
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

    /// Returns the bucket to be forgotten for a new key, and its word: the bucket closest to full,
    /// never one that is exhausted. Returns `None` if there is no such bucket, or if the policy
    /// forbids it.
    fn victim(&self, terms: &Terms<'_>, rivals: &Candidates<'a>, now: Reading) -> Option<(InSlot<'a>, Word)> {
        let OnFull::EvictLeastDebt = self.table.on_full else { return None };
        let candidates = rivals.tenants().filter_map(|tenant| {
            let word = tenant.word();
            let Level(held) = token_bucket::level(terms, word, now);
            (!word.is_special() && held >= token(terms)).then_some((held, tenant, word))
        });
        candidates.max_by_key(|&(held, ..)| held).map(|(_, tenant, word)| (tenant, word))
    }

    /// Returns the units that must be earned until one of the rivals may be forgotten.
    fn refusal(&self, terms: &Terms<'_>, rivals: &Candidates<'a>, now: Reading) -> Units {
        let capacity = terms.capacity().0 as i64;
        let enough = if self.table.on_full == OnFull::EvictLeastDebt { token(terms) } else { capacity };
        let levels = rivals.tenants().map(|tenant| token_bucket::level(terms, tenant.word(), now).0);
        // Without rivals, all keys are waited on or elsewhere. The result is a guess then.
        let missing = levels.max().map_or(capacity, |most| enough - most);
        Units(missing.max(1) as u64)
    }
}

/// Returns the units below which a bucket is exhausted.
fn token(terms: &Terms<'_>) -> i64 {
    terms.layout.per_token().min(terms.capacity().0) as i64
}

//! Sweeping for buckets that may be forgotten, and doubling the groups.

use crate::sync::{MutexGuard, Ordering, lock, try_lock};
use crate::word::Reading;

use super::config::FALLEN_BEHIND;
use super::fingerprint::{Groups, LineIndex};
use super::slots::{InSlot, tenants, vacant};
use super::state::{Locked, Table, full};

/// The groups that are divided for each new key while the table doubles: more than the keys that
/// come meanwhile need.
const DIVIDED_AT_ONCE: u32 = 4;

/// The groups that one call may still sweep for a place.
pub(super) struct Sweep {
    groups_left: u64,
}

impl Sweep {
    pub(super) const fn new() -> Self {
        Sweep { groups_left: 32 }
    }

    /// Returns whether the call has swept as much as it may.
    pub(super) const fn is_over(&self) -> bool {
        self.groups_left == 0
    }
}

impl Table {
    /// Called after a new key has come. If the groups are crowded, begins to double them, unless there
    /// are buckets to be forgotten instead. If they are being doubled, divides a few more.
    #[inline]
    pub(super) fn grow_if_crowded(&self, now: Reading) {
        let (keys, groups) = (self.keys(), self.groups());
        if !groups.is_even() || self.is_crowded(keys, groups) {
            self.grow(keys, now);
        }
    }

    #[cold]
    fn grow(&self, keys: u64, now: Reading) {
        // One thread divides groups at a time, and the keys of other threads come meanwhile. But if
        // that thread falls behind, the other threads wait for it; otherwise they would find no
        // slot.
        let growth = if FALLEN_BEHIND.is_exceeded(keys, self.groups().slots()) {
            Some(lock(&self.growth))
        } else {
            try_lock(&self.growth)
        };
        let Some(growth) = growth else { return };
        let groups = self.groups();
        if groups.is_even() && self.is_crowded(self.keys(), groups) && !self.sweep_ahead(now) {
            self.lock_group(groups.divided()).divide(&growth);
        }
        self.divide_more(&growth, |group| Some(self.lock_group(group)));
    }

    /// Divides a few groups if the table is being doubled, unless another thread has a lock that this
    /// needs: a call for a known key waits for no lock.
    #[inline]
    pub(super) fn divide_some(&self) {
        if !self.groups().is_even() {
            if let Some(growth) = try_lock(&self.growth) {
                self.divide_more(&growth, |group| self.try_lock(self.stripe_of_group(group)));
            }
        }
    }

    fn divide_more<'a>(&self, growth: &MutexGuard<'_, ()>, lock: impl Fn(u64) -> Option<Locked<'a>>) {
        for _ in 0..DIVIDED_AT_ONCE {
            let groups = self.groups();
            if groups.is_even() {
                return;
            }
            let Some(locked) = lock(groups.divided()) else { return };
            locked.divide(growth);
        }
    }

    /// Sweeps a few groups, the one that was not swept for longest first, until one has buckets to be
    /// forgotten. Returns whether one of them had.
    fn sweep_ahead(&self, now: Reading) -> bool {
        // If all these groups fail, the table doubles. There are enough of them that a table does
        // not double for want of luck if a fair share of its buckets is idle. There are few enough
        // that a new key does not take long if hardly any bucket is idle.
        const GROUPS: u64 = 8;
        let terms = self.terms();
        let idle = self.idle(&terms, now);
        (0..GROUPS.min(self.groups().count())).any(|_| {
            let group = self.next_to_sweep();
            self.lock_group(group).sweep(group, idle) > 0
        })
    }

    /// Returns the group that was not swept for longest: each in its turn, also if groups are added.
    fn next_to_sweep(&self) -> u64 {
        let groups = self.groups().count();
        let after = |group: u64| Some(if group + 1 < groups { group + 1 } else { 0 });
        // Relaxed: a position, which orders nothing.
        let next = self.hand.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after);
        next.unwrap_or_default()
    }

    /// Sweeps the table for full buckets, from the end of the last sweep on. Stops when some
    /// are found, or when the call has looked at as many groups as it may.
    pub(super) fn sweep_on(&self, sweep: &mut Sweep, now: Reading) {
        let terms = self.terms();
        let full = full(&terms, now);
        sweep.groups_left = sweep.groups_left.min(self.groups().count());
        while let Some(left) = sweep.groups_left.checked_sub(1) {
            sweep.groups_left = left;
            let group = self.next_to_sweep();
            let is_first = group < self.stripes.len() as u64;
            // Most groups hold no full bucket, and are not worth their lock.
            if !is_first && !self.group_tenants(group).any(|tenant| full.includes(tenant.word())) {
                continue;
            }
            let mut locked = self.lock_group(group);
            let mut freed = locked.sweep(group, full);
            if is_first {
                locked.take_back_some(now);
                freed += locked.sweep_overflow(full);
            }
            if freed > 0 {
                return;
            }
        }
        if !self.are_current(&terms) {
            // Full buckets may have been taken for others, or kept because the quota changed.
            *sweep = Sweep::new();
        }
    }

    pub(super) fn lock_group(&self, group: u64) -> Locked<'_> {
        self.lock(self.stripe_of_group(group))
    }

    fn stripe_of_group(&self, group: u64) -> usize {
        group as usize & (self.stripes.len() - 1)
    }
}

impl<'a> Locked<'a> {
    /// Adds a group, and moves the keys that belong in it. This is the lock of the stripe that the group
    /// to be divided belongs to, and so does the new one.
    fn divide(mut self, _: &MutexGuard<'_, ()>) {
        let (table, groups) = (self.table, self.table.groups());
        let after = groups.one_more();
        for at in LineIndex::of_group(groups.divided()) {
            for tenant in tenants(table.line(at)) {
                self.resettle(tenant, at, after);
            }
        }
        // Published before the lock is free, because a thread that misses a key looks again under
        // the lock. This is a change even if no tenant moved: a new key must not come to a slot of
        // the lines that follow from the old number of groups.
        table.publish(after);
        self.changed = true;
        self.place_some_overflown();
    }

    /// Moves a tenant of a group that is divided to the line in which it belongs then: to the new
    /// group if it has to go there, and to its home line if there is room.
    fn resettle(&mut self, tenant: InSlot<'a>, at: LineIndex, after: Groups) {
        let home = tenant.key.home_line(after);
        if home == at {
            return;
        }
        let (table, from, new) = (self.table, at.group(), after.count() - 1);
        let vacant = |line| vacant(table.line(line));
        let slot = vacant(home).or_else(|| {
            // The new group has a slot for each slot of the old group.
            let second = tenant.key.second_line(after, table.stripes.len() - 1);
            match (home.group(), second.group()) {
                (group, _) if group == new => vacant(home.other()),
                (group, _) if group == from => None,
                (_, group) if group == new => vacant(second).or_else(|| vacant(second.other())),
                _ => None,
            }
        });
        if let Some(slot) = slot {
            self.move_tenant(tenant, slot);
        }
    }

    /// Moves some keys from the overflow into slots, as far as there is room.
    fn place_some_overflown(&mut self) {
        const MOST: usize = 16;
        if self.state.overflow.is_empty() {
            return;
        }
        let some: Vec<_> = self.state.overflow.iter().take(MOST).map(|(&key, &word)| (key, word)).collect();
        for (key, word) in some {
            self.place_overflown(key, word);
        }
    }
}

//! The configuration of a table, and the bounds on its size.

use std::sync::Arc;

use crate::cell::QuotaCell;
use crate::queue::TimerFactory;
use crate::tokens::Tokens;

use super::fingerprint::{GROUP_BITS, GROUP_SLOTS};
use super::policy::{FullEvent, OnFull};

/// The configuration of a table.
pub(crate) struct TableConfig {
    pub(crate) quota: QuotaCell,
    /// The amount in a new key's bucket, until the quota changes; the capacity or more if buckets start
    /// full.
    pub(crate) initial: Tokens,
    pub(crate) max_keys: u64,
    /// A bucket that has been full for this many nanoseconds may be forgotten.
    pub(crate) forget_after: u64,
    pub(crate) on_full: OnFull,
    pub(crate) hook: Option<Hook>,
    pub(crate) waiters: Waiters,
}

/// Called after a full table evicted or refused a key, on the calling thread, with no lock held.
pub(crate) type Hook = Arc<dyn Fn(FullEvent) + Send + Sync>;

/// The bounds on waiters.
#[derive(Clone)]
pub(crate) struct Waiters {
    /// The most waiters on one key.
    pub(crate) each: u32,
    /// The most keys that are waited on.
    pub(crate) keys: u64,
    pub(crate) timer: Option<TimerFactory>,
}

/// Groups double when they hold more than four keys per five slots.
pub(super) const MOST_LOADED: Load = Load { keys: 4, slots: 5 };

/// The load of groups that do not double as fast as new keys come.
pub(super) const FALLEN_BEHIND: Load = Load { keys: 7, slots: 8 };

pub(super) struct Load {
    keys: u64,
    slots: u64,
}

impl Load {
    pub(super) const fn is_exceeded(&self, keys: u64, slots: u64) -> bool {
        keys * self.slots > slots * self.keys
    }

    /// Returns the slots that `keys` keys need.
    const fn slots_for(&self, keys: u64) -> u64 {
        (keys * self.slots).div_ceil(self.keys)
    }
}

/// The most keys of a table.
pub(crate) const MOST_KEYS: u64 = 1 << 31;

/// Returns the most groups for `max_keys` keys, a power of two. From 1.7 × 10⁹ keys on, there are
/// no more numbers for groups, and the groups fill up beyond the load.
pub(super) const fn max_groups(max_keys: u64) -> u64 {
    let groups = MOST_LOADED.slots_for(max_keys).div_ceil(GROUP_SLOTS as u64).next_power_of_two();
    if groups > 1 << GROUP_BITS { 1 << GROUP_BITS } else { groups }
}

/// Returns the number of stripes of a table, a power of two. A small table has few stripes.
pub(super) const fn stripes(max_keys: u64) -> u64 {
    // The models have two stripes, and as many keys as they need for two stripes.
    let (least, few, many, large) = if cfg!(brimful_loom) { (4, 2, 2, 64) } else { (16, 16, 64, 1 << 15) };
    let groups = max_groups(max_keys);
    if groups >= large {
        many
    } else if groups / least > few {
        few
    } else if groups < least {
        1
    } else {
        groups / least
    }
}

/// Returns the groups of an empty table: two for each stripe, so that a key has two.
pub(super) const fn first_groups(stripes: u64, max_groups: u64) -> u64 {
    // The models divide their first group.
    let each = if cfg!(brimful_loom) { 1 } else { 2 };
    if stripes * each < max_groups { stripes * each } else { max_groups }
}

/// Returns the most keys that may be in the overflow, because no slot was found for them. With a
/// hasher that spreads keys, there are none.
pub(super) const fn max_overflow(max_keys: u64) -> u64 {
    let share = max_keys / 8;
    if share > 64 { share } else { 64 }
}

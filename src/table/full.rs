//! When the table has all the keys that it may have.

use crate::sync::{AtomicU64, Mutex, Ordering, lock};
use crate::word::Reading;

use super::Table;
use super::address::SetIndex;

/// What becomes of a new key when every bucket in the table is in use: there are as many as it
/// may hold, and none of those looked at is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFull {
    /// Of the new key's candidates (the buckets in its two sets), the one closest to full goes.
    /// What it owed is kept in a bucket that all keys of its shard which were forgotten share,
    /// and from which new ones start: nobody is granted more than by an exact bucket. One that
    /// holds less than a token never goes; if all candidates do, or what the new key would start
    /// with is too little, the new key is refused.
    ///
    /// Under a flood of new keys that lasts, the shared debt grows until new keys are refused as
    /// with [`Deny`](OnFull::Deny). Keys that have used up their quota stay so all the while.
    #[default]
    EvictLeastDebt,
    /// The new key is refused.
    Deny,
}

/// What a full table did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FullEvent {
    /// A bucket that was in use was forgotten for a new key.
    Evicted,
    /// A new key was refused.
    Refused,
}

/// What was done, and how far the search for full buckets has come.
pub(super) struct Counters {
    pub(super) evicted: AtomicU64,
    pub(super) refused: AtomicU64,
    round: Mutex<Round>,
    /// Whether something was put into a bucket, or a bucket was made, that a round may have
    /// passed already.
    stale: AtomicU64,
}

/// A round through all sets, a few at a time.
struct Round {
    shard: usize,
    set: u64,
    /// Sets that were looked at in this round.
    looked: u64,
    /// The highest intercept among the buckets looked at in this round.
    highest: i64,
    /// No bucket is full before so many units have been earned.
    until: Option<i64>,
}

impl Counters {
    pub(super) fn new() -> Self {
        let round = Round { shard: 0, set: 0, looked: 0, highest: i64::MIN, until: None };
        Counters {
            evicted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            round: Mutex::new(round),
            stale: AtomicU64::new(0),
        }
    }

    /// What a finished round has found out does not hold any longer.
    pub(super) fn look_again(&self) {
        // Relaxed: whoever misses it refuses a key a moment longer. Loaded first, so that the
        // line is not written by everybody.
        if self.stale.load(Ordering::Relaxed) == 0 {
            self.stale.store(1, Ordering::Relaxed);
        }
    }
}

/// What a look at a set found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tidied {
    /// The full buckets that were forgotten.
    pub(super) freed: u64,
    /// The highest intercept of those that stay.
    pub(super) highest: i64,
}

/// The sets that a new key looks at, at most, in search of a full bucket.
const LOOK: u64 = 512;

impl Table {
    /// Looks for full buckets, and forgets those of the first set that has some; tells whether it
    /// did. The round goes on where the last look ended. When it has been all round in vain, it
    /// knows before when no bucket can be full, and does not look until then.
    pub(super) fn make_room(&self, now: Reading) -> bool {
        let mut round = lock(&self.full.round);
        let earned = self.layout.earned().at(now).0 as i64;
        if self.full.stale.swap(0, Ordering::Relaxed) == 1 {
            (round.looked, round.highest, round.until) = (0, i64::MIN, None);
        }
        if round.until.is_some_and(|until| earned < until) {
            return false;
        }
        round.until = None;
        let all = self.all_sets();
        for _ in 0..LOOK.min(all) {
            let mut locked = self.lock_shard(round.shard);
            let mut found = locked.tidy(SetIndex::new(round.set), now);
            if round.set == 0 {
                let Tidied { freed, highest } = locked.tidy_overflow(now);
                found = Tidied { freed: found.freed + freed, highest: found.highest.max(highest) };
            }
            (round.looked, round.highest) = (round.looked + 1, round.highest.max(found.highest));
            round.set += 1;
            if round.set >= locked.sets().count() {
                (round.shard, round.set) = ((round.shard + 1) % self.shards.len(), 0);
            }
            if found.freed > 0 {
                (round.looked, round.highest) = (0, i64::MIN);
                return true;
            }
            if round.looked >= all {
                // Full is what holds the capacity: earned ≥ capacity − the intercept.
                round.until = Some((self.layout.capacity().0 as i64).saturating_sub(round.highest));
                (round.looked, round.highest) = (0, i64::MIN);
                return false;
            }
        }
        false
    }

    /// Counts what was done and tells of it. No lock is held.
    pub(super) fn tell(&self, event: FullEvent) {
        let counter = match event {
            FullEvent::Evicted => &self.full.evicted,
            FullEvent::Refused => &self.full.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if let Some(hook) = &self.hook {
            hook(event);
        }
    }
}

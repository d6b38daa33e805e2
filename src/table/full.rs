//! When the table has all the keys that it may have.

use crate::sync::{AtomicU64, Mutex, Ordering, lock};
use crate::word::{Intercept, Reading};

use super::Table;
use super::address::SetIndex;

/// What becomes of a new key when every bucket in the table is in use: there are as many as it
/// may hold, and none of those looked at is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFull {
    /// Of the new key's candidates (the buckets in its two sets, or in the next ones where those
    /// will not do), the one closest to full goes.
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
    /// The highest intercept among the buckets that were made, or that something was put into,
    /// since the round began; once it is over, among all. Shifted to be never negative.
    highest: AtomicU64,
}

/// A round through all sets, a few at a time.
struct Round {
    shard: usize,
    set: u64,
    /// Sets that were looked at in this round.
    looked: u64,
    /// The highest intercept among the buckets looked at in this round.
    highest: i64,
    /// The last round has been all round: no bucket's intercept is above [`Counters::highest`].
    over: bool,
}

/// What came of a search for full buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// Some were forgotten.
    Found,
    /// There are none.
    Vain,
    /// There may be some.
    Unfinished,
}

const fn shifted(x: i64) -> u64 {
    (x as u64) ^ (1 << 63)
}

impl Counters {
    pub(super) fn new() -> Self {
        Counters {
            evicted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            round: Mutex::new(Round { shard: 0, set: 0, looked: 0, highest: i64::MIN, over: false }),
            highest: AtomicU64::new(0),
        }
    }

    /// A bucket has this intercept now, and may be full before the others.
    pub(super) fn note(&self, Intercept(x): Intercept) {
        // Relaxed: whoever misses it refuses a key a moment longer. Loaded first, so that the
        // line is not written by everybody.
        if self.highest.load(Ordering::Relaxed) < shifted(x) {
            self.highest.fetch_max(shifted(x), Ordering::Relaxed);
        }
    }

    /// Whether all buckets are known to be short of the capacity.
    fn none_is_full(&self, capacity: i64, earned: i64) -> bool {
        let highest = shifted(self.highest.load(Ordering::Relaxed) as i64) as i64;
        highest.saturating_add(earned) < capacity
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

/// The sets that are looked at before others may look on.
const LOOK: u64 = 512;

impl Table {
    /// Looks for full buckets, and forgets those of the first set that has some. The round goes on
    /// where the last look ended. When it has been all round in vain, it knows before when no
    /// bucket can be full, and does not look until then.
    pub(super) fn make_room(&self, now: Reading) -> Search {
        let mut round = lock(&self.full.round);
        let (capacity, earned) = (self.layout.capacity().0 as i64, self.layout.earned().at(now).0 as i64);
        if round.over {
            if self.full.none_is_full(capacity, earned) {
                return Search::Vain;
            }
            (round.over, round.looked, round.highest) = (false, 0, i64::MIN);
            self.full.highest.store(0, Ordering::Relaxed);
        }
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
            if round.looked >= all {
                round.over = true;
                self.full.note(Intercept(round.highest));
            }
            if found.freed > 0 {
                return Search::Found;
            }
            if round.over {
                break;
            }
        }
        if round.over && self.full.none_is_full(capacity, earned) { Search::Vain } else { Search::Unfinished }
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

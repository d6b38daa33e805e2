//! The keyed table: fingerprints to buckets, bounded, with lock-free hits.
//!
//! A slot is a fingerprint and a packed word. A call for a key that is there loads and swaps its
//! word, and checks between the two that the slot is still its own; it takes no lock, writes
//! nothing else, and never waits, but for a lock on the very key that is being moved. Whatever
//! changes tenants (coming, going, moving, growing) is done under the shard's lock.
//!
//! **A tenancy ends** by swapping the word for CLAIMED. A charge that is under way makes that
//! swap fail, or fails itself.
//!
//! **A tenancy begins** with a word whose tick is later than that of any word that the slot had
//! before. So no word recurs in a slot from tenancy to tenancy, and a stalled call's swap, made
//! of an old tenant's word, fails: there is no ABA. The tick may be raised to the one after the
//! reading's, no further, for which the layout has room; a slot that would need more is closed
//! until then. The count is the intercept, and does not change with the tick.
//!
//! **The ghost.** What is forgotten was full, or is known to have held no less than the shard's
//! ghost: the lowest bucket that the shard has forgotten. A new key starts from that, or full if
//! it is less. So a reading from before something was forgotten, and a key that comes back after
//! it was evicted, find no more than the exact bucket would have.
//!
//! # Memory ordering
//!
//! A hit loads the fingerprint, the word (acquire), and the fingerprint again, and swaps the
//! word. Of a later tenancy the word cannot be: it was released after that one's fingerprint, and
//! the second look would see it. If it is of an earlier one, or its tenancy ends before the swap,
//! the swap finds CLAIMED or a later tenancy's word, and fails: words do not recur. The number of
//! sets is released after a new set was filled, and the keys that moved there were claimed before,
//! so that who misses a key, by an old number or a new one, finds it under the lock.
//! [`internals`](crate::internals) has the proof.

mod address;
mod batch;
mod errand;
mod full;
mod locked;
mod shard;
mod slots;
mod tenants;
#[cfg(feature = "wait")]
mod waiting;

#[cfg(feature = "wait")]
use std::sync::Arc;

use crossbeam_utils::CachePadded;

use crate::algorithm::token_bucket;
use crate::cell::{Follow, Found, Home, Now, Reply, Taken};
use crate::sync::{AtomicU64, Mutex, Ordering, lock, try_lock};
use crate::tokens::Tokens;
#[cfg(feature = "wait")]
use crate::wait::{MakeTimer, Rule, Terms};
use crate::word::{Layout, Reading, Units, Word, Worth};

pub(crate) use address::Fingerprint;
use address::{MOST_SETS, SHARD_BITS, SetIndex, Sets};
use errand::{Change, Errand, Take};
pub use full::{FullEvent, OnFull};
use locked::Locked;
use shard::Shard;
use slots::{Memory, SET_BYTES, SLOTS, Slot, has_room, search};
#[cfg(feature = "wait")]
pub(crate) use waiting::Arrival;

/// What a table is made for.
pub(crate) struct Plan {
    pub(crate) layout: Layout,
    /// What a new key's bucket holds; the capacity, or more, where it starts full.
    pub(crate) initial: Tokens,
    pub(crate) max_keys: u64,
    pub(crate) on_full: OnFull,
    pub(crate) hook: Option<Hook>,
    #[cfg(feature = "wait")]
    pub(crate) waiters: Waiters,
}

/// Who may wait.
#[cfg(feature = "wait")]
#[derive(Clone)]
pub(crate) struct Waiters {
    /// On a key, at most.
    pub(crate) each: u32,
    /// So many keys, at most.
    pub(crate) keys: u64,
    pub(crate) timer: Option<MakeTimer>,
}

/// Told of every decision that a full table forced, on the thread that met it.
pub(crate) type Hook = Box<dyn Fn(FullEvent) + Send + Sync>;

/// Buckets by fingerprint.
pub(crate) struct Table {
    layout: Layout,
    /// `None` where a bucket starts full.
    initial: Option<Units>,
    memory: Memory,
    /// The shard of each value of the bits that choose it. They have unequal shares, the largest
    /// twice the smallest: so they fill up and double one after the other, and not all at once.
    shares: [u8; SHARES],
    /// Read by every call, so apart from what is written all the time.
    homes: [Homes; SHARDS],
    shards: Box<[CachePadded<Mutex<Shard>>]>,
    max_keys: u64,
    /// The slots taken, and the buckets that found none.
    keys: CachePadded<AtomicU64>,
    on_full: OnFull,
    hook: Option<Hook>,
    full: CachePadded<full::Counters>,
    #[cfg(feature = "wait")]
    terms: Arc<Terms>,
    #[cfg(feature = "wait")]
    max_waiting_keys: u64,
    #[cfg(feature = "wait")]
    waiting_keys: AtomicU64,
}

const SHARES: usize = 1 << SHARD_BITS;

/// Where a shard's sets are.
struct Homes {
    /// [`Sets`], as bits.
    sets: AtomicU64,
    /// Its first pair in the memory.
    base: usize,
}

impl Homes {
    /// Acquire: who sees a new set sees its tenants.
    #[inline]
    fn sets(&self) -> Sets {
        Sets::from_bits(self.sets.load(Ordering::Acquire))
    }

    #[inline]
    fn pair(&self, set: SetIndex) -> usize {
        self.base + set.first_slot()
    }
}

impl Table {
    /// An empty table; `None` where there is not enough memory.
    pub(crate) fn new(plan: Plan) -> Option<Self> {
        #[cfg(feature = "wait")]
        let waiters = plan.waiters;
        let Plan { layout, initial, max_keys, on_full, hook, .. } = plan;
        let shape = Shape::new(max_keys);
        let memory = Memory::new(shape.sets())?;
        let mut base = memory.skip();
        let homes = std::array::from_fn(|shard| {
            let homes = Homes { sets: AtomicU64::new(Sets::new(1).bits()), base };
            base += shape.most_sets.get(shard).map_or(0, |&most| most as usize * SLOTS);
            homes
        });
        Some(Table {
            initial: Some(layout.units_clipped(initial)).filter(|&initial| initial < layout.capacity()),
            layout,
            homes,
            memory,
            shards: shape.most_sets.iter().map(|&most| CachePadded::new(Mutex::new(Shard::new(most)))).collect(),
            shares: shape.shares,
            max_keys,
            keys: CachePadded::new(AtomicU64::new(0)),
            on_full,
            hook,
            full: CachePadded::new(full::Counters::new()),
            #[cfg(feature = "wait")]
            terms: Terms::new(Rule { layout, ahead: Seated::AHEAD }, waiters.each, waiters.timer),
            #[cfg(feature = "wait")]
            max_waiting_keys: waiters.keys,
            #[cfg(feature = "wait")]
            waiting_keys: AtomicU64::new(0),
        })
    }

    #[inline]
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn max_keys(&self) -> u64 {
        self.max_keys
    }

    /// The buckets that take a slot, among them full ones whose slot nobody has taken over.
    pub(crate) fn len(&self) -> u64 {
        // Relaxed: a count, which orders nothing.
        self.keys.load(Ordering::Relaxed)
    }

    /// The bytes that are in use.
    pub(crate) fn memory(&self) -> u64 {
        let overflown = (0..self.shards.len()).map(|shard| self.lock_shard(shard).overflown()).sum();
        bytes(self.all_sets(), overflown) + fixed_bytes(self.shards.len())
    }

    /// The sets of all shards, as of some moment.
    fn all_sets(&self) -> u64 {
        self.homes.iter().take(self.shards.len()).map(|homes| homes.sets().count()).sum()
    }

    /// The most bytes that will ever be.
    pub(crate) fn memory_limit(&self) -> u64 {
        memory_limit(self.max_keys)
    }

    pub(crate) fn evictions(&self) -> u64 {
        self.full.evicted.load(Ordering::Relaxed)
    }

    pub(crate) fn refusals(&self) -> u64 {
        self.full.refused.load(Ordering::Relaxed)
    }

    /// Takes what `n` costs from a key's bucket, if `leaving` tokens are left in it then, or
    /// nothing, and returns what `reply` makes of it.
    #[inline(always)]
    pub(crate) fn take<R: Reply>(
        &self,
        key: Fingerprint,
        (n, leaving): (Tokens, Tokens),
        source: impl Now,
        reply: R,
    ) -> R::Answer {
        let elsewhere = Elsewhere { table: self, key, n, leaving, source, reply };
        match self.find_first(key) {
            Some(slot) => slot.cell().take(&self.layout, &Seated { slot, key }, (n, leaving), source, elsewhere),
            None => elsewhere.gone(),
        }
    }

    /// Takes from a key that is not in its first home, or not there any longer.
    #[cold]
    #[inline(never)]
    fn take_elsewhere(&self, key: Fingerprint, n: Tokens, leaving: Tokens, source: impl Now) -> Taken {
        let errand = Take { layout: &self.layout, n, leaving, source };
        let seated = self.find_second(key).and_then(|slot| errand.run(&slot.cell(), &Seated { slot, key }));
        if let Some(Taken::Admitted { now, .. }) = seated {
            self.lead_home(key, now);
        }
        seated.unwrap_or_else(|| self.run_cold(key, &errand))
    }

    /// Moves a key that is found in its second home to the first, where there is room by now.
    fn lead_home(&self, key: Fingerprint, now: Reading) {
        // Not each time, since the room may be in slots that are closed to it.
        const SELDOM: u64 = 8;
        let homes = self.homes_of(key);
        let first = self.memory.set(homes.pair(key.first(homes.sets())));
        if now.nanos().is_multiple_of(SELDOM) && first.is_some_and(has_room) {
            if let Some(mut locked) = self.try_lock_shard_of(key) {
                locked.lead_home(key, now);
            }
        }
    }

    /// Replaces a key's word by `change` of it, and returns what was added or charged by that.
    pub(crate) fn change(
        &self,
        key: Fingerprint,
        source: impl Now,
        change: impl Fn(Word, Reading) -> (Word, Units),
    ) -> Units {
        let noting = |word, now| {
            let (next, amount) = change(word, now);
            // What is given back may fill the bucket before others.
            self.full.note(token_bucket::kept(&self.layout, next));
            (next, amount)
        };
        let errand = Change { source, change: noting };
        let seated = self.find(key).and_then(|slot| errand.run(&slot.cell(), &Seated { slot, key }));
        seated.unwrap_or_else(|| self.run_cold(key, &errand))
    }

    /// Fills a key's bucket, and forgets its past.
    pub(crate) fn reset(&self, key: Fingerprint, mut source: impl Now) {
        let mut locked = self.lock_shard_of(key);
        let now = source.first();
        #[cfg(feature = "wait")]
        if let Some(done) = locked.reset_waited_on(key, now) {
            drop(locked);
            done.finish();
            return;
        }
        locked.reset(key, now);
    }

    /// When, and what a key's bucket was worth then to somebody who is to leave so much.
    #[cfg_attr(not(feature = "wait"), allow(unused_variables))]
    pub(crate) fn peek(&self, key: Fingerprint, leaving: Units, mut source: impl Now) -> Worth {
        let worth = |now, word| {
            let held = token_bucket::level(&self.layout, word, now);
            Worth { now, held, queued: Units(0) }
        };
        if let Some(slot) = self.find(key) {
            let (word, now) = (slot.word(), source.first());
            if !word.is_special() && slot.is_of(key) {
                return worth(now, word);
            }
        }
        let locked = self.lock_shard_of(key);
        let now = source.first();
        #[cfg(feature = "wait")]
        if let Some(done) = locked.worth_waited_on(key, leaving, now) {
            drop(locked);
            return done.finish();
        }
        worth(now, locked.word_of(key, now))
    }

    /// Forgets a key and what it has taken; tells whether it was there.
    pub(crate) fn remove(&self, key: Fingerprint) -> bool {
        let mut locked = self.lock_shard_of(key);
        #[cfg(feature = "wait")]
        if let Some(unheard) = locked.forget_waited_on(key) {
            drop(locked);
            unheard.tell();
            return true;
        }
        locked.remove(key)
    }

    /// Forgets every full bucket, and tells how many those were.
    pub(crate) fn retain_recent(&self, mut source: impl Now) -> u64 {
        let mut forgotten = 0;
        #[cfg(feature = "wait")]
        self.each_shard(|locked| locked.come_home_all(source.first()));
        self.walk(|locked, set| forgotten += locked.tidy(set, source.first()).freed);
        self.each_shard(|locked| forgotten += locked.tidy_overflow(source.first()).freed);
        forgotten
    }

    /// Forgets all keys and what they have taken.
    pub(crate) fn clear(&self) {
        #[cfg(feature = "wait")]
        let mut unheard = Vec::new();
        // A whole shard at a time: a key must not move from where it was not yet to where it was.
        self.each_shard(|locked| {
            (0..locked.sets().count()).for_each(|set| locked.remove_all(SetIndex::new(set)));
            locked.forgive();
            #[cfg(feature = "wait")]
            unheard.push(locked.forget_all_waited_on());
        });
        #[cfg(feature = "wait")]
        unheard.into_iter().for_each(waiting::Unheard::tell);
    }

    /// Every set, under its shard's lock, which is released every now and then.
    fn walk(&self, mut visit: impl FnMut(&mut Locked<'_>, SetIndex)) {
        const AT_A_TIME: u64 = 64;
        for shard in 0..self.shards.len() {
            let mut next = 0;
            loop {
                let mut locked = self.lock_shard(shard);
                let end = (next + AT_A_TIME).min(locked.sets().count());
                (next..end).for_each(|set| visit(&mut locked, SetIndex::new(set)));
                if end == locked.sets().count() {
                    break;
                }
                next = end;
            }
        }
    }

    fn each_shard(&self, mut visit: impl FnMut(&mut Locked<'_>)) {
        (0..self.shards.len()).for_each(|shard| visit(&mut self.lock_shard(shard)));
    }

    /// The slot that a key is in. It may be another's by the time that one looks at its word.
    fn find(&self, key: Fingerprint) -> Option<Slot<'_>> {
        self.find_first(key).or_else(|| self.find_second(key))
    }

    #[inline]
    fn find_first(&self, key: Fingerprint) -> Option<Slot<'_>> {
        let homes = self.homes_of(key);
        search(self.memory.set(homes.pair(key.first(homes.sets())))?, key)
    }

    #[inline]
    fn find_second(&self, key: Fingerprint) -> Option<Slot<'_>> {
        let homes = self.homes_of(key);
        search(self.memory.set(homes.pair(key.second(homes.sets())))?, key)
    }

    #[inline]
    fn shard_of(&self, key: Fingerprint) -> usize {
        self.shares[key.shard()].into()
    }

    #[inline]
    fn homes_of(&self, key: Fingerprint) -> &Homes {
        &self.homes[self.shard_of(key) % SHARDS]
    }

    fn lock_shard_of(&self, key: Fingerprint) -> Locked<'_> {
        self.lock_shard(self.shard_of(key))
    }

    fn lock_shard(&self, shard: usize) -> Locked<'_> {
        Locked::new(self, shard, lock(&self.shards[shard]))
    }

    fn try_lock_shard_of(&self, key: Fingerprint) -> Option<Locked<'_>> {
        let shard = self.shard_of(key);
        Some(Locked::new(self, shard, try_lock(&self.shards[shard])?))
    }
}

/// The reply, and where to go on if the bucket is not where it was looked for.
#[derive(Clone, Copy)]
struct Elsewhere<'a, N, R> {
    table: &'a Table,
    key: Fingerprint,
    n: Tokens,
    leaving: Tokens,
    source: N,
    reply: R,
}

impl<N: Now, R: Reply> Reply for Elsewhere<'_, N, R> {
    type Answer = R::Answer;

    #[inline(always)]
    fn to(self, taken: Taken) -> R::Answer {
        self.reply.to(taken)
    }
}

impl<N: Now, R: Reply> Follow for Elsewhere<'_, N, R> {
    #[inline(always)]
    fn gone(self) -> R::Answer {
        self.reply.to(self.table.take_elsewhere(self.key, self.n, self.leaving, self.source))
    }
}

/// A tenant in its slot.
struct Seated<'a> {
    slot: Slot<'a>,
    key: Fingerprint,
}

impl Home for Seated<'_> {
    /// Acquire: if the word is of a later tenancy, so is the fingerprint that
    /// [`is_here`](Home::is_here) then sees.
    const LOAD: Ordering = Ordering::Acquire;

    const AHEAD: bool = true;

    #[inline]
    fn is_here(&self) -> bool {
        self.slot.is_of(self.key)
    }

    fn at_home(&self, seen: Word, _: Reading) -> Found {
        if seen.is_special() { Found::Gone } else { Found::Bucket(seen) }
    }
}

/// How a table is divided into shards.
struct Shape {
    shares: [u8; SHARES],
    /// Of each shard.
    most_sets: Vec<u64>,
}

/// The most shards. The models have two, and as many keys as they need for them.
const SHARDS: usize = if cfg!(brimful_loom) { 2 } else { 64 };

/// Below so many keys a shard is not divided further.
const SHARD_KEYS: u64 = if cfg!(brimful_loom) { 4 } else { 4_096 };

/// Slots for three keys, when the table has all the keys that it may.
const SLOTS_FOR_THREE: u64 = 5;

impl Shape {
    fn new(max_keys: u64) -> Self {
        let shards = (max_keys / SHARD_KEYS).clamp(1, SHARDS as u64);
        let mut shares = [0; SHARES];
        let mut counts = vec![0; shards as usize];
        for (place, share) in shares.iter_mut().enumerate() {
            // Shard j has a share of 2^(j/shards) in proportion.
            let shard = ((1.0 + place as f64 / SHARES as f64).log2() * shards as f64) as usize;
            *share = shard as u8;
            counts[shard] += 1;
        }
        let most_sets = counts.iter().map(|count| {
            let keys = (u128::from(max_keys) * count).div_ceil(SHARES as u128) as u64;
            // Beside the load, for what the shares may be off by.
            let sets = (keys * SLOTS_FOR_THREE).div_ceil(3 * SLOTS as u64) + 1;
            sets.min(MOST_SETS)
        });
        Shape { most_sets: most_sets.collect(), shares }
    }

    fn sets(&self) -> u64 {
        self.most_sets.iter().sum()
    }
}

/// The bytes of a table that holds so many keys.
pub(crate) fn memory_limit(max_keys: u64) -> u64 {
    let shape = Shape::new(max_keys);
    bytes(shape.sets(), max_keys) + fixed_bytes(shape.most_sets.len())
}

/// The bytes of so many sets, and of buckets in no slot.
fn bytes(sets: u64, overflown: u64) -> u64 {
    // Two words in a map, whose nodes are two thirds full.
    const OVERFLOWN_BYTES: u64 = 30;
    sets.saturating_mul(SET_BYTES).saturating_add(overflown.saturating_mul(OVERFLOWN_BYTES))
}

/// The keys that a table of so many bytes can hold at most.
pub(crate) fn keys_within(bytes: u64) -> u64 {
    // The bytes rise with the keys, but for steps: the largest count is found by bisection.
    let (mut fits, mut too_many) = (0, bytes / 16 + 1);
    while too_many - fits > 1 {
        let middle = fits + (too_many - fits) / 2;
        if memory_limit(middle) <= bytes { fits = middle } else { too_many = middle }
    }
    fits
}

/// What a table takes without its slots.
fn fixed_bytes(shards: usize) -> u64 {
    (size_of::<Table>() + size_of::<CachePadded<Mutex<Shard>>>() * shards) as u64
}

//! The table, its stripes, and finding a key.

use std::collections::BTreeMap;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use crossbeam_utils::CachePadded;

use crate::algorithm::Terms;
use crate::algorithm::token_bucket;
use crate::cell::{QuotaCell, TermsSource};
use crate::queue::{Queue, QueueConfig};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, lock, try_lock};
use crate::word::{Layout, Reading, Units, Word};

use super::config::{Hook, MOST_LOADED, TableConfig, first_groups, max_groups, max_overflow, stripes};
use super::fingerprint::{Fingerprint, Groups, LineIndex};
use super::policy::{Counters, OnFull};
use super::slots::{Candidates, InSlot, Line, Memory, tenants};

/// A table of buckets, by fingerprint.
pub(crate) struct Table {
    pub(super) hot: CachePadded<Hot>,
    /// The units in a new bucket, until the quota changes; `None` if buckets start full.
    initial: Option<Units>,
    pub(super) quota: Arc<QuotaCell>,
    pub(super) forget_after: u64,
    pub(super) max_keys: u64,
    pub(super) max_groups: u64,
    max_overflow: u64,
    pub(super) stripes: Box<[CachePadded<Stripe>]>,
    /// The number of known keys: in slots, in the overflow, and waited on.
    keys: CachePadded<AtomicU64>,
    /// Of these, the number of keys in the overflow.
    overflow: AtomicU64,
    /// Held by the thread that adds groups.
    pub(super) growth: CachePadded<Mutex<()>>,
    /// The next group to be swept.
    pub(super) hand: CachePadded<AtomicU64>,
    pub(super) on_full: OnFull,
    pub(super) hook: Option<Hook>,
    pub(super) counters: Counters,
    pub(super) config: Arc<QueueConfig>,
    pub(super) max_waiting_keys: u64,
    pub(super) waiting_keys: AtomicU64,
}

/// The data that a hit reads besides its line. It is seldom written, and lies in two adjacent cache
/// lines.
pub(super) struct Hot {
    /// [`Groups`], as bits.
    groups: AtomicU64,
    /// The units in a token, until the quota is about to change for the first time; zero from then on.
    per_token: AtomicU64,
    pub(super) memory: Memory,
    pub(super) layout: Layout,
}

/// A part of the table, under one lock: every n-th group.
pub(super) struct Stripe {
    /// The number of times that the lock was held and tenants or the number of groups changed.
    changes: AtomicU64,
    state: Mutex<StripeState>,
}

pub(super) const STRIPE_BYTES: u64 = size_of::<CachePadded<Stripe>>() as u64;

/// The parts of a stripe that are in no slot.
pub(super) struct StripeState {
    /// A bucket that holds no more than any bucket that the stripe has forgotten. New keys start
    /// from it.
    pub(super) floor: Option<Word>,
    /// Buckets for which no slot was found.
    pub(super) overflow: BTreeMap<Fingerprint, Word>,
    /// The last key of the overflow that was looked at, to see whether it may be forgotten.
    pub(super) last_swept: Option<Fingerprint>,
    /// Buckets that callers wait on, or waited on a moment ago.
    pub(super) queued: BTreeMap<Fingerprint, Arc<Queue>>,
    /// The last key of `queued` that was looked at, to see whether its waiters are gone.
    pub(super) last_checked: Option<Fingerprint>,
    /// The number of keys that were forgotten because their bucket was full.
    pub(super) forgotten: u64,
}

/// A stripe, for as long as its lock is held.
pub(super) struct Locked<'a> {
    pub(super) table: &'a Table,
    stripe: &'a Stripe,
    pub(super) state: MutexGuard<'a, StripeState>,
    /// Set if a tenant came, went or moved, or if a group was divided.
    pub(super) changed: bool,
}

impl Table {
    /// Returns an empty table; `None` if there is not enough memory.
    pub(crate) fn new(config: TableConfig) -> Option<Self> {
        let waiters = config.waiters;
        let TableConfig { quota, initial, max_keys, forget_after, on_full, hook, .. } = config;
        let (layout, quota) = (*quota.layout(), Arc::new(quota));
        let (stripes, max_groups) = (stripes(max_keys), max_groups(max_keys));
        let memory = Memory::new(max_groups)?;
        let per_token = AtomicU64::new(if quota.has_changed() { 0 } else { layout.per_token() });
        let groups = AtomicU64::new(Groups::new(first_groups(stripes, max_groups)).bits());
        Some(Table {
            hot: CachePadded::new(Hot { groups, per_token, memory, layout }),
            initial: Some(layout.units_clipped(initial)).filter(|&initial| initial < layout.capacity()),
            quota: quota.clone(),
            forget_after,
            max_keys,
            max_groups,
            max_overflow: max_overflow(max_keys),
            stripes: (0..stripes).map(|_| CachePadded::new(Stripe::new())).collect(),
            keys: CachePadded::new(AtomicU64::new(0)),
            overflow: AtomicU64::new(0),
            growth: CachePadded::new(Mutex::new(())),
            hand: CachePadded::new(AtomicU64::new(0)),
            on_full,
            hook,
            counters: Counters::new(),
            config: QueueConfig::new(quota, waiters.each, waiters.timer),
            max_waiting_keys: waiters.keys,
            waiting_keys: AtomicU64::new(0),
        })
    }

    #[inline]
    pub(crate) fn layout(&self) -> &Layout {
        &self.hot.layout
    }

    /// Returns the number of groups. Acquire: a thread that sees a new group sees its tenants.
    #[inline]
    pub(super) fn groups(&self) -> Groups {
        Groups::from_bits(self.hot.groups.load(Ordering::Acquire))
    }

    /// Publishes the number of groups. The new group is filled, and the lock of its stripe is held.
    /// Release: see [`groups`](Table::groups).
    pub(super) fn publish(&self, groups: Groups) {
        self.hot.groups.store(groups.bits(), Ordering::Release);
    }

    #[inline(always)]
    pub(super) fn line(&self, at: LineIndex) -> &Line {
        self.hot.memory.line(at)
    }

    /// Returns the lines that a key may be in now.
    #[inline]
    pub(super) fn candidates(&self, key: Fingerprint) -> Candidates<'_> {
        let groups = self.groups();
        let (home, second) = (key.home_line(groups), key.second_line(groups, self.stripes.len() - 1));
        let lines = [self.line(home), self.line(home.other()), self.line(second), self.line(second.other())];
        Candidates(lines)
    }

    /// Returns the lines of a group, each twice.
    pub(super) fn group(&self, group: u64) -> Candidates<'_> {
        let [first, other] = LineIndex::of_group(group).map(|at| self.line(at));
        Candidates([first, other, first, other])
    }

    /// Returns the tenants of a group.
    pub(super) fn group_tenants(&self, group: u64) -> impl Iterator<Item = InSlot<'_>> {
        LineIndex::of_group(group).into_iter().flat_map(|line| tenants(self.line(line)))
    }

    #[inline]
    pub(super) fn stripe_of(&self, key: Fingerprint) -> usize {
        key.stripe(self.stripes.len() - 1)
    }

    #[inline]
    pub(super) fn lock(&self, stripe: usize) -> Locked<'_> {
        let stripe = &self.stripes[stripe];
        Locked { table: self, stripe, state: lock(&stripe.state), changed: false }
    }

    pub(super) fn try_lock(&self, stripe: usize) -> Option<Locked<'_>> {
        let stripe = &self.stripes[stripe];
        Some(Locked { table: self, stripe, state: try_lock(&stripe.state)?, changed: false })
    }

    /// Returns the number of changes of a stripe so far. A thread that then finds a key nowhere,
    /// and finds the same number under the lock, need not look again. Acquire: the thread sees
    /// those changes.
    #[inline]
    pub(super) fn changes(&self, stripe: usize) -> u64 {
        self.stripes[stripe].changes.load(Ordering::Acquire)
    }

    /// Returns the number of known keys, including those whose bucket is full again. Relaxed: a
    /// count, which orders nothing.
    #[inline]
    pub(crate) fn keys(&self) -> u64 {
        self.keys.load(Ordering::Relaxed)
    }

    /// Counts one more key, if there may be one more.
    #[inline]
    pub(super) fn count(&self) -> bool {
        raise(&self.keys, self.max_keys)
    }

    pub(super) fn uncount(&self, keys: u64) {
        if keys > 0 {
            self.keys.fetch_sub(keys, Ordering::Relaxed);
        }
    }

    /// Counts one more key in the overflow, if there may be one more.
    pub(super) fn count_overflow(&self) -> bool {
        raise(&self.overflow, self.max_overflow)
    }

    pub(super) fn uncount_overflow(&self, keys: u64) {
        self.overflow.fetch_sub(keys, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn overflow_is_full(&self) -> bool {
        self.overflow() >= self.max_overflow
    }

    pub(super) fn overflow(&self) -> u64 {
        self.overflow.load(Ordering::Relaxed)
    }

    /// Returns whether `keys` keys are too many for the groups, and the groups may still grow.
    #[inline]
    pub(super) fn is_crowded(&self, keys: u64, groups: Groups) -> bool {
        MOST_LOADED.is_exceeded(keys, groups.slots()) && groups.count() < self.max_groups
    }

    /// Returns the units in a token if the quota has never changed and is not about to. Relaxed: a call
    /// that sees the old value overlaps the change.
    #[inline(always)]
    pub(crate) fn per_token(&self) -> Option<u64> {
        let per_token = self.hot.per_token.load(Ordering::Relaxed);
        if per_token == 0 { None } else { Some(per_token) }
    }

    /// Called before the quota changes. Each call that reads its clock after it sees this decides by the
    /// terms.
    pub(super) fn set_changed(&self) {
        self.hot.per_token.store(0, Ordering::Release);
    }

    #[inline]
    pub(crate) fn terms_source(&self) -> TermsSource<'_> {
        TermsSource::of(&self.quota)
    }

    /// Returns the current terms, for a reading that was taken before.
    #[inline]
    pub(crate) fn terms(&self) -> Terms<'_> {
        if self.per_token().is_some() { Terms::of(self.layout()) } else { self.quota.terms() }
    }

    /// Returns whether the quota has not changed since the terms were copied. If a word was loaded before, it was
    /// not written by later terms.
    pub(super) fn are_current(&self, terms: &Terms<'_>) -> bool {
        self.terms().piece() == terms.piece()
    }

    /// Returns whether the quota has never changed and is not about to, and buckets start full.
    #[inline]
    pub(super) fn starts_full(&self) -> bool {
        self.initial.is_none() && self.per_token().is_some()
    }

    /// Returns the units in a new bucket; `None` if buckets start full.
    #[inline]
    pub(super) fn initial(&self, terms: &Terms<'_>) -> Option<Units> {
        match terms.piece() {
            Some(piece) => Some(piece.initial).filter(|&initial| initial < piece.capacity),
            None => self.initial,
        }
    }

    /// Returns the test for buckets that have not been used for long.
    pub(super) fn idle<'t>(&self, terms: &'t Terms<'t>, now: Reading) -> Forgettable<'t> {
        let since = Reading::from_nanos(now.nanos().saturating_sub(self.forget_after));
        Forgettable { terms, since, earned: terms.earned_at(since), or_reset: false }
    }
}

/// An attempt to run an operation on a key that is in no slot.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'t> {
    pub(super) terms: &'t Terms<'t>,
    pub(super) now: Reading,
    /// Set if the table was swept for the key.
    pub(super) swept: bool,
}

/// Returns the test for buckets that are full at `now`.
pub(super) fn full<'t>(terms: &'t Terms<'t>, now: Reading) -> Forgettable<'t> {
    Forgettable { terms, since: now, earned: terms.earned_at(now), or_reset: true }
}

/// Raises a counter by one, unless that makes it more than `most`. Relaxed: a count, which orders
/// nothing.
#[inline]
pub(super) fn raise(counter: &AtomicU64, most: u64) -> bool {
    let one_more = |count: u64| (count < most).then_some(count + 1);
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
}

/// The test for buckets that may be forgotten. They were full at a reading already, so they can
/// have been used after that reading only if they were full again.
#[derive(Clone, Copy)]
pub(super) struct Forgettable<'t> {
    pub(super) terms: &'t Terms<'t>,
    pub(super) since: Reading,
    /// The units earned at that reading.
    earned: Units,
    /// Set if the test includes buckets that were filled by a reset and not used after it. The word
    /// of such a bucket does not show when the reset was, and forgetting the bucket may undo the
    /// reset.
    or_reset: bool,
}

impl Forgettable<'_> {
    #[inline]
    pub(super) fn includes(self, word: Word) -> bool {
        token_bucket::is_full_by(self.terms, word, self.since, self.earned)
            && (self.or_reset || word != token_bucket::filled(self.terms))
    }
}

// A panic in the user's clock, hasher, hook or timer leaves no stripe half changed: the clock is
// read before anything is changed, and the others are called with no lock held.
impl UnwindSafe for Table {}
impl RefUnwindSafe for Table {}

impl Stripe {
    fn new() -> Self {
        let state = StripeState {
            floor: None,
            overflow: BTreeMap::new(),
            last_swept: None,
            queued: BTreeMap::new(),
            last_checked: None,
            forgotten: 0,
        };
        Stripe { changes: AtomicU64::new(0), state: Mutex::new(state) }
    }
}

impl Locked<'_> {
    /// Returns the number of changes of the stripe before the lock was taken. Relaxed: it is
    /// written only under the lock.
    #[inline]
    pub(super) fn changes(&self) -> u64 {
        self.stripe.changes.load(Ordering::Relaxed)
    }
}

impl Drop for Locked<'_> {
    /// Counts the change while the lock is still held. Release: see [`Table::changes`].
    #[inline]
    fn drop(&mut self) {
        if self.changed {
            self.stripe.changes.store(self.changes() + 1, Ordering::Release);
        }
    }
}

//! The limiter of one bucket: its state, its everyday verbs, and the operations on it.

use core::fmt;
use core::time::Duration;

use crossbeam_utils::CachePadded;

use crate::algorithm::Terms;
use crate::algorithm::token_bucket::{self, Demand};
use crate::cell::{self, Cells, ReadOrderHint, Resolved, Seen, Taken, TermsSource, TimeSource, WordCell};
use crate::clock::Clock;
#[cfg(feature = "std")]
use crate::error::RateLimited;
use crate::error::TryAcquireError;
use crate::limiter::decision::as_f64;
use crate::quota::Quota;
use crate::stats::Recording;
use crate::sync::const_unless_loom;
use crate::tokens::Tokens;
use crate::word::{Layout, Reading, Snapshot, Units, Word};

#[cfg(feature = "std")]
use crate::word::Due;

#[cfg(feature = "std")]
use crate::cell::{LazyQuota, QuotaCell};
#[cfg(feature = "std")]
use crate::clock::QuantaClock;
#[cfg(feature = "std")]
use crate::queue::QueueCell;
#[cfg(feature = "std")]
use crate::stats::StatsOptions;

/// The share of the burst that background work leaves by default, in percent.
pub(crate) const BACKGROUND: u8 = 20;

/// A token bucket: it holds up to a burst of tokens, is refilled at a constant rate, and admits a
/// call if it holds the call's cost.
///
/// It starts full, unless its quota says otherwise. Any number of threads share it, by reference,
/// in an [`Arc`](std::sync::Arc) or as a `static`. A decision takes about as long as reading the
/// clock; it takes no lock and never waits for another thread. Only while callers wait for tokens, a
/// call takes the lock of their queue.
///
/// # Which verb
///
/// | to | use |
/// |---|---|
/// | get yes or no | [`allow`](RateLimiter::allow) |
/// | get yes, or when to retry | [`try_acquire`](RateLimiter::try_acquire), [`try_acquire_n`](RateLimiter::try_acquire_n) |
/// | get the numbers for response headers | [`decide`](RateLimiter::decide) |
/// | pay now for a cost that is known later | [`try_reserve_n`](RateLimiter::try_reserve_n), `reserve_n` |
/// | wait until the tokens are there | `acquire`, `acquire_n`; `acquire_blocking` for threads |
/// | leave tokens for others | `leaving`, `background` |
/// | give the time instead of reading the clock | `at` |
/// | look, and take nothing | [`available_tokens`](RateLimiter::available_tokens), [`balance`](RateLimiter::balance), [`time_until`](RateLimiter::time_until) |
///
/// # Guarantees
///
/// For all a ≤ b, the cost granted to calls whose clock reading lies in [a, b] is at most
/// `burst + rate × (b − a)`, whatever the threads do and however the clock errs. A limiter that is
/// asked so often that it is never full again admits that much, within two units. The
/// [crate's page](crate) lists all guarantees.
///
/// # Memory ordering
///
/// Every change of the bucket is one acquire-release operation on one word, or is made under the lock of
/// the queue. So all changes are totally ordered. Everything that a thread did before it gave tokens back
/// happens before everything that another thread does after a later change has admitted it. Loads are
/// relaxed: a denial, or a look, orders nothing, and may see the bucket of a moment ago. A limiter should
/// not be used to publish data.
///
/// # Examples
///
/// ```
/// use brimful::{Quota, RateLimiter, TryAcquireError};
///
/// static API: RateLimiter = RateLimiter::new(Quota::per_second(100).burst(2));
///
/// assert!(API.try_acquire().is_ok());
/// assert!(API.try_acquire().is_ok());
/// match API.try_acquire() {
///     Ok(()) => unreachable!("the burst is two"),
///     Err(error) => println!("{error}"), // rate limited: retry after 10ms
/// }
/// assert!(matches!(API.try_acquire_n(3), Err(TryAcquireError::ExceedsBurst(_))));
/// ```
pub struct RateLimiter<#[cfg(feature = "std")] C = QuantaClock, #[cfg(not(feature = "std"))] C> {
    // The word has its own cache lines. The rest is hardly ever written, so that reading it does not
    // wait for the word to come back from another core.
    hot: CachePadded<Hot>,
    /// The highest quota, which is the quota if it never changed.
    quota: Quota,
    order: ReadOrderHint,
    unlimited: bool,
    /// The share of the burst that background work leaves, in percent.
    pub(crate) background: u8,
    /// Set if there are statistics. Calls look here, and not beside the word.
    counts: bool,
    clock: C,
}

/// The word, and the queue that it may be lent to.
struct Hot {
    cells: Cells,
    #[cfg(feature = "std")]
    waiters: QueueCell,
    /// The quota, if it has changed, or if it is shared with the queue.
    #[cfg(feature = "std")]
    quota: LazyQuota,
    stats: OwnLine<Recording>,
}

/// A value in a cache line of its own, so that reading it does not wait for the word to come back from another
/// core.
#[repr(align(64))]
struct OwnLine<T>(T);

impl Hot {
    const_unless_loom! {
        const fn new(word: Word) -> Hot {
            Hot {
                cells: Cells::new(word),
                #[cfg(feature = "std")]
                waiters: QueueCell::new(),
                #[cfg(feature = "std")]
                quota: LazyQuota::new(),
                stats: OwnLine(Recording::OFF),
            }
        }
    }
}

#[cfg(feature = "std")]
impl RateLimiter {
    const_unless_loom! {
        /// Returns a limiter on the process's clock.
        ///
        /// If [`Quota::initial`] is below the burst, the bucket starts with the first call or look,
        /// because a constant cannot read the clock.
        #[must_use]
        pub const fn new(quota: Quota) -> RateLimiter {
            RateLimiter::with_parts(quota, Hot::new(first_word(&quota)), false, QuantaClock)
        }

        /// Returns a limiter that admits everything. Its [`quota`](RateLimiter::quota) is the largest
        /// there is.
        #[must_use]
        pub const fn unlimited() -> RateLimiter {
            let quota = Quota::per_second(1_000_000_000).burst(u32::MAX);
            RateLimiter::with_parts(quota, Hot::new(Word::NOT_STARTED), true, QuantaClock)
        }
    }
}

impl<C: Clock> RateLimiter<C> {
    /// Returns a limiter on this clock. The bucket starts now.
    #[must_use]
    pub fn with_clock(quota: Quota, clock: C) -> Self {
        let layout = quota.layout();
        let word = if quota.starts_full() {
            token_bucket::full_since_origin(layout)
        } else {
            let now = Reading::from_nanos(clock.now());
            token_bucket::started(&Terms::of(layout), now, quota.initial_units())
        };
        RateLimiter::with_parts(quota, Hot::new(word), false, clock)
    }

    /// Returns a limiter whose bucket holds these tokens at a reading, rounded down, and less before: at most its
    /// burst.
    #[cfg(feature = "std")]
    pub(crate) fn holding(quota: Quota, at: Reading, held: Tokens, clock: C) -> Self {
        let layout = quota.layout();
        let held = Units(layout.units_down(held) as u64);
        RateLimiter::started(quota, token_bucket::started(&Terms::of(layout), at, held), clock)
    }

    /// Returns a limiter whose bucket has this word.
    #[cfg(feature = "std")]
    pub(super) fn started(quota: Quota, word: Word, clock: C) -> Self {
        RateLimiter::with_parts(quota, Hot::new(word), false, clock)
    }
}

impl<C> RateLimiter<C> {
    /// Returns the quota: the last one that was set.
    #[must_use]
    pub fn quota(&self) -> Quota {
        #[cfg(feature = "std")]
        if let Some(quota) = self.hot.quota.get() {
            return quota.quota();
        }
        self.quota
    }

    /// Returns the clock.
    #[must_use]
    pub const fn clock(&self) -> &C {
        &self.clock
    }

    /// Whether the limiter was made by `unlimited`.
    #[cfg(feature = "std")]
    pub(crate) const fn has_no_limit(&self) -> bool {
        self.unlimited
    }

    /// Makes calls read the clock first, as they do after many failed swaps.
    #[cfg(brimful_loom)]
    pub fn read_clock_first(&self) {
        self.order.on_cas_failure(Reading::from_nanos(0));
    }

    const fn with_parts(quota: Quota, hot: Hot, unlimited: bool, clock: C) -> Self {
        RateLimiter {
            hot: CachePadded::new(hot),
            quota,
            order: ReadOrderHint::new(),
            unlimited,
            background: BACKGROUND,
            counts: false,
            clock,
        }
    }

    #[inline(always)]
    pub(crate) fn recording(&self) -> &Recording {
        &self.hot.stats.0
    }

    /// Counts an admitted call in the statistics.
    #[inline(always)]
    pub(crate) fn count_admitted(&self, n: Tokens) {
        if self.counts {
            self.recording().admitted(n);
        }
    }

    /// The same limiter, with the statistics that were asked for.
    #[cfg(feature = "std")]
    pub(crate) fn with_stats(mut self, options: &StatsOptions) -> Self {
        (self.hot.stats, self.counts) = (OwnLine(Recording::new(options, self.quota)), options.on);
        self
    }

    #[inline]
    pub(crate) const fn layout(&self) -> &Layout {
        self.quota.layout()
    }

    /// Returns the highest quota.
    pub(crate) const fn highest(&self) -> &Quota {
        &self.quota
    }

    /// Returns the current terms.
    #[inline]
    pub(crate) fn terms(&self) -> Terms<'_> {
        self.terms_source().terms()
    }

    /// Returns the source of the current terms.
    #[inline]
    pub(crate) fn terms_source(&self) -> TermsSource<'_> {
        #[cfg(feature = "std")]
        if let Some(quota) = self.hot.quota.get() {
            return TermsSource::of(quota);
        }
        TermsSource::fixed(self.layout())
    }

    /// Returns the amount that a bucket that is not started starts with: a change of the quota starts it.
    #[cfg(feature = "std")]
    pub(crate) fn initial_units(&self) -> Units {
        self.quota.initial_units()
    }

    /// Returns the cell of the current quota, for code that shares it or changes it.
    #[cfg(feature = "std")]
    pub(crate) fn changed_quota(&self) -> &std::sync::Arc<QuotaCell> {
        self.hot.quota.get_or_make(&self.quota)
    }

    /// The same limiter, with this quota.
    #[cfg(feature = "std")]
    pub(crate) fn with_changed_quota(mut self, quota: QuotaCell) -> Self {
        self.hot.quota = LazyQuota::on(std::sync::Arc::new(quota));
        self
    }

    pub(crate) const fn background_percent(&self) -> u8 {
        self.background
    }

    #[cfg(feature = "std")]
    pub(crate) fn cells(&self) -> &Cells {
        &self.hot.cells
    }

    /// Called when the word has moved to the second cell.
    #[cfg(feature = "std")]
    pub(super) fn on_move(&self) {
        self.order.on_move();
    }

    #[cfg(feature = "std")]
    pub(crate) fn queue_cell(&self) -> &QueueCell {
        &self.hot.waiters
    }

    /// The same limiter, with these waiters.
    #[cfg(feature = "std")]
    pub(crate) fn with_waiters(mut self, waiters: QueueCell) -> Self {
        self.hot.waiters = waiters;
        self
    }
}

impl<C: Clock> RateLimiter<C> {
    /// Takes one token if it is there, and returns whether it was.
    #[inline]
    #[must_use]
    pub fn allow(&self) -> bool {
        self.try_acquire().is_ok()
    }

    /// Takes one token if it is there.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](RateLimiter::try_acquire_n).
    #[inline]
    pub fn try_acquire(&self) -> Result<(), TryAcquireError> {
        self.try_acquire_n(Tokens::ONE)
    }

    /// Takes `n` tokens, all or none. A cost of zero is always admitted, and charges nothing.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError::RateLimited`] if the tokens are not there yet,
    /// [`TryAcquireError::ExceedsBurst`] if they never could be, and
    /// [`TryAcquireError::TableFull`] if the key is new to a keyed limiter that has no room for it.
    /// Nothing is charged then.
    #[inline]
    pub fn try_acquire_n(&self, n: impl Into<Tokens>) -> Result<(), TryAcquireError> {
        self.try_take(n.into(), Tokens::ZERO, self.live())
    }

    /// The limiter's clock, to be read by a call.
    #[inline]
    pub(crate) fn live(&self) -> TimeSource<'_, C> {
        TimeSource::clock(&self.clock)
    }

    /// Takes the cost of `n` if `leaving` tokens are left then, and returns the answer. A cost of zero
    /// is always admitted.
    // The outcome of the short loop becomes the answer at once, in registers.
    #[inline(always)]
    pub(crate) fn try_take(&self, n: Tokens, leaving: Tokens, now: TimeSource<'_, C>) -> Result<(), TryAcquireError> {
        if n.is_zero() {
            return Ok(());
        }
        let layout = self.layout();
        match cell::take(self, layout, (n, leaving), now) {
            Ok(taken) => {
                self.count(n, &taken);
                taken.answer(layout, (n, leaving))
            }
            Err(seen) => {
                let demand = Demand::new(layout, n, leaving);
                self.try_take_cold(demand, now, seen, n.to_bits(), leaving.to_bits())
            }
        }
    }

    /// Counts the outcome of the short loop in the statistics.
    // In each arm by itself, so that an outcome stays in registers.
    #[inline(always)]
    pub(crate) fn count(&self, n: Tokens, taken: &Taken) {
        match taken {
            Taken::Denied { needed, .. } if self.counts => {
                self.recording().denied(n, *needed > self.layout().capacity());
            }
            Taken::Denied { .. } => {}
            _ => self.count_admitted(n),
        }
    }

    /// Takes as [`try_take`](RateLimiter::try_take), and returns the outcome. It is not counted.
    #[cfg(feature = "std")]
    #[inline(always)]
    pub(crate) fn take(&self, n: Tokens, leaving: Tokens, now: TimeSource<'_, C>) -> Taken {
        match cell::take(self, self.layout(), (n, leaving), now) {
            Ok(taken) => taken,
            Err(seen) => self.take_cold(Demand::new(self.layout(), n, leaving), now, seen),
        }
    }

    /// Continues after the short loop, to the answer. Amounts are passed in registers.
    #[cold]
    #[inline(never)]
    fn try_take_cold(
        &self,
        demand: Demand,
        now: TimeSource<'_, C>,
        seen: Seen,
        n: u128,
        leaving: u128,
    ) -> Result<(), TryAcquireError> {
        #[cfg(feature = "std")]
        if let Some((taken, due)) = self.take_changed(demand, now, seen) {
            if self.counts {
                self.recording().taken(n, &taken, false);
            }
            return due.map_or(Ok(()), |due| Err(TryAcquireError::RateLimited(RateLimited(due))));
        }
        let (taken, terms) = (self.take_anywhere(demand, now, seen), self.terms());
        self.recording().taken(n, &taken, demand.needed > terms.capacity());
        taken.answer_by(&terms, n, leaving)
    }

    /// Continues after the short loop.
    #[cold]
    #[inline(never)]
    pub(crate) fn take_cold(&self, demand: Demand, now: TimeSource<'_, C>, seen: Seen) -> Taken {
        #[cfg(feature = "std")]
        if let Some((taken, _)) = self.take_changed(demand, now, seen) {
            return taken;
        }
        self.take_anywhere(demand, now, seen)
    }

    #[cold]
    #[inline(never)]
    fn take_anywhere(&self, demand: Demand, now: TimeSource<'_, C>, seen: Seen) -> Taken {
        match self.take_in_cells(demand, now, seen) {
            Some(taken) => taken,
            #[cfg(feature = "std")]
            None => self.take_lent(demand, now),
            #[cfg(not(feature = "std"))]
            None => unreachable!("without queues, the bucket is in its cell"),
        }
    }

    /// Takes if the quota has changed, as [`cell::take_changed`] does.
    #[cfg(feature = "std")]
    #[inline(always)]
    fn take_changed(&self, demand: Demand, now: TimeSource<'_, C>, seen: Seen) -> Option<(Taken, Option<Due>)> {
        if !seen.has_moved() {
            return None;
        }
        let second = Second { limiter: self, quota: self.hot.quota.get()? };
        cell::take_changed(&second, second.quota, demand, now)
    }

    /// Takes. `None`: the word is with the queue, and the caller goes there itself.
    #[cfg(feature = "std")]
    #[inline(always)]
    pub(crate) fn take_in_cell(&self, n: Tokens, leaving: Tokens, now: TimeSource<'_, C>) -> Option<Taken> {
        match cell::take(self, self.layout(), (n, leaving), now) {
            Ok(taken) => Some(taken),
            Err(seen) => self.take_in_cell_cold(Demand::new(self.layout(), n, leaving), now, seen),
        }
    }

    #[cfg(feature = "std")]
    #[cold]
    #[inline(never)]
    fn take_in_cell_cold(&self, demand: Demand, now: TimeSource<'_, C>, seen: Seen) -> Option<Taken> {
        match self.take_changed(demand, now, seen) {
            Some((taken, _)) => Some(taken),
            None => self.take_in_cells(demand, now, seen),
        }
    }

    /// Continues after the short loop. Returns `None` if the word is with the queue.
    fn take_in_cells(&self, demand: Demand, now: TimeSource<'_, C>, seen: Seen) -> Option<Taken> {
        #[cfg(feature = "std")]
        if seen.has_moved() {
            return self.take_in_second(demand, now, seen);
        }
        let taken = cell::take_cold(self, self.first_terms(), demand, now, seen);
        #[cfg(feature = "std")]
        let taken = taken.or_else(|| self.take_in_second(demand, now, seen));
        taken
    }

    /// Takes after the word was seen not to be in the first cell. Returns `None` if it is not in the
    /// second one either.
    #[cfg(feature = "std")]
    fn take_in_second(&self, demand: Demand, now: TimeSource<'_, C>, seen: Seen) -> Option<Taken> {
        let second = self.second()?;
        cell::take_cold(&second, second.terms(), demand, now, seen.anew(&second, now))
    }

    /// Returns the second cell if the quota has changed.
    #[cfg(feature = "std")]
    pub(crate) fn second(&self) -> Option<Second<'_, C>> {
        let quota = self.hot.quota.get()?;
        (self.load() == Word::IN_SECOND).then_some(Second { limiter: self, quota })
    }

    /// Looks at the bucket for a call that leaves `leaving` units; `None` if there is no limit.
    #[cfg_attr(not(feature = "std"), allow(unused_variables))]
    pub(crate) fn peek(&self, leaving: Units, now: TimeSource<'_, C>) -> Option<Snapshot> {
        let mut word = self.current_word();
        let now = now.read();
        loop {
            match self.resolve(word) {
                Resolved::Unlimited => return None,
                Resolved::Bucket => {
                    return Some(Snapshot::held(now, token_bucket::level(&self.terms(), word, now)));
                }
                // A look starts the bucket too, or the tokens that it promises would never come.
                Resolved::NotStarted(_) => drop(self.change(TimeSource::given(now), |_, word, _| (word, Units(0)))),
                Resolved::Elsewhere =>
                {
                    #[cfg(feature = "std")]
                    if let Some(snapshot) = self.peek_lent(leaving, now) {
                        return Some(snapshot);
                    }
                }
            }
            word = self.current_word();
        }
    }

    /// Replaces the word by `change` of it, and returns the amount that was added or charged; `None`
    /// if there is no limit.
    pub(crate) fn change(
        &self,
        now: TimeSource<'_, C>,
        change: impl Fn(&Terms<'_>, Word, Reading) -> (Word, Units),
    ) -> Option<Units> {
        if self.unlimited {
            return None;
        }
        loop {
            let changed = cell::change(self, self.first_terms(), now, &change);
            #[cfg(feature = "std")]
            let changed = changed
                .or_else(|| {
                    let second = self.second()?;
                    cell::change(&second, second.terms(), now, &change)
                })
                .or_else(|| self.change_lent(now, &change));
            if changed.is_some() {
                return changed;
            }
        }
    }
}

impl<C> RateLimiter<C> {
    /// The terms of a word in the first cell.
    fn first_terms(&self) -> TermsSource<'_> {
        TermsSource::fixed(self.layout())
    }

    /// Loads the word, from the cell that it is in.
    fn current_word(&self) -> Word {
        let word = self.load();
        #[cfg(feature = "std")]
        if word == Word::IN_SECOND {
            return self.hot.cells.second.load_with_terms();
        }
        word
    }
}

/// The second cell of a limiter whose quota has changed.
#[cfg(feature = "std")]
pub(crate) struct Second<'a, C> {
    limiter: &'a RateLimiter<C>,
    quota: &'a QuotaCell,
}

#[cfg(feature = "std")]
impl<'a, C> Second<'a, C> {
    pub(crate) fn terms(&self) -> TermsSource<'a> {
        TermsSource::of(self.quota)
    }
}

#[cfg(feature = "std")]
impl<C> WordCell for Second<'_, C> {
    #[inline]
    fn load(&self) -> Word {
        self.limiter.hot.cells.second.load_with_terms()
    }

    #[inline]
    fn compare_exchange(&self, seen: Word, next: Word) -> Result<(), Word> {
        self.limiter.hot.cells.second.compare_exchange_with_terms(seen, next)
    }

    #[inline]
    fn resolve(&self, seen: Word) -> Resolved {
        self.limiter.resolve(seen)
    }
}

/// The word of a limiter that has no clock at hand.
#[cfg(feature = "std")]
const fn first_word(quota: &Quota) -> Word {
    if quota.starts_full() { token_bucket::full_since_origin(quota.layout()) } else { Word::NOT_STARTED }
}

impl<C> WordCell for RateLimiter<C> {
    #[inline]
    fn load(&self) -> Word {
        self.hot.cells.first.load()
    }

    #[inline]
    fn compare_exchange(&self, seen: Word, next: Word) -> Result<(), Word> {
        self.hot.cells.first.compare_exchange(seen, next)
    }

    #[inline(always)]
    fn order(&self) -> Option<&ReadOrderHint> {
        Some(&self.order)
    }

    #[inline]
    fn resolve(&self, seen: Word) -> Resolved {
        match seen {
            #[cfg(feature = "std")]
            Word::IN_QUEUE | Word::IN_SECOND => Resolved::Elsewhere,
            Word::NOT_STARTED if self.unlimited => Resolved::Unlimited,
            Word::NOT_STARTED => Resolved::NotStarted(self.quota.initial_units()),
            _ => Resolved::Bucket,
        }
    }
}

/// Shows the tokens that the bucket holds now, and the tick of the limiter's clock in which it was last
/// written. A tick is about as long as the bucket takes to refill.
impl<C: Clock> fmt::Debug for RateLimiter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RateLimiter");
        if self.unlimited {
            return debug.field("unlimited", &true).finish_non_exhaustive();
        }
        debug.field("quota", &format_args!("{}", self.quota()));
        let word = self.current_word();
        let (layout, now) = (self.layout(), Reading::from_nanos(self.clock.now()));
        match self.resolve(word) {
            #[cfg(feature = "std")]
            Resolved::Elsewhere => drop(debug.field("waiters", &self.hot.waiters.waiting())),
            Resolved::Bucket => {
                let nanos = |reading: Reading| Duration::from_nanos(reading.nanos());
                debug
                    .field("tokens", &as_f64(layout, token_bucket::level(&self.terms(), word, now)))
                    .field("last_refill", &(nanos(layout.start(word))..nanos(layout.end(word))));
            }
            _ => drop(debug.field("started", &false)),
        }
        debug.finish_non_exhaustive()
    }
}

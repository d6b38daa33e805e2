//! The limiter of one bucket: its state, its everyday verbs, and the operations on it.

use core::fmt;
use core::time::Duration;

use crossbeam_utils::CachePadded;

use crate::algorithm::token_bucket::{self, Demand};
use crate::cell::{self, Cell, ReadOrderHint, Resolved, Seen, Taken, TimeSource, WordCell};
use crate::clock::Clock;
use crate::error::TryAcquireError;
use crate::limiter::decision::as_f64;
use crate::quota::Quota;
use crate::sync::const_unless_loom;
use crate::tokens::Tokens;
use crate::word::{Layout, Reading, Snapshot, Units, Word};

#[cfg(feature = "std")]
use crate::clock::QuantaClock;
#[cfg(feature = "std")]
use crate::queue::QueueCell;

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
    quota: Quota,
    order: ReadOrderHint,
    unlimited: bool,
    /// The share of the burst that background work leaves, in percent.
    pub(crate) background: u8,
    clock: C,
}

/// The word, and the queue that it may be lent to.
struct Hot {
    cell: Cell,
    #[cfg(feature = "std")]
    waiters: QueueCell,
}

impl Hot {
    const_unless_loom! {
        const fn new(word: Word) -> Hot {
            Hot {
                cell: Cell::new(word),
                #[cfg(feature = "std")]
                waiters: QueueCell::new(),
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
            token_bucket::started(layout, now, quota.initial_units())
        };
        RateLimiter::with_parts(quota, Hot::new(word), false, clock)
    }
}

impl<C> RateLimiter<C> {
    /// Returns the quota.
    #[must_use]
    pub const fn quota(&self) -> Quota {
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
            clock,
        }
    }

    #[inline]
    pub(crate) const fn layout(&self) -> &Layout {
        self.quota.layout()
    }

    pub(crate) const fn quota_ref(&self) -> &Quota {
        &self.quota
    }

    pub(crate) const fn background_percent(&self) -> u8 {
        self.background
    }

    #[cfg(feature = "std")]
    pub(crate) fn cell(&self) -> &Cell {
        &self.hot.cell
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
            Ok(taken) => taken.answer(layout, (n, leaving)),
            Err(seen) => self.take_cold(Demand::new(layout, n, leaving), now, seen).answer(layout, (n, leaving)),
        }
    }

    /// The same, as an outcome.
    #[inline(always)]
    pub(crate) fn take(&self, n: Tokens, leaving: Tokens, now: TimeSource<'_, C>) -> Taken {
        match cell::take(self, self.layout(), (n, leaving), now) {
            Ok(taken) => taken,
            Err(seen) => self.take_cold(Demand::new(self.layout(), n, leaving), now, seen),
        }
    }

    /// Continues after the short loop.
    #[cold]
    #[inline(never)]
    fn take_cold(&self, demand: Demand, now: TimeSource<'_, C>, seen: Seen) -> Taken {
        match cell::take_cold(self, self.layout(), demand, now, seen) {
            Some(taken) => taken,
            #[cfg(feature = "std")]
            None => self.take_lent(demand, now),
            #[cfg(not(feature = "std"))]
            None => unreachable!("without queues, the bucket is in its cell"),
        }
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
        cell::take_cold(self, self.layout(), demand, now, seen)
    }

    /// Looks at the bucket for a call that leaves `leaving` units; `None` if there is no limit.
    #[cfg_attr(not(feature = "std"), allow(unused_variables))]
    pub(crate) fn peek(&self, leaving: Units, now: TimeSource<'_, C>) -> Option<Snapshot> {
        let mut word = self.load();
        let now = now.read();
        loop {
            match self.resolve(word) {
                Resolved::Unlimited => return None,
                Resolved::Bucket => return Some(Snapshot::held(now, token_bucket::level(self.layout(), word, now))),
                // A look starts the bucket too, or the tokens that it promises would never come.
                Resolved::NotStarted(_) => drop(self.change(TimeSource::given(now), |word, _| (word, Units(0)))),
                Resolved::Elsewhere =>
                {
                    #[cfg(feature = "std")]
                    if let Some(snapshot) = self.peek_lent(leaving, now) {
                        return Some(snapshot);
                    }
                }
            }
            word = self.load();
        }
    }

    /// Replaces the word by `change` of it, and returns the amount that was added or charged; `None`
    /// if there is no limit.
    pub(crate) fn change(
        &self,
        now: TimeSource<'_, C>,
        change: impl Fn(Word, Reading) -> (Word, Units),
    ) -> Option<Units> {
        if self.unlimited {
            return None;
        }
        loop {
            let changed = cell::change(self, self.layout(), now, &change);
            #[cfg(feature = "std")]
            let changed = changed.or_else(|| self.change_lent(now, &change));
            if changed.is_some() {
                return changed;
            }
        }
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
        self.hot.cell.load()
    }

    #[inline]
    fn compare_exchange(&self, seen: Word, next: Word) -> Result<(), Word> {
        self.hot.cell.compare_exchange(seen, next)
    }

    #[inline(always)]
    fn order(&self) -> Option<&ReadOrderHint> {
        Some(&self.order)
    }

    fn resolve(&self, seen: Word) -> Resolved {
        match seen {
            #[cfg(feature = "std")]
            Word::IN_QUEUE => Resolved::Elsewhere,
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
        debug.field("quota", &format_args!("{}", self.quota));
        let word = self.load();
        let (layout, now) = (self.layout(), Reading::from_nanos(self.clock.now()));
        match self.resolve(word) {
            #[cfg(feature = "std")]
            Resolved::Elsewhere => drop(debug.field("waiters", &self.hot.waiters.waiting())),
            Resolved::Bucket => {
                let nanos = |reading: Reading| Duration::from_nanos(reading.nanos());
                debug
                    .field("tokens", &as_f64(layout, token_bucket::level(layout, word, now)))
                    .field("last_refill", &(nanos(layout.start(word))..nanos(layout.end(word))));
            }
            _ => drop(debug.field("started", &false)),
        }
        debug.finish_non_exhaustive()
    }
}

//! [`RateLimiter`]: one bucket.

mod account;
#[cfg(feature = "wait")]
mod acquire;
#[cfg(feature = "std")]
mod builder;
mod decision;
#[cfg(feature = "wait")]
mod hold;
#[cfg(feature = "std")]
mod keyed;
#[cfg(feature = "std")]
mod leaving;
mod reservation;
mod source;
#[cfg(feature = "wait")]
mod waiters;
#[cfg(feature = "wait")]
mod waiting;
#[cfg(feature = "wait")]
mod wrap;

use core::fmt;
use core::time::Duration;

use crossbeam_utils::CachePadded;

use crate::algorithm::token_bucket::{self, Ask};
use crate::cell::{Cell, Given, Location, Now, Order, Resolved, Seen, Taken};
use crate::clock::Clock;
use crate::error::TryAcquireError;
use crate::quota::Quota;
use crate::tokens::Tokens;
#[cfg(feature = "wait")]
use crate::wait::Waiters;
use crate::word::{Layout, Reading, Units, Word, Worth};
use account::{Account, answer, as_f64};
use source::{Live, given};

#[cfg(feature = "wait")]
pub use acquire::{Acquire, Granted, KeyedAcquire, OwnedAcquire, OwnedKeyedAcquire};
#[cfg(feature = "std")]
pub use builder::RateLimiterBuilder;
pub use decision::Decision;
#[cfg(feature = "std")]
pub use keyed::{KeyedRateLimiter, KeyedRateLimiterBuilder, SipHasher, SipState};
#[cfg(feature = "std")]
pub use leaving::Leaving;
pub use reservation::Reservation;
#[cfg(feature = "std")]
pub use reservation::{KeyedReservation, OwnedKeyedReservation, OwnedReservation};

#[cfg(feature = "wait")]
pub use wrap::Limited;

#[cfg(feature = "std")]
use crate::clock::QuantaClock;
use crate::sync::const_unless_loom;

/// A token bucket: it holds at most a burst of tokens, earns them at a constant rate, and
/// admits a call that finds its cost there.
///
/// It starts full, unless its quota says otherwise. It is shared by reference, in an
/// [`Arc`](std::sync::Arc) or as a `static`, by any number of threads; a decision takes about
/// as long as reading the clock, takes no lock and never waits for another thread. (Only while
/// somebody waits for tokens does it take the lock of their queue, to be refused.)
///
/// # Which verb
///
/// | you want | use |
/// |---|---|
/// | yes or no | [`allow`](RateLimiter::allow) |
/// | yes, or when to come back | [`try_acquire`](RateLimiter::try_acquire), [`try_acquire_n`](RateLimiter::try_acquire_n) |
/// | the numbers for response headers too | [`decide`](RateLimiter::decide) |
/// | to pay now for what is only known later | [`try_reserve_n`](RateLimiter::try_reserve_n) |
/// | to wait until the tokens are there | `acquire`, `acquire_n`, `try_acquire_for`, and `acquire_blocking` (feature `wait`) |
/// | to leave tokens for others | `leaving`, `background` |
/// | to look, without taking | [`available_tokens`](RateLimiter::available_tokens), [`time_until`](RateLimiter::time_until) |
///
/// Every verb has a form `*_at(now_ns, ..)` that takes the time, in nanoseconds since an origin
/// of your choice, instead of reading the clock. Use either kind on a limiter, not both.
///
/// # Guarantees
///
/// For all a ≤ b, the cost granted to calls whose clock reading lies in [a, b] is at most
/// `burst + rate × (b − a)`, whatever the threads do and however the clock errs; and a limiter
/// that is asked so often that it is never full again admits that much, within two units. The
/// [crate's page](crate) lists all of them.
///
/// # Memory ordering
///
/// Whatever changes the bucket is one acquire-release operation on one word, so all changes
/// are totally ordered, and what a thread did before it gave tokens back happens before what
/// a thread does that is admitted by a later change. A denial orders nothing, and a limiter
/// should not be used to publish data.
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
    // The word has its cache lines for itself; all the rest is read, and hardly ever written, so that
    // reading it does not wait for the word to come back from another core.
    hot: CachePadded<Hot>,
    quota: Quota,
    order: Order,
    unlimited: bool,
    /// What background work leaves, in percent of the burst.
    #[cfg(feature = "std")]
    background: u8,
    clock: C,
}

/// The word; and what is touched only where it is lent.
struct Hot {
    cell: Cell,
    #[cfg(feature = "wait")]
    waiters: Waiters,
}

impl Hot {
    const_unless_loom! {
        const fn new(word: Word) -> Hot {
            Hot {
                cell: Cell::new(word),
                #[cfg(feature = "wait")]
                waiters: Waiters::new(),
            }
        }
    }
}

#[cfg(feature = "std")]
impl RateLimiter {
    const_unless_loom! {
        /// A limiter on the process's clock.
        ///
        /// With [`Quota::initial`] below the burst, the bucket starts with the first call or look,
        /// since a constant cannot read the clock.
        #[must_use]
        pub const fn new(quota: Quota) -> RateLimiter {
            RateLimiter::with_parts(quota, Hot::new(first_word(&quota)), false, QuantaClock)
        }

        /// A limiter that admits everything, so that "no limit" needs no `Option`. Its
        /// [`quota`](RateLimiter::quota) is the largest there is.
        #[must_use]
        pub const fn unlimited() -> RateLimiter {
            let quota = Quota::per_second(1_000_000_000).burst(u32::MAX);
            RateLimiter::with_parts(quota, Hot::new(Word::UNBORN), true, QuantaClock)
        }
    }
}

impl<C: Clock> RateLimiter<C> {
    /// A limiter on a clock of your choice. The bucket starts now.
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

    /// Takes one token: `Ok`, or why not. The form of
    /// [`try_acquire_n`](RateLimiter::try_acquire_n) for a cost of one.
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
    /// [`TryAcquireError::RateLimited`] where the tokens are not there yet,
    /// [`TryAcquireError::ExceedsBurst`] where they never could be. Nothing is charged then.
    #[inline]
    pub fn try_acquire_n(&self, n: impl Into<Tokens>) -> Result<(), TryAcquireError> {
        self.try_take(n.into(), Tokens::ZERO, self.live())
    }

    /// Whether one token was there; it is taken then.
    #[inline]
    pub fn allow(&self) -> bool {
        self.try_acquire().is_ok()
    }

    /// Takes `n` tokens, all or none, and tells everything about it: what response headers
    /// show, for one operation on the bucket. A cost of zero looks without taking.
    #[inline]
    pub fn decide(&self, n: impl Into<Tokens>) -> Decision {
        self.decision(n.into(), self.live())
    }

    /// Takes `n` tokens now for a call whose true cost is known later: then
    /// [`commit`](Reservation::commit) gives back what was too much, or charges the rest.
    /// Dropping the reservation gives all back.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](RateLimiter::try_acquire_n).
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::{MockClock, Quota, RateLimiter};
    ///
    /// let limiter = RateLimiter::with_clock(Quota::per_minute(1000), MockClock::new());
    /// let reservation = limiter.try_reserve_n(600)?;
    /// reservation.commit(450);
    /// assert_eq!(limiter.available_tokens(), 550.0);
    /// # Ok::<(), brimful::TryAcquireError>(())
    /// ```
    #[inline]
    pub fn try_reserve_n(&self, n: impl Into<Tokens>) -> Result<Reservation<'_, C>, TryAcquireError> {
        let n = n.into();
        self.try_take(n, Tokens::ZERO, self.live())?;
        Ok(Reservation::new(self, n, None))
    }

    /// [`try_reserve_n`](RateLimiter::try_reserve_n) for a reservation that keeps the limiter
    /// alive, and so may go to another thread or task.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](RateLimiter::try_acquire_n).
    #[cfg(feature = "std")]
    pub fn try_reserve_n_owned(
        self: &std::sync::Arc<Self>,
        n: impl Into<Tokens>,
    ) -> Result<OwnedReservation<C>, TryAcquireError> {
        let n = n.into();
        self.try_take(n, Tokens::ZERO, self.live())?;
        Ok(OwnedReservation::new(self.clone(), n, None))
    }

    /// The tokens that are there for a call now, never below zero; infinite without a limit. What
    /// somebody waits for is not there for others.
    #[must_use]
    pub fn available_tokens(&self) -> f64 {
        self.tokens_free(self.live())
    }

    /// The tokens that the bucket holds now, negative in debt; infinite without a limit.
    #[must_use]
    pub fn balance(&self) -> f64 {
        self.tokens_held(self.live())
    }

    /// How long until `n` tokens are there, after those that others wait for, and if nothing else
    /// takes them: zero if they are. `None` if they never are, because `n` is above the burst or the
    /// instant lies beyond the 18 years that a clock's readings reach. Exact and rounded up: that
    /// instant is sufficient, one nanosecond earlier is not.
    #[must_use]
    pub fn time_until(&self, n: impl Into<Tokens>) -> Option<Duration> {
        self.wait_for(n.into(), self.live())
    }

    /// Puts `n` tokens into the bucket, clipped at the burst, and returns what was added.
    pub fn add_tokens(&self, n: impl Into<Tokens>) -> Tokens {
        self.give_back(n.into(), self.live())
    }

    /// Fills the bucket, and forgets its past: debt, and a clock that was ahead.
    pub fn reset(&self) {
        self.refill(self.live());
    }

    /// The quota that it holds to.
    #[must_use]
    pub const fn quota(&self) -> Quota {
        self.quota
    }

    /// Whether it was made by [`unlimited`](RateLimiter::unlimited).
    #[must_use]
    pub const fn is_unlimited(&self) -> bool {
        self.unlimited
    }

    /// The clock that it reads.
    #[must_use]
    pub const fn clock(&self) -> &C {
        &self.clock
    }

    #[inline]
    fn live(&self) -> Live<'_, C> {
        Live::new(&self.clock)
    }
}

/// The verbs at a time that the caller gives, in nanoseconds since an origin of its own.
impl<C: Clock> RateLimiter<C> {
    /// [`try_acquire`](RateLimiter::try_acquire) at `now_ns`.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](RateLimiter::try_acquire_n).
    #[inline]
    pub fn try_acquire_at(&self, now_ns: u64) -> Result<(), TryAcquireError> {
        self.try_acquire_n_at(now_ns, Tokens::ONE)
    }

    /// [`try_acquire_n`](RateLimiter::try_acquire_n) at `now_ns`.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](RateLimiter::try_acquire_n).
    #[inline]
    pub fn try_acquire_n_at(&self, now_ns: u64, n: impl Into<Tokens>) -> Result<(), TryAcquireError> {
        self.try_take(n.into(), Tokens::ZERO, given(now_ns))
    }

    /// [`allow`](RateLimiter::allow) at `now_ns`.
    #[inline]
    pub fn allow_at(&self, now_ns: u64) -> bool {
        self.try_acquire_at(now_ns).is_ok()
    }

    /// [`decide`](RateLimiter::decide) at `now_ns`.
    #[inline]
    pub fn decide_at(&self, now_ns: u64, n: impl Into<Tokens>) -> Decision {
        self.decision(n.into(), given(now_ns))
    }

    /// [`try_reserve_n`](RateLimiter::try_reserve_n) at `now_ns`. Settle it with
    /// [`commit_at`](Reservation::commit_at) or [`cancel_at`](Reservation::cancel_at); where
    /// it is dropped instead, it gives back as of `now_ns`.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](RateLimiter::try_acquire_n).
    pub fn try_reserve_n_at(&self, now_ns: u64, n: impl Into<Tokens>) -> Result<Reservation<'_, C>, TryAcquireError> {
        let n = n.into();
        self.try_take(n, Tokens::ZERO, given(now_ns))?;
        Ok(Reservation::new(self, n, Some(now_ns)))
    }

    /// [`try_reserve_n_owned`](RateLimiter::try_reserve_n_owned) at `now_ns`; see
    /// [`try_reserve_n_at`](RateLimiter::try_reserve_n_at).
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](RateLimiter::try_acquire_n).
    #[cfg(feature = "std")]
    pub fn try_reserve_n_owned_at(
        self: &std::sync::Arc<Self>,
        now_ns: u64,
        n: impl Into<Tokens>,
    ) -> Result<OwnedReservation<C>, TryAcquireError> {
        let n = n.into();
        self.try_take(n, Tokens::ZERO, given(now_ns))?;
        Ok(OwnedReservation::new(self.clone(), n, Some(now_ns)))
    }

    /// [`available_tokens`](RateLimiter::available_tokens) at `now_ns`.
    #[must_use]
    pub fn available_tokens_at(&self, now_ns: u64) -> f64 {
        self.tokens_free(given(now_ns))
    }

    /// [`balance`](RateLimiter::balance) at `now_ns`.
    #[must_use]
    pub fn balance_at(&self, now_ns: u64) -> f64 {
        self.tokens_held(given(now_ns))
    }

    /// [`time_until`](RateLimiter::time_until), counted from `now_ns`.
    #[must_use]
    pub fn time_until_at(&self, now_ns: u64, n: impl Into<Tokens>) -> Option<Duration> {
        self.wait_for(n.into(), given(now_ns))
    }

    /// [`add_tokens`](RateLimiter::add_tokens) at `now_ns`.
    pub fn add_tokens_at(&self, now_ns: u64, n: impl Into<Tokens>) -> Tokens {
        self.give_back(n.into(), given(now_ns))
    }

    /// [`reset`](RateLimiter::reset) at `now_ns`.
    pub fn reset_at(&self, now_ns: u64) {
        self.refill(given(now_ns));
    }
}

#[cfg(brimful_loom)]
impl<C> RateLimiter<C> {
    /// Calls read the clock first, as after many lost swaps.
    pub fn read_clock_first(&self) {
        self.order.lost(Reading::from_nanos(0));
    }
}

/// What the verbs of both kinds are made of.
impl<C> RateLimiter<C> {
    const fn with_parts(quota: Quota, hot: Hot, unlimited: bool, clock: C) -> Self {
        RateLimiter {
            hot: CachePadded::new(hot),
            quota,
            order: Order::new(),
            unlimited,
            #[cfg(feature = "std")]
            background: leaving::BACKGROUND,
            clock,
        }
    }

    #[inline(always)]
    fn try_take(&self, n: Tokens, leaving: Tokens, now: impl Now) -> Result<(), TryAcquireError> {
        if n.is_zero() {
            return Ok(());
        }
        match self.hot.cell.take(self.layout(), self, (n, leaving), now) {
            Ok(taken) => answer(self.layout(), (n, leaving), taken),
            Err(seen) => answer(self.layout(), (n, leaving), self.take_cold(self.ask(n, leaving), now, seen)),
        }
    }

    /// Goes on from the short loop.
    #[cold]
    #[inline(never)]
    fn take_cold(&self, ask: Ask, now: impl Now, seen: Seen) -> Taken {
        match self.hot.cell.take_cold(self.layout(), self, ask, now, seen) {
            Some(taken) => taken,
            #[cfg(feature = "wait")]
            None => self.take_lent(ask, now),
            #[cfg(not(feature = "wait"))]
            None => unreachable!("without queues, the bucket is in its cell"),
        }
    }

    #[inline(always)]
    fn ask(&self, n: Tokens, leaving: Tokens) -> Ask {
        Ask::new(self.layout(), n, leaving)
    }

    fn refill(&self, now: impl Now) {
        let layout = self.layout();
        self.change(now, |_, _| (token_bucket::full_since_origin(layout), Units(0)));
    }

    #[inline(always)]
    fn decision(&self, n: Tokens, now: impl Now) -> Decision {
        if n.is_zero() {
            return self.look(now);
        }
        match self.hot.cell.take(self.layout(), self, (n, Tokens::ZERO), now) {
            Ok(taken) => Decision::taken(self.layout(), taken),
            Err(seen) => Decision::taken(self.layout(), self.take_cold(self.ask(n, Tokens::ZERO), now, seen)),
        }
    }
}

impl<C> Account for RateLimiter<C> {
    #[inline]
    fn layout(&self) -> &Layout {
        self.quota.layout()
    }

    fn quota(&self) -> &Quota {
        &self.quota
    }

    #[cfg_attr(not(feature = "wait"), allow(unused_variables))]
    fn peek(&self, leaving: Units, mut now: impl Now) -> Option<Worth> {
        let mut word = self.hot.cell.load(Self::LOAD);
        let now = now.first();
        loop {
            match self.resolve(word) {
                Resolved::Unlimited => return None,
                Resolved::Bucket => return Some(Worth::held(now, token_bucket::level(self.layout(), word, now))),
                // A look starts the bucket too, or the tokens that it foretells would never come.
                Resolved::NotStarted(_) => drop(self.change(Given(now), |word, _| (word, Units(0)))),
                Resolved::Elsewhere =>
                {
                    #[cfg(feature = "wait")]
                    if let Some(worth) = self.peek_lent(leaving, now) {
                        return Some(worth);
                    }
                }
            }
            word = self.hot.cell.load(Self::LOAD);
        }
    }

    fn change(&self, now: impl Now, change: impl Fn(Word, Reading) -> (Word, Units)) -> Option<Units> {
        if self.unlimited {
            return None;
        }
        loop {
            let changed = self.hot.cell.change(self.layout(), self, now, &change);
            #[cfg(feature = "wait")]
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
    if quota.starts_full() { token_bucket::full_since_origin(quota.layout()) } else { Word::UNBORN }
}

impl<C> Location for RateLimiter<C> {
    #[inline(always)]
    fn order(&self) -> Option<&Order> {
        Some(&self.order)
    }

    fn resolve(&self, seen: Word) -> Resolved {
        match seen {
            #[cfg(feature = "wait")]
            Word::LENT => Resolved::Elsewhere,
            Word::UNBORN if self.unlimited => Resolved::Unlimited,
            Word::UNBORN => Resolved::NotStarted(self.quota.initial_units()),
            _ => Resolved::Bucket,
        }
    }
}

/// Shows what the bucket holds now, and the tick of the limiter's clock in which it was last
/// written; a tick is about as long as the bucket takes to refill.
impl<C: Clock> fmt::Debug for RateLimiter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RateLimiter");
        if self.unlimited {
            return debug.field("unlimited", &true).finish_non_exhaustive();
        }
        debug.field("quota", &format_args!("{}", self.quota));
        let word = self.hot.cell.load(Self::LOAD);
        let (layout, now) = (self.layout(), Reading::from_nanos(self.clock.now()));
        match self.resolve(word) {
            #[cfg(feature = "wait")]
            Resolved::Elsewhere => drop(debug.field("waiters", &self.waiters())),
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

//! [`CompositeLimiter`]: several quotas that hold at once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::acquire::{CompositeAcquire, CompositeReserve};
use super::bucket::{CompositeBucket, CompositeBucketAt};
use super::decision::CompositeDecision;
use super::error::{CompositeAcquireError, LimitError};
use super::holder::{Holder, SingleLimits};
use super::limits::{Named, SharedClock};
use super::reservation::CompositeReservation;
use crate::clock::{Clock, QuantaClock};
use crate::error::LimitName;
use crate::limiter::Granted;
use crate::limiter::RateLimiter;
use crate::queue::WaitConfig;
use crate::quota::Quotas;
use crate::tokens::Tokens;

/// A limiter that holds several quotas at once: a call is admitted if every limit admits it, and is then
/// charged to all of them. A refused call is charged to none, and its error names the limit that refused it.
///
/// One call takes the same number of tokens from every limit. To take different numbers, or to join limits that
/// others use as well, see [`AllOf`](crate::AllOf).
///
/// # Guarantees
///
/// Each limit keeps its own bound, as a [`RateLimiter`] does, if charges that are given back count as
/// reservations that are cancelled do. While one call takes from the limits, another call
/// may be denied by a charge that is given back a moment later, because a further limit refuses the first call.
///
/// # Examples
///
/// ```
/// use brimful::{CompositeLimiter, MockClock};
///
/// let quotas = "burst: 10/s; daily: 15/day".parse()?;
/// let limiter = CompositeLimiter::with_clock(quotas, MockClock::new());
/// assert!(limiter.try_acquire_n(10).is_ok());
///
/// let refused = limiter.try_acquire().unwrap_err();
/// assert_eq!(refused.to_string(), "limit \"burst\": rate limited: retry after 100ms");
///
/// limiter.clock().advance(std::time::Duration::from_secs(1));
/// let refused = limiter.try_acquire_n(6).unwrap_err();
/// assert_eq!(refused.limit(), "daily");
/// assert_eq!(limiter.available_tokens().floor(), 5.0, "nothing was charged");
/// # Ok::<(), brimful::ParseQuotaError>(())
/// ```
pub struct CompositeLimiter<C = QuantaClock> {
    pub(super) limits: SingleLimits<C>,
    quotas: Quotas,
    clock: SharedClock<C>,
}

impl CompositeLimiter {
    /// Returns a limiter on the process's clock.
    #[must_use]
    pub fn new(quotas: Quotas) -> Self {
        CompositeLimiter::with_clock(quotas, QuantaClock)
    }
}

impl<C: Clock> CompositeLimiter<C> {
    /// Returns a limiter on this clock. The buckets start now.
    #[must_use]
    pub fn with_clock(quotas: Quotas, clock: C) -> Self {
        let clock = Arc::new(clock);
        let limit = |(name, quota)| {
            let limit = RateLimiter::with_clock(quota, clock.clone());
            Named { name: LimitName::new(name), limit }
        };
        let limits = SingleLimits::new(quotas.iter().map(limit).collect(), WaitConfig::new(None, None));
        CompositeLimiter::from_parts(limits, quotas, clock)
    }
}

impl<C> CompositeLimiter<C> {
    pub(super) fn from_parts(limits: SingleLimits<C>, quotas: Quotas, clock: SharedClock<C>) -> Self {
        CompositeLimiter { limits, quotas, clock }
    }

    /// Returns the quotas that the limiter was made with, and their names. See [`quota`](CompositeLimiter::quota)
    /// for the current ones.
    #[must_use]
    pub fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// Returns the clock.
    #[must_use]
    pub fn clock(&self) -> &C {
        &self.clock
    }

    #[inline]
    fn bucket(&self) -> CompositeBucket<'_, C> {
        CompositeBucket::new(Holder::Single(&self.limits))
    }

    /// Returns the number of waiters.
    #[must_use]
    pub fn waiters(&self) -> usize {
        self.bucket().waiters()
    }

    /// Returns a view of the buckets for calls at `now_ns`, in nanoseconds since an origin of your choice.
    ///
    /// Use either the clock or given times on a limiter, not both.
    #[must_use]
    pub fn at(&self, now_ns: u64) -> CompositeBucketAt<'_, C> {
        self.bucket().at(now_ns)
    }

    /// Returns a view of the buckets for calls that leave `n` tokens in each.
    #[must_use]
    pub fn leaving(&self, n: impl Into<Tokens>) -> CompositeBucket<'_, C> {
        self.bucket().leaving(n)
    }

    /// Returns a view of the buckets for calls that leave the share of each burst that
    /// [`background_leaves`](crate::CompositeLimiterBuilder::background_leaves) set: a fifth by default.
    #[must_use]
    pub fn background(&self) -> CompositeBucket<'_, C> {
        self.bucket().background()
    }
}

impl<C: Clock> CompositeLimiter<C> {
    /// Takes one token from every limit if it is there, and returns whether it was.
    #[inline]
    #[must_use]
    pub fn allow(&self) -> bool {
        self.try_acquire().is_ok()
    }

    /// Takes one token from every limit, or none.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](CompositeLimiter::try_acquire_n).
    #[inline]
    pub fn try_acquire(&self) -> Result<(), LimitError> {
        self.bucket().try_acquire()
    }

    /// Takes `n` tokens from every limit, or none. A cost of zero is always admitted, and charges nothing.
    ///
    /// # Errors
    ///
    /// [`LimitError`], which names the limit that refused the call; if several did, the one with the longest
    /// wait. Nothing was charged anywhere.
    #[inline]
    pub fn try_acquire_n(&self, n: impl Into<Tokens>) -> Result<(), LimitError> {
        self.bucket().try_acquire_n(n)
    }

    /// Takes `n` tokens from every limit, or none, and returns the decision with the numbers of each limit.
    pub fn decide(&self, n: impl Into<Tokens>) -> CompositeDecision {
        self.bucket().decide(n)
    }

    /// Takes `n` tokens from every limit now, for a call whose cost is known later.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](CompositeLimiter::try_acquire_n).
    pub fn try_reserve_n(&self, n: impl Into<Tokens>) -> Result<CompositeReservation<'_, C>, LimitError> {
        self.bucket().try_reserve_n(n)
    }

    /// Returns the tokens that are there for a call now, in every limit: those of the limit that has the
    /// fewest. Never below zero.
    #[must_use]
    pub fn available_tokens(&self) -> f64 {
        self.bucket().available_tokens()
    }

    /// Returns the tokens that the emptiest bucket holds now: negative in debt.
    #[must_use]
    pub fn balance(&self) -> f64 {
        self.bucket().balance()
    }

    /// Returns the time until `n` tokens are there in every limit, if nothing else takes them; `None` if they
    /// never are. Exact and rounded up: that instant is sufficient, one nanosecond earlier is not.
    #[must_use]
    pub fn time_until(&self, n: impl Into<Tokens>) -> Option<Duration> {
        self.bucket().time_until(n)
    }

    /// Adds `n` tokens to every bucket, clipped at its burst.
    pub fn add_tokens(&self, n: impl Into<Tokens>) {
        self.bucket().add_tokens(n);
    }

    /// Fills every bucket, and forgets its past: its debt, and readings of a clock that was ahead.
    pub fn reset(&self) {
        self.bucket().reset();
    }
}

/// Verbs that wait, in order of arrival. A waiter is charged when all limits admit it, and not before.
impl<C: Clock + Clone + Send + Sync + 'static> CompositeLimiter<C> {
    /// Waits for one token from every limit.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](CompositeLimiter::acquire_n).
    pub fn acquire(&self) -> CompositeAcquire<'_, C> {
        self.bucket().acquire()
    }

    /// Waits for `n` tokens from every limit.
    ///
    /// # Errors
    ///
    /// [`CompositeAcquireError`], which names the limit that cannot be met: if the tokens cannot be granted
    /// within the time that the options of the wait give, or never. Nothing was charged anywhere.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: see [`CompositeAcquire`].
    pub fn acquire_n(&self, n: impl Into<Tokens>) -> CompositeAcquire<'_, C> {
        self.bucket().acquire_n(n)
    }

    /// Waits for `n` tokens from every limit, for a call whose cost is known later.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](CompositeLimiter::acquire_n).
    pub fn reserve_n(&self, n: impl Into<Tokens>) -> CompositeReserve<'_, C> {
        self.bucket().reserve_n(n)
    }

    /// As [`acquire`](CompositeLimiter::acquire), by blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](CompositeLimiter::acquire_n).
    pub fn acquire_blocking(&self) -> Result<Granted, CompositeAcquireError> {
        self.acquire().wait()
    }

    /// As [`acquire_n`](CompositeLimiter::acquire_n), by blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](CompositeLimiter::acquire_n).
    pub fn acquire_n_blocking(&self, n: impl Into<Tokens>) -> Result<Granted, CompositeAcquireError> {
        self.acquire_n(n).wait()
    }

    /// Ends every wait, now and later, with [`LimiterClosed`](crate::AcquireError::LimiterClosed): for a shutdown.
    /// Tokens that were granted before stay granted. Calls that do not wait go on, but each takes the lock of the queue
    /// from then on. It cannot be undone. A later wait until an instant that has passed fails with
    /// [`TooLate`](crate::AcquireError::TooLate), and one that costs nothing is granted.
    pub fn close(&self) {
        if let Ok(queue) = Holder::Single(&self.limits).queue() {
            queue.close();
        }
    }
}

impl<C: Clock> fmt::Debug for CompositeLimiter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("CompositeLimiter");
        for Named { name, limit } in self.limits.limits() {
            debug.field(name.as_str(), limit);
        }
        debug.finish_non_exhaustive()
    }
}

//! [`Bucket`]: one bucket with every verb; and [`BucketAt`]: the same at a given time.

use core::fmt;
use core::time::Duration;

use super::decision::Decision;
use super::reservation::Reservation;
use super::state::RateLimiter;
use super::target::Target;
use crate::cell::TimeSource;
use crate::clock::Clock;
use crate::error::TryAcquireError;
use crate::quota::Quota;
use crate::tokens::Tokens;
use crate::word::Reading;

#[cfg(feature = "std")]
use super::wait::{Acquire, Granted, Reserve};
#[cfg(feature = "std")]
use crate::clock::QuantaClock;
#[cfg(feature = "std")]
use crate::error::AcquireError;

/// A bucket with the verbs of a [`RateLimiter`]: that of one key, from
/// [`KeyedRateLimiter::key`](crate::KeyedRateLimiter::key); or a view of a bucket for calls that leave
/// some tokens in it, from `leaving` or `background`.
///
/// It is a borrow, `Copy` and cheap to make. For a key, it holds the key's hash, so several calls on
/// one key hash it once.
///
/// # Calls that leave tokens
///
/// A call from [`leaving(n)`](Bucket::leaving) is admitted only if `n` tokens are left in the bucket
/// afterwards: for background work, which then takes nothing that other calls may need soon. The
/// bucket is the same, and so is its bound. Waiters that leave less are served first, whenever they
/// came; waiters that leave the same are served in order. So work that leaves tokens may wait for as
/// long as other work keeps coming. If the queue is full, a call that leaves less also takes the place of
/// the waiter that would be served last: the wait of that one ends with
/// [`QueueFull`](crate::AcquireError::QueueFull).
///
/// The waiters on one bucket that leave tokens leave at most 64 different amounts. A call that would wait
/// and leaves a further amount is refused with [`QueueFull`](crate::AcquireError::QueueFull): use a few
/// fixed amounts.
///
/// # Examples
///
/// ```
/// use brimful::{KeyedRateLimiter, MockClock, Quota, RateLimiter};
///
/// let clients = KeyedRateLimiter::<str, _>::with_clock(Quota::per_second(10), MockClock::new());
/// let alice = clients.key("alice");
/// assert!(alice.try_acquire_n(4).is_ok());
/// assert_eq!(alice.available_tokens(), 6.0);
///
/// let limiter = RateLimiter::builder()
///     .quota(Quota::per_second(10).burst(100))
///     .background_leaves(20) // percent of the burst
///     .clock(MockClock::new())
///     .build()?;
/// let background = limiter.background();
/// assert!(background.try_acquire_n(80).is_ok());
/// assert!(background.try_acquire().is_err()); // 20 are left for others
/// assert!(limiter.try_acquire_n(20).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Bucket<'a, #[cfg(feature = "std")] C = QuantaClock, #[cfg(not(feature = "std"))] C> {
    target: Target<'a, C>,
    leaving: Tokens,
}

impl<C> Clone for Bucket<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Bucket<'_, C> {}

/// The limiter's own bucket.
impl<'a, C> From<&'a RateLimiter<C>> for Bucket<'a, C> {
    fn from(limiter: &'a RateLimiter<C>) -> Self {
        Bucket::new(Target::Single(limiter))
    }
}

impl<C> fmt::Debug for Bucket<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Bucket");
        debug.field("quota", &format_args!("{}", self.target.quota()));
        if !self.leaving.is_zero() {
            debug.field("leaving", &format_args!("{}", self.leaving));
        }
        debug.finish_non_exhaustive()
    }
}

impl<'a, C> Bucket<'a, C> {
    #[inline]
    pub(super) fn new(target: Target<'a, C>) -> Self {
        Bucket { target, leaving: Tokens::ZERO }
    }

    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn target(&self) -> Target<'a, C> {
        self.target
    }

    /// Returns the tokens that calls leave.
    #[cfg(feature = "std")]
    pub(crate) fn left(&self) -> Tokens {
        self.leaving
    }

    /// Returns the same bucket, for calls that leave `n` tokens in it.
    #[must_use]
    pub fn leaving(self, n: impl Into<Tokens>) -> Self {
        Bucket { leaving: n.into(), ..self }
    }

    /// Returns the same bucket, for calls that leave the share of the burst that
    /// [`background_leaves`](crate::RateLimiterBuilder::background_leaves) set: a fifth by default.
    #[must_use]
    pub fn background(self) -> Self {
        self.leaving(self.target.background())
    }

    /// Returns the same bucket, for calls at `now_ns`, in nanoseconds since an origin of your choice.
    ///
    /// Use either the clock or given times on a limiter, not both.
    #[inline]
    #[must_use]
    pub fn at(self, now_ns: u64) -> BucketAt<'a, C> {
        BucketAt { bucket: self, now: Reading::from_nanos(now_ns) }
    }

    /// Returns the quota that the bucket is held to.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.target.quota()
    }

    /// As [`RateLimiter::waiters`](crate::RateLimiter::waiters).
    #[cfg(feature = "std")]
    #[must_use]
    pub fn waiters(&self) -> usize {
        self.target.waiting() as usize
    }
}

impl<'a, C: Clock> Bucket<'a, C> {
    /// As [`RateLimiter::allow`](crate::RateLimiter::allow).
    #[inline]
    #[must_use]
    pub fn allow(&self) -> bool {
        self.try_acquire().is_ok()
    }

    /// As [`RateLimiter::try_acquire`](crate::RateLimiter::try_acquire).
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::try_acquire_n`](crate::RateLimiter::try_acquire_n).
    #[inline]
    pub fn try_acquire(&self) -> Result<(), TryAcquireError> {
        self.try_acquire_n(Tokens::ONE)
    }

    /// As [`RateLimiter::try_acquire_n`](crate::RateLimiter::try_acquire_n).
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::try_acquire_n`](crate::RateLimiter::try_acquire_n).
    #[inline]
    pub fn try_acquire_n(&self, n: impl Into<Tokens>) -> Result<(), TryAcquireError> {
        self.target.try_take(n.into(), self.leaving, self.target.live())
    }

    /// As [`RateLimiter::decide`](crate::RateLimiter::decide). The numbers are those of the whole
    /// bucket, with the tokens that the call has to leave.
    #[inline]
    pub fn decide(&self, n: impl Into<Tokens>) -> Decision {
        self.target.decide(n.into(), self.leaving, self.target.live())
    }

    /// Returns the decision of a call that takes nothing, for response headers. At a full table, a look
    /// at a new key is refused if a call would be, unlike [`decide`](Bucket::decide) with a cost of zero.
    pub fn peek(&self) -> Decision {
        self.target.peek(self.target.live())
    }

    /// As [`RateLimiter::try_reserve_n`](crate::RateLimiter::try_reserve_n).
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::try_acquire_n`](crate::RateLimiter::try_acquire_n).
    #[inline]
    pub fn try_reserve_n(&self, n: impl Into<Tokens>) -> Result<Reservation<'a, C>, TryAcquireError> {
        let n = n.into();
        self.try_acquire_n(n)?;
        Ok(Reservation::new(self.target, n, None))
    }

    /// As [`RateLimiter::available_tokens`](crate::RateLimiter::available_tokens), less the tokens
    /// that the calls have to leave.
    #[must_use]
    pub fn available_tokens(&self) -> f64 {
        self.target.available_tokens(self.leaving, self.target.live())
    }

    /// As [`RateLimiter::balance`](crate::RateLimiter::balance).
    #[must_use]
    pub fn balance(&self) -> f64 {
        self.target.balance(self.target.live())
    }

    /// As [`RateLimiter::time_until`](crate::RateLimiter::time_until), for a call that leaves as much
    /// as the calls of this view.
    #[must_use]
    pub fn time_until(&self, n: impl Into<Tokens>) -> Option<Duration> {
        self.target.time_until(n.into(), self.leaving, self.target.live())
    }

    /// As [`RateLimiter::add_tokens`](crate::RateLimiter::add_tokens). Adds nothing to a new key for
    /// which a full table has no place.
    pub fn add_tokens(&self, n: impl Into<Tokens>) -> Tokens {
        self.target.add_tokens(n.into(), self.target.live())
    }

    /// As [`RateLimiter::reset`](crate::RateLimiter::reset).
    ///
    /// A key that is not known becomes known by this if its bucket would not start full, and if the
    /// table has a place for it. A key that was reset and not used after it is remembered until the
    /// table is at its limit.
    pub fn reset(&self) {
        self.target.reset(self.target.live());
    }
}

/// Verbs that wait. A key that callers wait on has a queue of its own, and the table cannot forget
/// it; [`remove`](crate::KeyedRateLimiter::remove) and [`clear`](crate::KeyedRateLimiter::clear) end
/// the waits with [`AcquireError::KeyRemoved`].
#[cfg(feature = "std")]
impl<'a, C: Clock + Clone + Send + Sync + 'static> Bucket<'a, C> {
    /// As [`RateLimiter::acquire`](crate::RateLimiter::acquire).
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::acquire_n`](crate::RateLimiter::acquire_n).
    #[inline]
    pub fn acquire(&self) -> Acquire<'a, C> {
        self.acquire_n(Tokens::ONE)
    }

    /// As [`RateLimiter::acquire_n`](crate::RateLimiter::acquire_n).
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::acquire_n`](crate::RateLimiter::acquire_n).
    #[inline]
    pub fn acquire_n(&self, n: impl Into<Tokens>) -> Acquire<'a, C> {
        Acquire::new(self.target, n.into(), self.leaving)
    }

    /// As [`RateLimiter::reserve_n`](crate::RateLimiter::reserve_n).
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::acquire_n`](crate::RateLimiter::acquire_n).
    pub fn reserve_n(&self, n: impl Into<Tokens>) -> Reserve<'a, C> {
        Reserve::new(self.target, n.into(), self.leaving)
    }

    /// As [`RateLimiter::acquire_blocking`](crate::RateLimiter::acquire_blocking).
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::acquire_n`](crate::RateLimiter::acquire_n).
    pub fn acquire_blocking(&self) -> Result<Granted, AcquireError> {
        self.acquire().wait()
    }

    /// As [`RateLimiter::acquire_n_blocking`](crate::RateLimiter::acquire_n_blocking).
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::acquire_n`](crate::RateLimiter::acquire_n).
    pub fn acquire_n_blocking(&self, n: impl Into<Tokens>) -> Result<Granted, AcquireError> {
        self.acquire_n(n).wait()
    }
}

/// A [`Bucket`] at a given time: its verbs that do not wait, without a reading of the clock. Made by
/// `at`.
///
/// # Examples
///
/// ```
/// use brimful::{Quota, RateLimiter};
///
/// let limiter = RateLimiter::new(Quota::per_second(10).burst(100));
/// assert!(limiter.at(0).leaving(20).try_acquire_n(80).is_ok());
/// assert!(limiter.at(0).leaving(20).try_acquire().is_err());
/// assert!(limiter.at(100_000_000).leaving(20).try_acquire().is_ok()); // 0.1 s later
/// ```
pub struct BucketAt<'a, #[cfg(feature = "std")] C = QuantaClock, #[cfg(not(feature = "std"))] C> {
    bucket: Bucket<'a, C>,
    now: Reading,
}

impl<C> Clone for BucketAt<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for BucketAt<'_, C> {}

impl<C> fmt::Debug for BucketAt<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = Duration::from_nanos(self.now.nanos());
        f.debug_struct("BucketAt").field("bucket", &self.bucket).field("now", &now).finish()
    }
}

impl<'a, C> BucketAt<'a, C> {
    /// As [`Bucket::leaving`].
    #[must_use]
    pub fn leaving(self, n: impl Into<Tokens>) -> Self {
        BucketAt { bucket: self.bucket.leaving(n), ..self }
    }

    /// As [`Bucket::background`].
    #[must_use]
    pub fn background(self) -> Self {
        BucketAt { bucket: self.bucket.background(), ..self }
    }
}

impl<'a, C: Clock> BucketAt<'a, C> {
    #[inline]
    fn source(&self) -> TimeSource<'a, C> {
        TimeSource::given(self.now)
    }

    /// As [`Bucket::allow`].
    #[inline]
    #[must_use]
    pub fn allow(&self) -> bool {
        self.try_acquire().is_ok()
    }

    /// As [`Bucket::try_acquire`].
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::try_acquire_n`](crate::RateLimiter::try_acquire_n).
    #[inline]
    pub fn try_acquire(&self) -> Result<(), TryAcquireError> {
        self.try_acquire_n(Tokens::ONE)
    }

    /// As [`Bucket::try_acquire_n`].
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::try_acquire_n`](crate::RateLimiter::try_acquire_n).
    #[inline]
    pub fn try_acquire_n(&self, n: impl Into<Tokens>) -> Result<(), TryAcquireError> {
        self.bucket.target.try_take(n.into(), self.bucket.leaving, self.source())
    }

    /// As [`Bucket::decide`].
    #[inline]
    pub fn decide(&self, n: impl Into<Tokens>) -> Decision {
        self.bucket.target.decide(n.into(), self.bucket.leaving, self.source())
    }

    /// As [`Bucket::peek`].
    pub fn peek(&self) -> Decision {
        self.bucket.target.peek(self.source())
    }

    /// As [`Bucket::available_tokens`].
    #[must_use]
    pub fn available_tokens(&self) -> f64 {
        self.bucket.target.available_tokens(self.bucket.leaving, self.source())
    }

    /// As [`Bucket::balance`].
    #[must_use]
    pub fn balance(&self) -> f64 {
        self.bucket.target.balance(self.source())
    }

    /// As [`Bucket::time_until`].
    #[must_use]
    pub fn time_until(&self, n: impl Into<Tokens>) -> Option<Duration> {
        self.bucket.target.time_until(n.into(), self.bucket.leaving, self.source())
    }

    /// As [`Bucket::add_tokens`].
    pub fn add_tokens(&self, n: impl Into<Tokens>) -> Tokens {
        self.bucket.target.add_tokens(n.into(), self.source())
    }

    /// As [`Bucket::reset`].
    pub fn reset(&self) {
        self.bucket.target.reset(self.source());
    }

    /// As [`Bucket::try_reserve_n`]. The reservation is settled as of the same time, unless
    /// [`Reservation::at`] gives another.
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::try_acquire_n`](crate::RateLimiter::try_acquire_n).
    pub fn try_reserve_n(&self, n: impl Into<Tokens>) -> Result<Reservation<'a, C>, TryAcquireError> {
        let n = n.into();
        self.try_acquire_n(n)?;
        Ok(Reservation::new(self.bucket.target, n, Some(self.now)))
    }
}

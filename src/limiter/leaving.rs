//! Calls that leave something in the bucket for others.

#[cfg(feature = "wait")]
use super::{Acquire, KeyedAcquire};
use super::{KeyedRateLimiter, KeyedReservation, RateLimiter, Reservation};
use crate::clock::Clock;
use crate::error::TryAcquireError;
use crate::quota::Quota;
use crate::tokens::Tokens;
use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};

/// A limiter for calls that may only take what leaves some tokens in the bucket: for background work,
/// say, of which nobody else is to notice anything. Made by [`RateLimiter::leaving`] or
/// [`RateLimiter::background`], and the same of a [`KeyedRateLimiter`].
///
/// The bucket is the same, and so is its bound. Where calls wait, those who are to leave less are
/// served first, whenever they came; those who are to leave as much, in their order. So work that
/// leaves tokens may wait for as long as other work keeps coming.
///
/// # Examples
///
/// ```
/// use brimful::{MockClock, Quota, RateLimiter};
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
pub struct Leaving<'a, L: ?Sized> {
    limiter: &'a L,
    leaving: Tokens,
}

impl<L: ?Sized> Clone for Leaving<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L: ?Sized> Copy for Leaving<'_, L> {}

impl<L: ?Sized> fmt::Debug for Leaving<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaving").field("tokens", &self.leaving).finish_non_exhaustive()
    }
}

impl<L: ?Sized> Leaving<'_, L> {
    /// What is left in the bucket.
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        self.leaving
    }
}

/// What background work leaves unless told otherwise, in percent of the burst.
pub(super) const BACKGROUND: u8 = 20;

/// So many percent of the burst, rounded up to 10⁻¹² token.
pub(super) fn share(quota: &Quota, percent: u8) -> Tokens {
    let capacity = quota.capacity();
    let pico = u128::from(capacity.whole()) * u128::from(crate::tokens::PICO) + u128::from(capacity.pico());
    Tokens::from_pico((pico * u128::from(percent)).div_ceil(100))
}

impl<C: Clock> RateLimiter<C> {
    /// The same limiter, for calls that leave so many tokens in the bucket.
    pub fn leaving(&self, leaving: impl Into<Tokens>) -> Leaving<'_, Self> {
        Leaving { limiter: self, leaving: leaving.into() }
    }

    /// The same limiter, for calls that leave what the builder was told by
    /// [`background_leaves`](crate::RateLimiterBuilder::background_leaves): a fifth of the burst
    /// unless told otherwise.
    pub fn background(&self) -> Leaving<'_, Self> {
        self.leaving(share(&self.quota, self.background))
    }

    /// Takes `n` tokens, if `leaving` are left in the bucket then.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](RateLimiter::try_acquire_n).
    pub fn try_acquire_leaving(&self, n: impl Into<Tokens>, leaving: impl Into<Tokens>) -> Result<(), TryAcquireError> {
        self.try_take(n.into(), leaving.into(), self.live())
    }

    /// [`try_acquire_leaving`](RateLimiter::try_acquire_leaving) at `now_ns`.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](RateLimiter::try_acquire_n).
    pub fn try_acquire_leaving_at(
        &self,
        now_ns: u64,
        n: impl Into<Tokens>,
        leaving: impl Into<Tokens>,
    ) -> Result<(), TryAcquireError> {
        self.try_take(n.into(), leaving.into(), super::given(now_ns))
    }
}

impl<'a, C: Clock> Leaving<'a, RateLimiter<C>> {
    /// As [`RateLimiter::try_acquire`].
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::try_acquire_n`].
    pub fn try_acquire(&self) -> Result<(), TryAcquireError> {
        self.try_acquire_n(Tokens::ONE)
    }

    /// As [`RateLimiter::try_acquire_n`].
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::try_acquire_n`].
    pub fn try_acquire_n(&self, n: impl Into<Tokens>) -> Result<(), TryAcquireError> {
        self.limiter.try_acquire_leaving(n, self.leaving)
    }

    /// As [`RateLimiter::allow`].
    #[must_use]
    pub fn allow(&self) -> bool {
        self.try_acquire().is_ok()
    }

    /// As [`RateLimiter::try_reserve_n`]. What is given back is given to all.
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::try_acquire_n`].
    pub fn try_reserve_n(&self, n: impl Into<Tokens>) -> Result<Reservation<'a, C>, TryAcquireError> {
        let n = n.into();
        self.try_acquire_n(n)?;
        Ok(Reservation::new(self.limiter, n, None))
    }
}

#[cfg(feature = "wait")]
impl<'a, C: Clock + Clone + Send + Sync + 'static> Leaving<'a, RateLimiter<C>> {
    /// As [`RateLimiter::acquire`].
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::acquire_n`].
    pub fn acquire(&self) -> Acquire<'a, C> {
        self.acquire_n(Tokens::ONE)
    }

    /// As [`RateLimiter::acquire_n`].
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::acquire_n`].
    pub fn acquire_n(&self, n: impl Into<Tokens>) -> Acquire<'a, C> {
        self.limiter.acquire_n(n).leaving(self.leaving)
    }
}

impl<K: ?Sized, C: Clock, S> KeyedRateLimiter<K, C, S> {
    /// The same limiter, for calls that leave so many tokens in their key's bucket.
    pub fn leaving(&self, leaving: impl Into<Tokens>) -> Leaving<'_, Self> {
        Leaving { limiter: self, leaving: leaving.into() }
    }

    /// The same limiter, for calls that leave what the builder was told by
    /// [`background_leaves`](crate::KeyedRateLimiterBuilder::background_leaves): a fifth of the burst
    /// unless told otherwise.
    pub fn background(&self) -> Leaving<'_, Self> {
        self.leaving(share(&self.quota(), self.background_percent()))
    }
}

impl<K: Hash + ?Sized, C: Clock, S: BuildHasher> KeyedRateLimiter<K, C, S> {
    /// Takes `n` tokens from the key's bucket, if `leaving` are left in it then.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](KeyedRateLimiter::try_acquire_n).
    pub fn try_acquire_leaving<Q: Hash + ?Sized>(
        &self,
        key: &Q,
        n: impl Into<Tokens>,
        leaving: impl Into<Tokens>,
    ) -> Result<(), TryAcquireError>
    where
        K: Borrow<Q>,
    {
        self.bucket_of(key).try_take(n.into(), leaving.into(), self.live())
    }

    /// [`try_acquire_leaving`](KeyedRateLimiter::try_acquire_leaving) at `now_ns`.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](KeyedRateLimiter::try_acquire_n).
    pub fn try_acquire_leaving_at<Q: Hash + ?Sized>(
        &self,
        now_ns: u64,
        key: &Q,
        n: impl Into<Tokens>,
        leaving: impl Into<Tokens>,
    ) -> Result<(), TryAcquireError>
    where
        K: Borrow<Q>,
    {
        self.bucket_of(key).try_take(n.into(), leaving.into(), super::given(now_ns))
    }
}

impl<'a, K: Hash + ?Sized, C: Clock, S: BuildHasher> Leaving<'a, KeyedRateLimiter<K, C, S>> {
    /// As [`KeyedRateLimiter::try_acquire`].
    ///
    /// # Errors
    ///
    /// As [`KeyedRateLimiter::try_acquire_n`].
    pub fn try_acquire<Q: Hash + ?Sized>(&self, key: &Q) -> Result<(), TryAcquireError>
    where
        K: Borrow<Q>,
    {
        self.try_acquire_n(key, Tokens::ONE)
    }

    /// As [`KeyedRateLimiter::try_acquire_n`].
    ///
    /// # Errors
    ///
    /// As [`KeyedRateLimiter::try_acquire_n`].
    pub fn try_acquire_n<Q: Hash + ?Sized>(&self, key: &Q, n: impl Into<Tokens>) -> Result<(), TryAcquireError>
    where
        K: Borrow<Q>,
    {
        self.limiter.try_acquire_leaving(key, n, self.leaving)
    }

    /// As [`KeyedRateLimiter::allow`].
    #[must_use]
    pub fn allow<Q: Hash + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.try_acquire(key).is_ok()
    }

    /// As [`KeyedRateLimiter::try_reserve_n`]. What is given back is given to all.
    ///
    /// # Errors
    ///
    /// As [`KeyedRateLimiter::try_acquire_n`].
    pub fn try_reserve_n<Q: Hash + ?Sized>(
        &self,
        key: &Q,
        n: impl Into<Tokens>,
    ) -> Result<KeyedReservation<'a, C>, TryAcquireError>
    where
        K: Borrow<Q>,
    {
        let n = n.into();
        self.try_acquire_n(key, n)?;
        Ok(KeyedReservation::new(self.limiter.bucket_of(key), n, None))
    }
}

#[cfg(feature = "wait")]
impl<'a, K, C, S> Leaving<'a, KeyedRateLimiter<K, C, S>>
where
    K: Hash + ?Sized,
    C: Clock + Clone + Send + Sync + 'static,
    S: BuildHasher,
{
    /// As [`KeyedRateLimiter::acquire`].
    ///
    /// # Errors
    ///
    /// As [`KeyedRateLimiter::acquire_n`].
    pub fn acquire<Q: Hash + ?Sized>(&self, key: &Q) -> KeyedAcquire<'a, C>
    where
        K: Borrow<Q>,
    {
        self.acquire_n(key, Tokens::ONE)
    }

    /// As [`KeyedRateLimiter::acquire_n`].
    ///
    /// # Errors
    ///
    /// As [`KeyedRateLimiter::acquire_n`].
    pub fn acquire_n<Q: Hash + ?Sized>(&self, key: &Q, n: impl Into<Tokens>) -> KeyedAcquire<'a, C>
    where
        K: Borrow<Q>,
    {
        self.limiter.acquire_n(key, n).leaving(self.leaving)
    }
}

//! The verbs at a time that the caller gives, in nanoseconds since an origin of its own.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::time::Duration;

use super::{
    Account, Clock, Decision, KeyedRateLimiter, KeyedReservation, OwnedKeyedReservation, Tokens, TryAcquireError,
};
use crate::limiter::source::given;

/// The verbs at a time that the caller gives, in nanoseconds since an origin of its own.
impl<K: Hash + ?Sized, C: Clock, S: BuildHasher> KeyedRateLimiter<K, C, S> {
    /// [`try_acquire`](KeyedRateLimiter::try_acquire) at `now_ns`.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](KeyedRateLimiter::try_acquire_n).
    #[inline]
    pub fn try_acquire_at<Q: Hash + ?Sized>(&self, now_ns: u64, key: &Q) -> Result<(), TryAcquireError>
    where
        K: Borrow<Q>,
    {
        self.try_acquire_n_at(now_ns, key, Tokens::ONE)
    }

    /// [`try_acquire_n`](KeyedRateLimiter::try_acquire_n) at `now_ns`.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](KeyedRateLimiter::try_acquire_n).
    #[inline]
    pub fn try_acquire_n_at<Q: Hash + ?Sized>(
        &self,
        now_ns: u64,
        key: &Q,
        n: impl Into<Tokens>,
    ) -> Result<(), TryAcquireError>
    where
        K: Borrow<Q>,
    {
        self.bucket_of(key).try_take(n.into(), Tokens::ZERO, given(now_ns))
    }

    /// [`allow`](KeyedRateLimiter::allow) at `now_ns`.
    #[inline]
    pub fn allow_at<Q: Hash + ?Sized>(&self, now_ns: u64, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.try_acquire_at(now_ns, key).is_ok()
    }

    /// [`decide`](KeyedRateLimiter::decide) at `now_ns`.
    #[inline]
    pub fn decide_at<Q: Hash + ?Sized>(&self, now_ns: u64, key: &Q, n: impl Into<Tokens>) -> Decision
    where
        K: Borrow<Q>,
    {
        self.bucket_of(key).decide(n.into(), given(now_ns))
    }

    /// [`peek`](KeyedRateLimiter::peek) at `now_ns`.
    pub fn peek_at<Q: Hash + ?Sized>(&self, now_ns: u64, key: &Q) -> Decision
    where
        K: Borrow<Q>,
    {
        self.bucket_of(key).look(given(now_ns))
    }

    /// [`try_reserve_n`](KeyedRateLimiter::try_reserve_n) at `now_ns`; where it is dropped, it
    /// gives back as of `now_ns`.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](KeyedRateLimiter::try_acquire_n).
    pub fn try_reserve_n_at<Q: Hash + ?Sized>(
        &self,
        now_ns: u64,
        key: &Q,
        n: impl Into<Tokens>,
    ) -> Result<KeyedReservation<'_, C>, TryAcquireError>
    where
        K: Borrow<Q>,
    {
        let (bucket, n) = (self.bucket_of(key), n.into());
        bucket.try_take(n, Tokens::ZERO, given(now_ns))?;
        Ok(KeyedReservation::new(bucket, n, Some(now_ns)))
    }

    /// [`try_reserve_n_owned`](KeyedRateLimiter::try_reserve_n_owned) at `now_ns`; where it is
    /// dropped, it gives back as of `now_ns`.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](KeyedRateLimiter::try_acquire_n).
    pub fn try_reserve_n_owned_at<Q: Hash + ?Sized>(
        self: &Arc<Self>,
        now_ns: u64,
        key: &Q,
        n: impl Into<Tokens>,
    ) -> Result<OwnedKeyedReservation<K, C, S>, TryAcquireError>
    where
        K: Borrow<Q>,
    {
        let (bucket, n) = (self.bucket_of(key), n.into());
        bucket.try_take(n, Tokens::ZERO, given(now_ns))?;
        Ok(OwnedKeyedReservation::new(self.clone(), bucket.key, n, Some(now_ns)))
    }

    /// [`available_tokens`](KeyedRateLimiter::available_tokens) at `now_ns`.
    #[must_use]
    pub fn available_tokens_at<Q: Hash + ?Sized>(&self, now_ns: u64, key: &Q) -> f64
    where
        K: Borrow<Q>,
    {
        self.bucket_of(key).tokens_free(given(now_ns))
    }

    /// [`balance`](KeyedRateLimiter::balance) at `now_ns`.
    #[must_use]
    pub fn balance_at<Q: Hash + ?Sized>(&self, now_ns: u64, key: &Q) -> f64
    where
        K: Borrow<Q>,
    {
        self.bucket_of(key).tokens_held(given(now_ns))
    }

    /// [`time_until`](KeyedRateLimiter::time_until), counted from `now_ns`.
    #[must_use]
    pub fn time_until_at<Q: Hash + ?Sized>(&self, now_ns: u64, key: &Q, n: impl Into<Tokens>) -> Option<Duration>
    where
        K: Borrow<Q>,
    {
        self.bucket_of(key).wait_for(n.into(), given(now_ns))
    }

    /// [`add_tokens`](KeyedRateLimiter::add_tokens) at `now_ns`.
    pub fn add_tokens_at<Q: Hash + ?Sized>(&self, now_ns: u64, key: &Q, n: impl Into<Tokens>) -> Tokens
    where
        K: Borrow<Q>,
    {
        self.bucket_of(key).give_back(n.into(), given(now_ns))
    }

    /// [`reset`](KeyedRateLimiter::reset) at `now_ns`.
    pub fn reset_at<Q: Hash + ?Sized>(&self, now_ns: u64, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.buckets.table.reset(self.fingerprint(key), given(now_ns));
    }
}

impl<K: ?Sized, C, S> KeyedRateLimiter<K, C, S> {
    /// [`retain_recent`](KeyedRateLimiter::retain_recent) at `now_ns`.
    pub fn retain_recent_at(&self, now_ns: u64) -> u64 {
        self.buckets.table.retain_recent(given(now_ns))
    }
}

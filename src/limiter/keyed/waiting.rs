//! The verbs of a keyed limiter that wait.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::time::Duration;

use super::KeyedRateLimiter;
use crate::clock::Clock;
use crate::error::AcquireError;
use crate::limiter::acquire::{Granted, KeyedAcquire, OwnedKeyedAcquire};
use crate::limiter::hold::Shared;
use crate::tokens::Tokens;

/// The verbs that wait until the tokens are there, for each key in the order of arrival; as those of
/// [`RateLimiter`](crate::RateLimiter). A key has a queue for as long as somebody waits on it.
impl<K: Hash + ?Sized, C: Clock + Clone + Send + Sync + 'static, S: BuildHasher> KeyedRateLimiter<K, C, S> {
    /// Waits for one token.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](KeyedRateLimiter::acquire_n).
    #[inline]
    pub fn acquire<Q: Hash + ?Sized>(&self, key: &Q) -> KeyedAcquire<'_, C>
    where
        K: Borrow<Q>,
    {
        self.acquire_n(key, Tokens::ONE)
    }

    /// Waits for `n` tokens. A cost of zero does not wait, and charges nothing.
    ///
    /// # Errors
    ///
    /// [`AcquireError::ExceedsBurst`] at once where they could never be there,
    /// [`AcquireError::QueueFull`] where as many wait as may,
    /// [`AcquireError::TableFull`] where the key is new and there is no room for it,
    /// [`AcquireError::Forgotten`] where it is removed meanwhile, and [`AcquireError::TooLate`] where
    /// [`within`](KeyedAcquire::within) or [`until`](KeyedAcquire::until) say so. Nothing is charged then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: see [`KeyedAcquire`].
    #[inline]
    pub fn acquire_n<Q: Hash + ?Sized>(&self, key: &Q, n: impl Into<Tokens>) -> KeyedAcquire<'_, C>
    where
        K: Borrow<Q>,
    {
        KeyedAcquire::new(self.bucket_of(key), n.into())
    }

    /// [`acquire_n`](KeyedRateLimiter::acquire_n) by a future that keeps the limiter alive, and so may go
    /// to another task.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](KeyedRateLimiter::acquire_n).
    pub fn acquire_n_owned<Q: Hash + ?Sized>(
        self: &Arc<Self>,
        key: &Q,
        n: impl Into<Tokens>,
    ) -> OwnedKeyedAcquire<K, C, S>
    where
        K: Borrow<Q>,
    {
        OwnedKeyedAcquire::new(Shared { limiter: self.clone(), key: self.fingerprint(key) }, n.into())
    }

    /// Waits for one token, if it will be there within `timeout`; refused at once if not.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](KeyedRateLimiter::acquire_n).
    pub fn try_acquire_for<Q: Hash + ?Sized>(&self, key: &Q, timeout: Duration) -> KeyedAcquire<'_, C>
    where
        K: Borrow<Q>,
    {
        self.try_acquire_n_for(key, Tokens::ONE, timeout)
    }

    /// Waits for `n` tokens, if they will be there within `timeout`; refused at once if not.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](KeyedRateLimiter::acquire_n).
    pub fn try_acquire_n_for<Q: Hash + ?Sized>(
        &self,
        key: &Q,
        n: impl Into<Tokens>,
        timeout: Duration,
    ) -> KeyedAcquire<'_, C>
    where
        K: Borrow<Q>,
    {
        self.acquire_n(key, n).within(timeout)
    }

    /// Waits for one token, if it will be there by an instant, in nanoseconds since the origin of the
    /// limiter's clock; refused at once if not.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](KeyedRateLimiter::acquire_n).
    pub fn try_acquire_until<Q: Hash + ?Sized>(&self, key: &Q, deadline_ns: u64) -> KeyedAcquire<'_, C>
    where
        K: Borrow<Q>,
    {
        self.try_acquire_n_until(key, Tokens::ONE, deadline_ns)
    }

    /// Waits for `n` tokens, if they will be there by an instant, in nanoseconds since the origin of
    /// the limiter's clock; refused at once if not.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](KeyedRateLimiter::acquire_n).
    pub fn try_acquire_n_until<Q: Hash + ?Sized>(
        &self,
        key: &Q,
        n: impl Into<Tokens>,
        deadline_ns: u64,
    ) -> KeyedAcquire<'_, C>
    where
        K: Borrow<Q>,
    {
        self.acquire_n(key, n).until(deadline_ns)
    }

    /// [`acquire`](KeyedRateLimiter::acquire) by blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](KeyedRateLimiter::acquire_n).
    pub fn acquire_blocking<Q: Hash + ?Sized>(&self, key: &Q) -> Result<Granted, AcquireError>
    where
        K: Borrow<Q>,
    {
        self.acquire(key).wait()
    }

    /// [`acquire_n`](KeyedRateLimiter::acquire_n) by blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](KeyedRateLimiter::acquire_n).
    pub fn acquire_n_blocking<Q: Hash + ?Sized>(&self, key: &Q, n: impl Into<Tokens>) -> Result<Granted, AcquireError>
    where
        K: Borrow<Q>,
    {
        self.acquire_n(key, n).wait()
    }

    /// [`try_acquire_for`](KeyedRateLimiter::try_acquire_for) by blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](KeyedRateLimiter::acquire_n).
    pub fn try_acquire_for_blocking<Q: Hash + ?Sized>(
        &self,
        key: &Q,
        timeout: Duration,
    ) -> Result<Granted, AcquireError>
    where
        K: Borrow<Q>,
    {
        self.try_acquire_for(key, timeout).wait()
    }

    /// [`try_acquire_n_for`](KeyedRateLimiter::try_acquire_n_for) by blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](KeyedRateLimiter::acquire_n).
    pub fn try_acquire_n_for_blocking<Q: Hash + ?Sized>(
        &self,
        key: &Q,
        n: impl Into<Tokens>,
        timeout: Duration,
    ) -> Result<Granted, AcquireError>
    where
        K: Borrow<Q>,
    {
        self.try_acquire_n_for(key, n, timeout).wait()
    }

    /// [`try_acquire_until`](KeyedRateLimiter::try_acquire_until) by blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](KeyedRateLimiter::acquire_n).
    pub fn try_acquire_until_blocking<Q: Hash + ?Sized>(
        &self,
        key: &Q,
        deadline_ns: u64,
    ) -> Result<Granted, AcquireError>
    where
        K: Borrow<Q>,
    {
        self.try_acquire_until(key, deadline_ns).wait()
    }

    /// [`try_acquire_n_until`](KeyedRateLimiter::try_acquire_n_until) by blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](KeyedRateLimiter::acquire_n).
    pub fn try_acquire_n_until_blocking<Q: Hash + ?Sized>(
        &self,
        key: &Q,
        n: impl Into<Tokens>,
        deadline_ns: u64,
    ) -> Result<Granted, AcquireError>
    where
        K: Borrow<Q>,
    {
        self.try_acquire_n_until(key, n, deadline_ns).wait()
    }
}

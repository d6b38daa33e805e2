//! The verbs of a [`KeyedRateLimiter`]: [`key`](KeyedRateLimiter::key), and the everyday calls on it.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

use super::limiter::KeyedRateLimiter;
use crate::clock::Clock;
use crate::error::TryAcquireError;
use crate::limiter::bucket::Bucket;
use crate::limiter::decision::Decision;
use crate::limiter::reservation::OwnedReservation;
use crate::limiter::target::{OwnedTarget, Target};
use crate::limiter::wait::{Acquire, OwnedAcquire};
use crate::table::Fingerprint;
use crate::tokens::Tokens;

impl<K: Hash + ?Sized, C: Clock, S: BuildHasher> KeyedRateLimiter<K, C, S> {
    #[inline]
    pub(super) fn fingerprint<Q: Hash + ?Sized>(&self, key: &Q) -> Fingerprint
    where
        K: Borrow<Q>,
    {
        Fingerprint::of(self.hasher().hash_one(key))
    }

    #[inline]
    fn target<Q: Hash + ?Sized>(&self, key: &Q) -> Target<'_, C>
    where
        K: Borrow<Q>,
    {
        Target::Key(&self.buckets, self.fingerprint(key))
    }

    /// Returns the key's bucket, with the verbs of a [`RateLimiter`](crate::RateLimiter). This looks
    /// nothing up and stores nothing: the verbs do.
    ///
    /// A key that is not known has the tokens that a new one starts with, or those that evicted keys
    /// have left if they are fewer. A look does not make a key known, unless buckets do not start
    /// full: then looks start a bucket, as on a lone limiter, and take a place for it.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::{KeyedRateLimiter, MockClock, Quota};
    ///
    /// let clients = KeyedRateLimiter::<str, _>::with_clock(Quota::per_minute(1000), MockClock::new());
    /// let alice = clients.key("alice");
    /// let reservation = alice.try_reserve_n(600)?;
    /// reservation.commit(450);
    /// assert_eq!(alice.available_tokens(), 550.0);
    /// # Ok::<(), brimful::TryAcquireError>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn key<Q: Hash + ?Sized>(&self, key: &Q) -> Bucket<'_, C>
    where
        K: Borrow<Q>,
    {
        Bucket::new(self.target(key))
    }

    /// Takes one token from the key's bucket if it is there, and returns whether it was.
    #[inline]
    #[must_use]
    pub fn allow<Q: Hash + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.try_acquire(key).is_ok()
    }

    /// Takes one token from the key's bucket if it is there.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](KeyedRateLimiter::try_acquire_n).
    #[inline]
    pub fn try_acquire<Q: Hash + ?Sized>(&self, key: &Q) -> Result<(), TryAcquireError>
    where
        K: Borrow<Q>,
    {
        self.try_acquire_n(key, Tokens::ONE)
    }

    /// Takes `n` tokens from the key's bucket, all or none. A cost of zero is always admitted,
    /// charges nothing, and does not make the key known.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError::RateLimited`] if the tokens are not there yet,
    /// [`TryAcquireError::ExceedsBurst`] if they never could be, and
    /// [`TryAcquireError::TableFull`] if the key is new and there is no room for it. Nothing is
    /// charged then.
    #[inline]
    pub fn try_acquire_n<Q: Hash + ?Sized>(&self, key: &Q, n: impl Into<Tokens>) -> Result<(), TryAcquireError>
    where
        K: Borrow<Q>,
    {
        self.buckets.try_take(self.fingerprint(key), (n.into(), Tokens::ZERO), self.live())
    }

    /// As [`RateLimiter::decide`](crate::RateLimiter::decide), on the key's bucket.
    #[inline]
    pub fn decide<Q: Hash + ?Sized>(&self, key: &Q, n: impl Into<Tokens>) -> Decision
    where
        K: Borrow<Q>,
    {
        self.key(key).decide(n)
    }

    /// As [`RateLimiter::try_reserve_n_owned`](crate::RateLimiter::try_reserve_n_owned), on the key's
    /// bucket. The reservation keeps the buckets alive.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](KeyedRateLimiter::try_acquire_n).
    pub fn try_reserve_n_owned<Q: Hash + ?Sized>(
        &self,
        key: &Q,
        n: impl Into<Tokens>,
    ) -> Result<OwnedReservation<C>, TryAcquireError>
    where
        K: Borrow<Q>,
    {
        let n = n.into();
        self.try_acquire_n(key, n)?;
        Ok(self.settle_later(key, n))
    }

    /// As [`RateLimiter::settle_later`](crate::RateLimiter::settle_later), on the key's bucket: a
    /// reservation of `n` tokens that another verb has taken from it.
    pub fn settle_later<Q: Hash + ?Sized>(&self, key: &Q, n: impl Into<Tokens>) -> OwnedReservation<C>
    where
        K: Borrow<Q>,
    {
        OwnedReservation::new(OwnedTarget::Key(self.buckets.clone(), self.fingerprint(key)), n.into(), None)
    }

    /// Forgets the key and what it has taken, and returns whether the key was known. Waits on the key
    /// end with [`AcquireError::KeyRemoved`](crate::AcquireError::KeyRemoved).
    ///
    /// The debt of keys that a full table evicted stays: it is shared by all keys of a stripe, and a
    /// removed key may start with less than a new limiter would give it.
    /// [`clear`](KeyedRateLimiter::clear) forgets that too.
    pub fn remove<Q: Hash + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.buckets.table.remove(self.fingerprint(key))
    }
}

/// Verbs that wait, in order of arrival for each key. [`key`](KeyedRateLimiter::key) has the others.
impl<K: Hash + ?Sized, C: Clock + Clone + Send + Sync + 'static, S: BuildHasher> KeyedRateLimiter<K, C, S> {
    /// Waits for one token of the key's bucket.
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::acquire_n`](crate::RateLimiter::acquire_n).
    #[inline]
    pub fn acquire<Q: Hash + ?Sized>(&self, key: &Q) -> Acquire<'_, C>
    where
        K: Borrow<Q>,
    {
        self.acquire_n(key, Tokens::ONE)
    }

    /// Waits for `n` tokens of the key's bucket.
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::acquire_n`](crate::RateLimiter::acquire_n).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: see [`Acquire`].
    #[inline]
    pub fn acquire_n<Q: Hash + ?Sized>(&self, key: &Q, n: impl Into<Tokens>) -> Acquire<'_, C>
    where
        K: Borrow<Q>,
    {
        Acquire::new(self.target(key), n.into(), Tokens::ZERO)
    }

    /// As [`acquire_n`](KeyedRateLimiter::acquire_n), by a future that keeps the buckets alive, and so
    /// may go to another task.
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::acquire_n`](crate::RateLimiter::acquire_n).
    pub fn acquire_n_owned<Q: Hash + ?Sized>(&self, key: &Q, n: impl Into<Tokens>) -> OwnedAcquire<C>
    where
        K: Borrow<Q>,
    {
        let target = OwnedTarget::Key(self.buckets.clone(), self.fingerprint(key));
        OwnedAcquire::new(target, n.into(), Tokens::ZERO)
    }
}

//! [`KeyedCompositeLimiter`]: several quotas that hold at once, for each key.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;
use std::sync::Arc;

use super::acquire::CompositeAcquire;
use super::bucket::CompositeBucket;
use super::decision::CompositeDecision;
use super::error::LimitError;
use super::holder::{Holder, KeyedLimits};
use super::limits::{KeyedLimit, SharedClock};
use crate::cell::TimeSource;
use crate::clock::{Clock, QuantaClock};
use crate::limiter::SipState;
use crate::quota::Quotas;
use crate::table::{Fingerprint, FullEvent};
use crate::tokens::Tokens;

/// A limiter that holds several quotas at once for each key: a [`CompositeLimiter`](crate::CompositeLimiter) for
/// every user, tenant or address.
///
/// Each quota has a table of its own, as a [`KeyedRateLimiter`](crate::KeyedRateLimiter) has. A key is hashed
/// once, and its buckets are looked up before the first of them is charged, so that the cache misses overlap.
///
/// # Examples
///
/// ```
/// use brimful::{KeyedCompositeLimiter, MockClock};
///
/// let clients = KeyedCompositeLimiter::<str>::builder()
///     .quotas("burst: 10/s; daily: 15/day".parse()?)
///     .clock(MockClock::new())
///     .max_keys(100_000)
///     .build()?;
/// assert!(clients.try_acquire_n("alice", 10).is_ok());
/// assert_eq!(clients.try_acquire("alice").unwrap_err().limit(), "burst");
/// clients.clock().advance(std::time::Duration::from_secs(1));
/// let decision = clients.decide("alice", 10);
/// assert_eq!(decision.refusal().unwrap().limit(), "daily");
/// assert_eq!(decision.limit("burst").unwrap().remaining(), 10, "nothing was charged");
/// assert!(clients.allow("bob"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct KeyedCompositeLimiter<K: ?Sized, C = QuantaClock, S = SipState> {
    pub(super) limits: Arc<KeyedLimits<C>>,
    quotas: Quotas,
    clock: SharedClock<C>,
    hasher: S,
    /// Covariant: references of any lifetime are keys of a limiter of `'static` references.
    keys: PhantomData<fn() -> *const K>,
}

impl<K: ?Sized, C, S> KeyedCompositeLimiter<K, C, S> {
    pub(super) fn from_parts(limits: KeyedLimits<C>, quotas: Quotas, clock: SharedClock<C>, hasher: S) -> Self {
        KeyedCompositeLimiter { limits: Arc::new(limits), quotas, clock, hasher, keys: PhantomData }
    }

    /// Returns the quotas that the limiter was made with, and their names. See
    /// [`quota`](KeyedCompositeLimiter::quota) for the current ones.
    #[must_use]
    pub fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// Returns the clock.
    #[must_use]
    pub fn clock(&self) -> &C {
        &self.clock
    }

    /// Returns the hasher of keys.
    #[must_use]
    pub const fn hasher(&self) -> &S {
        &self.hasher
    }

    /// Returns the number of keys that the table with the most keys knows. The tables may differ, because a
    /// table may forget a key as soon as its bucket there is full again.
    #[must_use]
    pub fn len(&self) -> usize {
        self.limits.limits().iter().map(|limit| limit.limit.table.keys()).max().unwrap_or_default() as usize
    }

    /// Returns whether no key is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the most keys that can be known at once.
    #[must_use]
    pub fn max_keys(&self) -> usize {
        self.sum(|limit| limit.limit.table.max_keys()) / self.limits.limits().len()
    }

    /// Returns the bytes in use, by all tables. See
    /// [`KeyedRateLimiter::memory_usage`](crate::KeyedRateLimiter::memory_usage).
    #[must_use]
    pub fn memory_usage(&self) -> usize {
        self.sum(|limit| limit.limit.table.memory_usage())
    }

    /// Returns the most bytes that will ever be in use, by all tables. See
    /// [`KeyedRateLimiter::memory_limit`](crate::KeyedRateLimiter::memory_limit).
    #[must_use]
    pub fn memory_limit(&self) -> usize {
        self.sum(|limit| limit.limit.table.memory_limit())
    }

    /// Returns the number of buckets in use that were forgotten for new keys.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.sum(|limit| limit.limit.table.events(FullEvent::Evicted)) as u64
    }

    /// Returns the number of calls that were refused because their key was new and a table full.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.sum(|limit| limit.limit.table.events(FullEvent::Refused)) as u64
    }

    /// Returns the number of keys that callers wait on, or waited on a moment ago.
    #[must_use]
    pub fn waiting_keys(&self) -> usize {
        self.limits.waiting_keys() as usize
    }

    fn sum(&self, of: impl Fn(&KeyedLimit<C>) -> u64) -> usize {
        self.limits.limits().iter().map(of).sum::<u64>() as usize
    }

    /// Forgets all keys and what they have taken, and ends all waits. Keys that come while this runs may stay.
    pub fn clear(&self) {
        self.limits.remove_all();
    }
}

impl<K: ?Sized, C: Clock, S> KeyedCompositeLimiter<K, C, S> {
    /// Forgets every bucket that is full. This is never needed: it makes [`len`](Self::len) exact.
    pub fn retain_recent(&self) {
        self.limits
            .limits()
            .iter()
            .for_each(|limit| _ = limit.limit.table.retain_recent(TimeSource::clock(&self.clock)));
    }
}

impl<K: Hash + ?Sized, C: Clock, S: BuildHasher> KeyedCompositeLimiter<K, C, S> {
    #[inline]
    pub(super) fn fingerprint<Q: Hash + ?Sized>(&self, key: &Q) -> Fingerprint
    where
        K: Borrow<Q>,
    {
        Fingerprint::of(self.hasher.hash_one(key))
    }

    /// Returns the key's buckets, with every verb. This looks nothing up and stores nothing: the verbs do.
    #[inline]
    #[must_use]
    pub fn key<Q: Hash + ?Sized>(&self, key: &Q) -> CompositeBucket<'_, C>
    where
        K: Borrow<Q>,
    {
        CompositeBucket::new(Holder::Key(&self.limits, self.fingerprint(key)))
    }

    /// Takes one token from the key's buckets if all have it, and returns whether they had.
    #[inline]
    #[must_use]
    pub fn allow<Q: Hash + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.try_acquire(key).is_ok()
    }

    /// Takes one token from each of the key's buckets, or none.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](KeyedCompositeLimiter::try_acquire_n).
    #[inline]
    pub fn try_acquire<Q: Hash + ?Sized>(&self, key: &Q) -> Result<(), LimitError>
    where
        K: Borrow<Q>,
    {
        self.try_acquire_n(key, Tokens::ONE)
    }

    /// Takes `n` tokens from each of the key's buckets, or none.
    ///
    /// # Errors
    ///
    /// [`LimitError`], which names the limit that refused the call. Nothing was charged anywhere.
    #[inline]
    pub fn try_acquire_n<Q: Hash + ?Sized>(&self, key: &Q, n: impl Into<Tokens>) -> Result<(), LimitError>
    where
        K: Borrow<Q>,
    {
        self.key(key).try_acquire_n(n)
    }

    /// Takes `n` tokens from each of the key's buckets, or none, and returns the decision with the numbers of
    /// each limit.
    pub fn decide<Q: Hash + ?Sized>(&self, key: &Q, n: impl Into<Tokens>) -> CompositeDecision
    where
        K: Borrow<Q>,
    {
        self.key(key).decide(n)
    }

    /// Forgets the key and what it has taken, and returns whether the key was known. Waits on the key end with
    /// [`AcquireError::KeyRemoved`](crate::AcquireError::KeyRemoved). See
    /// [`KeyedRateLimiter::remove`](crate::KeyedRateLimiter::remove).
    pub fn remove<Q: Hash + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.limits.remove(self.fingerprint(key))
    }
}

/// Verbs that wait, in order of arrival for each key. [`key`](KeyedCompositeLimiter::key) has the others.
impl<K: Hash + ?Sized, C: Clock + Clone + Send + Sync + 'static, S: BuildHasher> KeyedCompositeLimiter<K, C, S> {
    /// Waits for one token from each of the key's buckets.
    ///
    /// # Errors
    ///
    /// As [`CompositeLimiter::acquire_n`](crate::CompositeLimiter::acquire_n).
    pub fn acquire<Q: Hash + ?Sized>(&self, key: &Q) -> CompositeAcquire<'_, C>
    where
        K: Borrow<Q>,
    {
        self.key(key).acquire()
    }

    /// Waits for `n` tokens from each of the key's buckets.
    ///
    /// # Errors
    ///
    /// As [`CompositeLimiter::acquire_n`](crate::CompositeLimiter::acquire_n).
    pub fn acquire_n<Q: Hash + ?Sized>(&self, key: &Q, n: impl Into<Tokens>) -> CompositeAcquire<'_, C>
    where
        K: Borrow<Q>,
    {
        self.key(key).acquire_n(n)
    }
}

impl<K: ?Sized, C, S> fmt::Debug for KeyedCompositeLimiter<K, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedCompositeLimiter")
            .field("quotas", &format_args!("{}", self.quotas))
            .field("keys", &self.len())
            .field("max_keys", &self.max_keys())
            .finish_non_exhaustive()
    }
}

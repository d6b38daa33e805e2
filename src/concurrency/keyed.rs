//! [`KeyedConcurrencyLimit`]: a limit of the calls in flight for each key.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;
use std::sync::Arc;

use crate::clock::{Clock, QuantaClock};
use crate::error::{AcquirePermitError, TryAcquirePermitError};
use crate::limiter::SipState;
use crate::permits::{KeyedPermits, PermitSource, PermitWord};
use crate::queue::WaitConfig;
use crate::stats::{PermitStats, Recording};

use super::acquire::{AcquirePermit, OwnedAcquirePermit};
use super::permit::{OwnedPermit, Permit};
use super::state::KeyedState;
use super::target::{BorrowedTarget, OwnedTarget, PermitHandle};

/// A [`ConcurrencyLimit`](crate::ConcurrencyLimit) for each key, all with the same limit: for addresses, users,
/// models.
///
/// Every type that hashes is a key; borrowed forms are accepted, as by a `HashMap`. The limit stores a hash of 64
/// bits and never the key. Two keys with the same hash share a limit: among a million keys in use there is such a
/// pair once in 37 million times. The default hasher resists keys that strangers choose.
///
/// # Memory
///
/// A key takes memory only while permits of it are out, or callers wait on it: it goes when its last permit is
/// given back. So there are at most as many keys as permits in flight and waiters, and a flood of keys that are
/// refused leaves nothing. A key takes up to 75 bytes, and half a kilobyte more from its first waiter on. The 64 shards
/// take 8 kilobytes.
///
/// # Blocking
///
/// Each call takes the lock of the key's shard for a fraction of a microsecond, and so does a permit that is given
/// back. [`resize`](KeyedConcurrencyLimit::resize) and [`close`](KeyedConcurrencyLimit::close) hold the lock of
/// each shard while they change the shard's keys.
///
/// # Guarantees
///
/// Those of [`ConcurrencyLimit`](crate::ConcurrencyLimit), for each key by itself.
///
/// # Examples
///
/// ```
/// use brimful::KeyedConcurrencyLimit;
///
/// let downloads = KeyedConcurrencyLimit::<String>::new(2);
/// let first = downloads.try_acquire("alice")?;
/// let second = downloads.try_acquire("alice")?;
/// assert!(downloads.try_acquire("alice").is_err());
/// assert!(downloads.try_acquire("bob").is_ok());
/// assert_eq!((downloads.in_flight("alice"), downloads.len()), (2, 1));
/// drop((first, second));
/// assert!(downloads.is_empty(), "a key without permits takes no memory");
/// # Ok::<(), brimful::TryAcquirePermitError>(())
/// ```
pub struct KeyedConcurrencyLimit<K: ?Sized, C = QuantaClock, S = SipState> {
    state: Arc<KeyedState<C>>,
    hasher: S,
    /// Covariant: references of any lifetime are keys of a limit of `'static` references.
    keys: PhantomData<fn() -> *const K>,
}

impl<K: ?Sized> KeyedConcurrencyLimit<K> {
    /// Returns a limit of `limit` permits for each key, on the process's clock, with the default hasher. A limit
    /// above [`MAX_LIMIT`](crate::ConcurrencyLimit::MAX_LIMIT) counts as that.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        KeyedConcurrencyLimit::with_clock(limit, QuantaClock)
    }
}

impl<K: ?Sized, C: Clock> KeyedConcurrencyLimit<K, C> {
    /// Returns a limit of `limit` permits for each key, with this clock for deadlines and the default hasher.
    #[must_use]
    pub fn with_clock(limit: usize, clock: C) -> Self {
        KeyedConcurrencyLimit::from_parts(limit, WaitConfig::new(None, None), Recording::OFF, clock, SipState::new())
    }
}

impl<K: ?Sized, C, S> KeyedConcurrencyLimit<K, C, S> {
    pub(super) fn from_parts(limit: usize, config: Arc<WaitConfig>, recording: Recording, clock: C, hasher: S) -> Self {
        let permits = KeyedPermits::new(PermitWord::new(limit), config);
        KeyedConcurrencyLimit { state: Arc::new(KeyedState { permits, clock, recording }), hasher, keys: PhantomData }
    }

    /// Returns the statistics of all keys, as
    /// [`ConcurrencyLimit::stats`](crate::ConcurrencyLimit::stats). Takes the lock of each shard for a moment.
    #[must_use]
    pub fn stats(&self) -> Option<PermitStats> {
        self.state.recording.read_permits(|| self.state.permits.in_flight())
    }

    /// Returns the statistics as [`stats`](KeyedConcurrencyLimit::stats) does, and begins anew.
    pub fn take_stats(&self) -> Option<PermitStats> {
        self.state.recording.take_permits(|| self.state.permits.in_flight())
    }

    /// Returns the limit of each key.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.state.permits.word().limit()
    }

    /// Returns the number of keys that have permits in flight or waiters.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.permits.keys()
    }

    /// Returns whether no key has permits in flight or waiters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the clock.
    #[must_use]
    pub fn clock(&self) -> &C {
        &self.state.clock
    }

    /// Returns the hasher of keys.
    #[must_use]
    pub const fn hasher(&self) -> &S {
        &self.hasher
    }

    /// Returns whether the limit was [closed](KeyedConcurrencyLimit::close).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.permits.word().is_closed()
    }

    /// Changes the limit of every key, as [`ConcurrencyLimit::resize`](crate::ConcurrencyLimit::resize). Keys
    /// change one after the other; all have when this returns.
    pub fn resize(&self, limit: usize) {
        self.state.permits.set_limit(limit);
    }

    /// Refuses every call on every key, now and later, as
    /// [`ConcurrencyLimit::close`](crate::ConcurrencyLimit::close).
    pub fn close(&self) {
        self.state.permits.close();
    }
}

impl<K: Hash + ?Sized, C, S: BuildHasher> KeyedConcurrencyLimit<K, C, S> {
    #[inline]
    pub(crate) fn target<Q: Hash + ?Sized>(&self, key: &Q) -> BorrowedTarget<'_, C>
    where
        K: Borrow<Q>,
    {
        BorrowedTarget { source: self.source(key), clock: self.clock(), recording: &self.state.recording }
    }

    #[inline]
    fn source<Q: Hash + ?Sized>(&self, key: &Q) -> PermitSource<'_>
    where
        K: Borrow<Q>,
    {
        PermitSource::Key(&self.state.permits, self.hasher.hash_one(key))
    }

    fn owned<Q: Hash + ?Sized>(&self, key: &Q) -> OwnedTarget<C>
    where
        K: Borrow<Q>,
    {
        OwnedTarget::Key(self.state.clone(), self.hasher.hash_one(key))
    }

    /// Returns the number of the key's permits that are out.
    #[must_use]
    pub fn in_flight<Q: Hash + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        self.state.permits.word_of(self.hasher.hash_one(key)).in_flight()
    }

    /// Returns the number of waiters on the key.
    #[must_use]
    pub fn waiters<Q: Hash + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        self.state.permits.waiting_on(self.hasher.hash_one(key)) as usize
    }

    /// Takes a permit of the key if one is free and no caller waits on the key.
    ///
    /// # Errors
    ///
    /// As [`ConcurrencyLimit::try_acquire`](crate::ConcurrencyLimit::try_acquire).
    #[inline]
    pub fn try_acquire<Q: Hash + ?Sized>(&self, key: &Q) -> Result<Permit<'_>, TryAcquirePermitError>
    where
        K: Borrow<Q>,
    {
        self.target(key).try_acquire()
    }

    /// As [`try_acquire`](KeyedConcurrencyLimit::try_acquire), with a permit that may go to another thread or
    /// task. It keeps the permits of all keys alive, but not the hasher.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](KeyedConcurrencyLimit::try_acquire).
    pub fn try_acquire_owned<Q: Hash + ?Sized>(&self, key: &Q) -> Result<OwnedPermit<C>, TryAcquirePermitError>
    where
        K: Borrow<Q>,
    {
        let target = self.owned(key);
        target.take().map(|()| OwnedPermit::new(target))
    }
}

/// Verbs that wait until a permit of the key is free. Tasks on any runtime and threads share one FIFO queue for each
/// key.
impl<K: Hash + ?Sized, C: Clock + Clone + Send + Sync + 'static, S: BuildHasher> KeyedConcurrencyLimit<K, C, S> {
    /// Waits for a permit of the key. The returned future has options.
    ///
    /// # Errors
    ///
    /// As [`ConcurrencyLimit::acquire`](crate::ConcurrencyLimit::acquire).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: see [`AcquirePermit`].
    #[inline]
    pub fn acquire<Q: Hash + ?Sized>(&self, key: &Q) -> AcquirePermit<'_, C>
    where
        K: Borrow<Q>,
    {
        AcquirePermit::new(self.target(key))
    }

    /// As [`acquire`](KeyedConcurrencyLimit::acquire), by a future and a permit that may go to another task.
    ///
    /// # Errors
    ///
    /// As [`acquire`](KeyedConcurrencyLimit::acquire).
    pub fn acquire_owned<Q: Hash + ?Sized>(&self, key: &Q) -> OwnedAcquirePermit<C>
    where
        K: Borrow<Q>,
    {
        OwnedAcquirePermit::new(self.owned(key))
    }

    /// Blocks the thread until a permit of the key is free, and takes it.
    ///
    /// # Errors
    ///
    /// As [`acquire`](KeyedConcurrencyLimit::acquire).
    pub fn acquire_blocking<Q: Hash + ?Sized>(&self, key: &Q) -> Result<Permit<'_>, AcquirePermitError>
    where
        K: Borrow<Q>,
    {
        self.acquire(key).wait()
    }
}

impl<K: ?Sized, C, S> fmt::Debug for KeyedConcurrencyLimit<K, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedConcurrencyLimit")
            .field("limit", &self.limit())
            .field("keys", &self.len())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

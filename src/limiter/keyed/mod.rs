//! [`KeyedRateLimiter`]: a bucket for each key.

mod at;
mod batch;
mod builder;
mod hasher;
#[cfg(feature = "wait")]
mod waiting;

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::account::{Account, Acquired, Decided};
use super::source::Live;
use super::{Decision, KeyedReservation, OwnedKeyedReservation};
use crate::cell::Now;
#[cfg(feature = "wait")]
use crate::cell::{AsIs, Taken};
use crate::clock::{Clock, QuantaClock};
use crate::error::TryAcquireError;
use crate::quota::Quota;
use crate::table::{Fingerprint, Table};
use crate::tokens::Tokens;
use crate::word::{Layout, Reading, Units, Word, Worth};

pub use builder::KeyedRateLimiterBuilder;
pub use hasher::SipState;

/// A token bucket for each key, all with the same quota: for addresses, users, API keys.
///
/// A new key starts full, unless the quota says otherwise. Keys are anything that hashes;
/// borrowed forms are accepted, as by a `HashMap`, and a key is never stored: a bucket takes 16
/// bytes, whatever the key. A call for a key that is known takes no lock and writes nothing but
/// that key's bucket.
///
/// # Memory
///
/// **A full bucket carries almost no information**, so a key that is full again need not be
/// remembered: its slot is given to a new one. There is no clean-up to be called, and no thread that
/// does it. Memory grows with the keys in use, a few slots at a time, to 27 to 29 bytes a key, and
/// never above [`memory_limit`](KeyedRateLimiter::memory_limit). So much is reserved at once; most
/// systems (Linux, macOS, Windows) provide the pages of it as they are first used. It is not given
/// back before the limiter is dropped.
///
/// [`max_keys`](KeyedRateLimiterBuilder::max_keys) is the most keys at a time, a million unless
/// told otherwise. Only when so many are in use (not full) does
/// [`OnFull`](crate::OnFull) decide what becomes of a new one: by default the bucket closest to
/// full is forgotten, but not what it owed. Keys that have used up their quota are never forgotten
/// for new ones, so a flood of keys resets nobody.
///
/// # Which verb
///
/// | you want | use |
/// |---|---|
/// | yes or no | [`allow`](KeyedRateLimiter::allow) |
/// | yes, or when to come back | [`try_acquire`](KeyedRateLimiter::try_acquire), [`try_acquire_n`](KeyedRateLimiter::try_acquire_n) |
/// | the numbers for response headers too | [`decide`](KeyedRateLimiter::decide) |
/// | many keys at once | [`try_acquire_many`](KeyedRateLimiter::try_acquire_many), [`try_acquire_many_n`](KeyedRateLimiter::try_acquire_many_n) |
/// | to pay now for what is only known later | [`try_reserve_n`](KeyedRateLimiter::try_reserve_n) |
/// | to wait until the tokens are there | `acquire`, `acquire_n`, `try_acquire_for`, and `acquire_blocking` (feature `wait`) |
/// | to leave tokens for others | `leaving`, `background` |
/// | to look, without taking | [`peek`](KeyedRateLimiter::peek), [`available_tokens`](KeyedRateLimiter::available_tokens), [`time_until`](KeyedRateLimiter::time_until) |
/// | to give tokens, or to forget | [`add_tokens`](KeyedRateLimiter::add_tokens), [`reset`](KeyedRateLimiter::reset), [`remove`](KeyedRateLimiter::remove), [`clear`](KeyedRateLimiter::clear) |
///
/// Every verb that looks at the time has a form `*_at(now_ns, ..)` that takes it instead. Use
/// either kind on a limiter, not both.
///
/// # Guarantees
///
/// Each key is held to the window bound of [`RateLimiter`](crate::RateLimiter), whatever the
/// threads, the clock and the table do: moving, forgetting and coming back give no key more than
/// its exact bucket would have. [`remove`](KeyedRateLimiter::remove),
/// [`clear`](KeyedRateLimiter::clear) and [`reset`](KeyedRateLimiter::reset) do: that is what they
/// are for. With [`Quota::initial`] below the burst, a key that was forgotten starts with
/// that again. What a bucket counts in is [`resolution`](KeyedRateLimiter::resolution), coarser
/// than that of a single limiter, so that slots can be used again sooner: what is earned in as many
/// nanoseconds as half the burst, at least 4 and at most a thousand.
///
/// Two keys whose hashes agree in 63 bits share a bucket: for ten million keys, five limiters in a
/// million have such a pair.
///
/// A reading of the clock that is far ahead is recorded as by a single limiter, and also in what
/// the table remembers of those forgotten: new keys of the same shard (there are up to 64; one only,
/// below 8192 keys) then look empty too. [`reset`](KeyedRateLimiter::reset) cures one key,
/// [`clear`](KeyedRateLimiter::clear) all. Slots that were written ahead stay closed until the
/// clock has caught up.
///
/// # Blocking
///
/// A call for a key that is known waits for a lock only where that very key is being moved to
/// another slot just then, no slot was open to it, or somebody waits for its tokens: then the bucket is
/// in their queue, under the lock. A new key takes its shard's lock, for about
/// as long as it takes to look at two sets of slots, or to move a few keys. Where all keys are taken
/// it may have to look through the table for a full bucket: a hundred nanoseconds for each set of
/// eight, but once only for as long as none can be full. [`clear`](KeyedRateLimiter::clear) holds
/// each shard's lock for as long as it takes to forget its keys.
///
/// # Memory ordering
///
/// As of [`RateLimiter`](crate::RateLimiter), for each key by itself.
///
/// # Examples
///
/// ```
/// use brimful::{KeyedRateLimiter, Quota};
/// use std::net::IpAddr;
/// use std::sync::LazyLock;
///
/// static LOGINS: LazyLock<KeyedRateLimiter<IpAddr>> =
///     LazyLock::new(|| KeyedRateLimiter::new(Quota::per_minute(5)));
///
/// let client: IpAddr = "192.0.2.7".parse().unwrap();
/// assert!((0..5).all(|_| LOGINS.allow(&client)));
/// assert!(!LOGINS.allow(&client));
///
/// let by_name = KeyedRateLimiter::<String>::new(Quota::per_second(10));
/// assert!(by_name.allow("alice")); // no String is made
/// ```
pub struct KeyedRateLimiter<K: ?Sized, C = QuantaClock, S = SipState> {
    buckets: Buckets<C>,
    hasher: S,
    keys: PhantomData<fn(&K)>,
}

/// All that does not depend on what the keys are.
pub(super) struct Buckets<C> {
    pub(super) table: Table,
    quota: Quota,
    /// What background work leaves, in percent of the burst.
    background: u8,
    pub(super) clock: C,
}

/// One key's bucket.
pub(super) struct Bucket<'a, C> {
    pub(super) buckets: &'a Buckets<C>,
    pub(super) key: Fingerprint,
}

impl<K: ?Sized> KeyedRateLimiter<K> {
    /// A limiter on the process's clock, with the default hasher, for up to a million keys.
    ///
    /// # Panics
    ///
    /// As [`with_clock`](KeyedRateLimiter::with_clock).
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        KeyedRateLimiter::with_clock(quota, QuantaClock)
    }
}

impl<K: ?Sized, C: Clock> KeyedRateLimiter<K, C> {
    /// A limiter on a clock of your choice, with the default hasher, for up to a million keys.
    ///
    /// # Panics
    ///
    /// Where 27 megabytes cannot be reserved; [`build`](KeyedRateLimiterBuilder::build) has an error
    /// then.
    #[must_use]
    pub fn with_clock(quota: Quota, clock: C) -> Self {
        match KeyedRateLimiter::builder().quota(quota).clock(clock).build() {
            Ok(limiter) => limiter,
            Err(error) => panic!("{error}"),
        }
    }
}

impl<K: Hash + ?Sized, C: Clock, S: BuildHasher> KeyedRateLimiter<K, C, S> {
    /// Takes one token from the key's bucket: `Ok`, or why not.
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
    /// [`TryAcquireError::RateLimited`] where the tokens are not there yet,
    /// [`TryAcquireError::ExceedsBurst`] where they never could be, and
    /// [`TryAcquireError::TableFull`] where the key is new and there is no room for it. Nothing is
    /// charged then.
    #[inline]
    pub fn try_acquire_n<Q: Hash + ?Sized>(&self, key: &Q, n: impl Into<Tokens>) -> Result<(), TryAcquireError>
    where
        K: Borrow<Q>,
    {
        self.bucket_of(key).try_take(n.into(), Tokens::ZERO, self.live())
    }

    /// Whether one token was there; it is taken then.
    #[inline]
    pub fn allow<Q: Hash + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.try_acquire(key).is_ok()
    }

    /// Takes `n` tokens from the key's bucket, all or none, and tells everything about it: what
    /// response headers show, for one operation on the bucket.
    #[inline]
    pub fn decide<Q: Hash + ?Sized>(&self, key: &Q, n: impl Into<Tokens>) -> Decision
    where
        K: Borrow<Q>,
    {
        self.bucket_of(key).decide(n.into(), self.live())
    }

    /// What [`decide`](KeyedRateLimiter::decide) tells, without taking anything, and without
    /// making the key known.
    pub fn peek<Q: Hash + ?Sized>(&self, key: &Q) -> Decision
    where
        K: Borrow<Q>,
    {
        self.bucket_of(key).look(self.live())
    }

    /// Takes `n` tokens now for a call whose true cost is known later. Dropping the reservation
    /// gives all back.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](KeyedRateLimiter::try_acquire_n).
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::{KeyedRateLimiter, MockClock, Quota};
    ///
    /// let limiter = KeyedRateLimiter::<str, _>::with_clock(Quota::per_minute(1000), MockClock::new());
    /// let reservation = limiter.try_reserve_n("alice", 600)?;
    /// reservation.commit(450);
    /// assert_eq!(limiter.available_tokens("alice"), 550.0);
    /// # Ok::<(), brimful::TryAcquireError>(())
    /// ```
    pub fn try_reserve_n<Q: Hash + ?Sized>(
        &self,
        key: &Q,
        n: impl Into<Tokens>,
    ) -> Result<KeyedReservation<'_, C>, TryAcquireError>
    where
        K: Borrow<Q>,
    {
        let (bucket, n) = (self.bucket_of(key), n.into());
        bucket.try_take(n, Tokens::ZERO, self.live())?;
        Ok(KeyedReservation::new(bucket, n, None))
    }

    /// [`try_reserve_n`](KeyedRateLimiter::try_reserve_n) for a reservation that keeps the limiter
    /// alive, and so may go to another thread or task.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](KeyedRateLimiter::try_acquire_n).
    pub fn try_reserve_n_owned<Q: Hash + ?Sized>(
        self: &Arc<Self>,
        key: &Q,
        n: impl Into<Tokens>,
    ) -> Result<OwnedKeyedReservation<K, C, S>, TryAcquireError>
    where
        K: Borrow<Q>,
    {
        let (bucket, n) = (self.bucket_of(key), n.into());
        bucket.try_take(n, Tokens::ZERO, self.live())?;
        Ok(OwnedKeyedReservation::new(self.clone(), bucket.key, n, None))
    }

    /// The tokens that are there for a call with this key now, never below zero: what somebody waits
    /// for is not there for others. A key that is not known has
    /// what a new one starts with, or what those that were evicted have left if that is less.
    #[must_use]
    pub fn available_tokens<Q: Hash + ?Sized>(&self, key: &Q) -> f64
    where
        K: Borrow<Q>,
    {
        self.bucket_of(key).tokens_free(self.live())
    }

    /// The tokens that the key's bucket holds now, negative in debt.
    #[must_use]
    pub fn balance<Q: Hash + ?Sized>(&self, key: &Q) -> f64
    where
        K: Borrow<Q>,
    {
        self.bucket_of(key).tokens_held(self.live())
    }

    /// How long until the key's bucket holds `n` tokens, if nothing else takes them; as
    /// [`RateLimiter::time_until`](crate::RateLimiter::time_until).
    #[must_use]
    pub fn time_until<Q: Hash + ?Sized>(&self, key: &Q, n: impl Into<Tokens>) -> Option<Duration>
    where
        K: Borrow<Q>,
    {
        self.bucket_of(key).wait_for(n.into(), self.live())
    }

    /// Puts `n` tokens into the key's bucket, clipped at the burst, and returns what was added:
    /// nothing, where the key is not known and there is no room for it.
    pub fn add_tokens<Q: Hash + ?Sized>(&self, key: &Q, n: impl Into<Tokens>) -> Tokens
    where
        K: Borrow<Q>,
    {
        self.bucket_of(key).give_back(n.into(), self.live())
    }

    /// Fills the key's bucket, and forgets its past: debt, and a clock that was ahead.
    ///
    /// A key that is not known has a full bucket already, unless others of its shard were
    /// evicted, or buckets do not start full: then it is made known, if there is room for it.
    pub fn reset<Q: Hash + ?Sized>(&self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.buckets.table.reset(self.fingerprint(key), self.live());
    }

    /// How many wait for the key's tokens, and have the timer armed for them: a mock clock may be moved
    /// then.
    #[cfg(feature = "wait")]
    #[must_use]
    pub fn waiters<Q: Hash + ?Sized>(&self, key: &Q) -> u32
    where
        K: Borrow<Q>,
    {
        self.buckets.table.waiting_on(self.fingerprint(key))
    }

    /// Forgets the key and what it has taken, as if it had never called; tells whether it was
    /// known.
    pub fn remove<Q: Hash + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.buckets.table.remove(self.fingerprint(key))
    }

    #[inline]
    pub(super) fn fingerprint<Q: Hash + ?Sized>(&self, key: &Q) -> Fingerprint
    where
        K: Borrow<Q>,
    {
        Fingerprint::of(self.hasher.hash_one(key))
    }

    #[inline]
    pub(super) fn bucket_of<Q: Hash + ?Sized>(&self, key: &Q) -> Bucket<'_, C>
    where
        K: Borrow<Q>,
    {
        self.bucket(self.fingerprint(key))
    }
}

impl<K: ?Sized, C: Clock, S> KeyedRateLimiter<K, C, S> {
    /// Forgets every key whose bucket is full, and returns how many those were. There is no need
    /// to: their slots are given to new keys as they come. It makes [`len`](Self::len) exact.
    pub fn retain_recent(&self) -> u64 {
        self.buckets.table.retain_recent(self.live())
    }

    #[inline]
    pub(super) fn live(&self) -> Live<'_, C> {
        self.buckets.live()
    }
}

impl<K: ?Sized, C, S> KeyedRateLimiter<K, C, S> {
    /// Forgets all keys and what they have taken. Keys that come while this runs may stay. The
    /// memory is kept for those to come.
    pub fn clear(&self) {
        self.buckets.table.clear();
    }

    /// How many keys are known: those in use, and those whose bucket is full by now, but whose
    /// slot was not needed. An estimate where other threads bring new ones.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.buckets.table.len()
    }

    /// Whether no key is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most keys that can be known at once.
    #[must_use]
    pub fn max_keys(&self) -> u64 {
        self.buckets.table.max_keys()
    }

    /// The bytes that have been in use: what the operating system has provided, to within a page a
    /// shard, where it provides small pages as they are first used. (With transparent huge pages
    /// `always` on, it provides 2 MB at a time.)
    #[must_use]
    pub fn memory_usage(&self) -> u64 {
        self.buckets.table.memory()
    }

    /// The most bytes that will ever be in use: 26.7 for each of
    /// [`max_keys`](KeyedRateLimiter::max_keys), which are reserved at once, and a few kilobytes;
    /// and about 30 for each if no slot was open to any of them, because the hasher has them all in one
    /// place, or they come and go so fast that slots cannot change hands. Those who wait take theirs
    /// beside it: up to a kilobyte for a key, and sixty bytes for each of them.
    #[must_use]
    pub fn memory_limit(&self) -> u64 {
        self.buckets.table.memory_limit()
    }

    /// How many buckets in use were forgotten for new keys.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.buckets.table.evictions()
    }

    /// How many calls were refused because their key was new and the table full.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.buckets.table.refusals()
    }

    /// On how many keys somebody waits, or was served and has not come for it: those too count to
    /// [`max_waiting_keys`](KeyedRateLimiterBuilder::max_waiting_keys), until something else is done
    /// to the key.
    #[cfg(feature = "wait")]
    #[must_use]
    pub fn waiting_keys(&self) -> u64 {
        self.buckets.table.waiting_keys()
    }

    pub(super) fn background_percent(&self) -> u8 {
        self.buckets.background
    }

    /// The quota that each key is held to.
    #[must_use]
    pub const fn quota(&self) -> Quota {
        self.buckets.quota
    }

    /// The unit that costs are rounded up to and the burst down to, itself rounded up to 10⁻¹²
    /// token.
    #[must_use]
    pub fn resolution(&self) -> Tokens {
        self.buckets.table.layout().tokens_up(1)
    }

    /// The clock that it reads.
    #[must_use]
    pub const fn clock(&self) -> &C {
        &self.buckets.clock
    }

    /// What hashes the keys.
    #[must_use]
    pub const fn hasher(&self) -> &S {
        &self.hasher
    }

    #[inline]
    pub(super) fn bucket(&self, key: Fingerprint) -> Bucket<'_, C> {
        Bucket { buckets: &self.buckets, key }
    }
}

impl<C> Buckets<C> {
    #[inline]
    fn live(&self) -> Live<'_, C> {
        Live::new(&self.clock)
    }
}

impl<C> Bucket<'_, C> {
    pub(super) fn live(&self) -> Live<'_, C> {
        self.buckets.live()
    }

    #[inline(always)]
    pub(super) fn try_take(&self, n: Tokens, leaving: Tokens, now: impl Now) -> Result<(), TryAcquireError> {
        if n.is_zero() {
            return Ok(());
        }
        let table = &self.buckets.table;
        table.take(self.key, (n, leaving), now, Acquired { layout: table.layout(), n, leaving })
    }

    #[cfg(feature = "wait")]
    #[inline(always)]
    pub(super) fn taken(&self, n: Tokens, leaving: Tokens, now: impl Now) -> Taken {
        self.buckets.table.take(self.key, (n, leaving), now, AsIs)
    }

    #[inline(always)]
    fn decide(&self, n: Tokens, now: impl Now) -> Decision {
        if n.is_zero() {
            return self.look(now);
        }
        let table = &self.buckets.table;
        table.take(self.key, (n, Tokens::ZERO), now, Decided(table.layout()))
    }
}

impl<C> Account for Bucket<'_, C> {
    const AHEAD: bool = true;

    fn layout(&self) -> &Layout {
        self.buckets.table.layout()
    }

    fn quota(&self) -> &Quota {
        &self.buckets.quota
    }

    fn peek(&self, leaving: Units, now: impl Now) -> Option<Worth> {
        Some(self.buckets.table.peek(self.key, leaving, now))
    }

    fn change(&self, now: impl Now, change: impl Fn(Word, Reading) -> (Word, Units)) -> Option<Units> {
        Some(self.buckets.table.change(self.key, now, change))
    }
}

impl<K: ?Sized, C, S> fmt::Debug for KeyedRateLimiter<K, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedRateLimiter")
            .field("quota", &format_args!("{}", self.quota()))
            .field("keys", &self.len())
            .field("max_keys", &self.max_keys())
            .field("memory_usage", &self.memory_usage())
            .finish_non_exhaustive()
    }
}

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

use super::account::{Account, answer, is_admitted};
use super::source::Live;
use super::{Decision, KeyedReservation, OwnedKeyedReservation};
use crate::algorithm::token_bucket::Ask;
use crate::cell::Now;
use crate::cell::Taken;
use crate::clock::{Clock, QuantaClock};
use crate::error::TryAcquireError;
use crate::quota::Quota;
use crate::table::{Fingerprint, FullEvent, Table};
use crate::tokens::Tokens;
use crate::word::{Layout, Reading, Units, Word, Worth};

pub use builder::KeyedRateLimiterBuilder;
pub use hasher::{SipHasher, SipState};

/// A token bucket for each key, all with the same quota: for addresses, users, API keys.
///
/// A new key starts full, unless the quota has [`initial`](Quota::initial) tokens. Every type that
/// hashes is a key; borrowed forms are accepted, as by a `HashMap`. The limiter stores a hash and
/// never the key: a bucket takes 16 bytes. A call for a known key takes no lock and writes only
/// that key's bucket.
///
/// # Memory
///
/// **A full bucket carries almost no information.** A key whose bucket is full again, and was not
/// used for [`forget_after`](KeyedRateLimiterBuilder::forget_after), is forgotten when its slot is
/// needed. No clean-up has to be called, and no thread runs one. So memory follows the keys in
/// use: 20 to 40 bytes a key, 29 on average, and never more than
/// [`memory_limit`](KeyedRateLimiter::memory_limit). The limit is reserved at once; most systems
/// (Linux, macOS, Windows) provide its pages as they are first used. Memory is not given back
/// before the limiter is dropped.
///
/// [`max_keys`](KeyedRateLimiterBuilder::max_keys) bounds the known keys, a million by default. If
/// that many are in use, [`OnFull`](crate::OnFull) decides what a new key gets: by default the
/// bucket closest to full is forgotten, but not its debt. A key that has used up its quota is never
/// forgotten for a new one, so a flood of keys resets no key.
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
/// Each key is held to the window bound of [`RateLimiter`](crate::RateLimiter), and counts in the
/// same units. Moving, forgetting and coming back give no key more than its exact bucket would
/// have granted. [`remove`](KeyedRateLimiter::remove), [`clear`](KeyedRateLimiter::clear) and
/// [`reset`](KeyedRateLimiter::reset) do: they are meant to. With [`Quota::initial`] below the
/// burst, a key that was forgotten starts with that amount again.
///
/// Two keys whose hashes agree in 59 bits share a bucket: about one table of ten million keys in
/// ten thousand has such a pair.
///
/// A clock reading that is far ahead is recorded, as by a single limiter. If a key is forgotten
/// because of it, the other keys of its stripe (there are up to 64 stripes) start empty until the
/// clock has caught up. [`reset`](KeyedRateLimiter::reset) cures one key,
/// [`clear`](KeyedRateLimiter::clear) all.
///
/// # Blocking
///
/// A call for a known key takes the lock of its stripe only if the key is being moved at that
/// moment, if callers wait on it, or if no slot was found for it, which happens only with a hasher
/// that does not spread keys. A call that finds its key outside its first place tries the lock, and
/// moves the key if it gets it. A new key takes the lock for a fraction of a microsecond. If the
/// table is full, the call looks at 32 groups of eight slots besides its own.
/// [`clear`](KeyedRateLimiter::clear) holds the lock of each stripe while it forgets the stripe's
/// keys, and the table does not grow meanwhile.
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
    /// Panics if 34 megabytes cannot be reserved. [`build`](KeyedRateLimiterBuilder::build) returns
    /// an error instead.
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
        self.bucket_of(key).allow(self.live())
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

    /// Returns what [`decide`](KeyedRateLimiter::decide) would, for a call that takes nothing. At a
    /// full table, a look at a new key is refused if a call would be.
    ///
    /// A look does not make the key known, unless buckets do not start full: then looks start a
    /// bucket, as on a lone limiter, and take a place for it.
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

    /// Fills the key's bucket, and forgets its past: its debt, and readings of a clock that was
    /// ahead. The bucket is full at every reading then.
    ///
    /// A key that is not known becomes known by this if its bucket would not start full, and if
    /// the table has a place for it. A key that was reset and not used since then is remembered until
    /// the table is at its limit.
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

    /// Forgets the key and what it has taken, and returns whether the key was known.
    ///
    /// The debt of keys that a full table evicted is not forgiven: it is shared by all keys of a
    /// stripe, and a removed key may start with less than a new limiter would give it.
    /// [`clear`](KeyedRateLimiter::clear) forgives that too.
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
    /// Forgets every key whose bucket is full, and returns how many those were. This is never
    /// needed: slots of full buckets are reused. It makes [`len`](Self::len) exact.
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

    /// Returns the number of known keys: those in use, and those whose bucket is full but not yet
    /// forgotten. An estimate while other threads bring new keys.
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

    /// Returns the bytes in use: those of the groups of slots that have been used so far, of the
    /// stripes, and of keys in no slot. The operating system provides about as much, if it
    /// provides small pages as they are first used. (With transparent huge pages `always` on, it
    /// provides 2 MB at a time.)
    #[must_use]
    pub fn memory_usage(&self) -> u64 {
        self.buckets.table.memory_usage()
    }

    /// Returns the most bytes that will ever be in use, whatever the hasher does: 25 to 46 for each of
    /// [`max_keys`](KeyedRateLimiter::max_keys), and a few kilobytes. Waiters are not included: up
    /// to a kilobyte for a key that is waited on, and sixty bytes for each waiter.
    #[must_use]
    pub fn memory_limit(&self) -> u64 {
        self.buckets.table.memory_limit()
    }

    /// How many buckets in use were forgotten for new keys.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.buckets.table.events(FullEvent::Evicted)
    }

    /// How many calls were refused because their key was new and the table full.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.buckets.table.events(FullEvent::Refused)
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

    /// Returns the unit of every bucket, as [`Quota::resolution`].
    #[must_use]
    pub fn resolution(&self) -> Tokens {
        self.buckets.quota.resolution()
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
        match self.buckets.table.take(self.key, (n, leaving), now) {
            Some(taken) => answer(self.layout(), (n, leaving), taken),
            None => answer(self.layout(), (n, leaving), self.take_cold(n, leaving, now)),
        }
    }

    #[inline(always)]
    fn allow(&self, now: impl Now) -> bool {
        match self.buckets.table.take(self.key, (Tokens::ONE, Tokens::ZERO), now) {
            Some(taken) => is_admitted(taken),
            None => is_admitted(self.take_cold(Tokens::ONE, Tokens::ZERO, now)),
        }
    }

    #[cfg(feature = "wait")]
    #[inline(always)]
    pub(super) fn taken(&self, n: Tokens, leaving: Tokens, now: impl Now) -> Taken {
        match self.buckets.table.take(self.key, (n, leaving), now) {
            Some(taken) => taken,
            None => self.take_cold(n, leaving, now),
        }
    }

    #[inline(always)]
    fn take_cold(&self, n: Tokens, leaving: Tokens, now: impl Now) -> Taken {
        self.buckets.table.take_cold(self.key, Ask::new(self.layout(), n, leaving), now)
    }

    #[inline(always)]
    fn decide(&self, n: Tokens, now: impl Now) -> Decision {
        if n.is_zero() {
            // Admitted, also if the table has no place for the key: it needs none.
            let worth = self.buckets.table.peek(self.key, Units(0), now);
            return Decision::looked(self.layout(), Worth { no_place: None, ..worth });
        }
        match self.buckets.table.take(self.key, (n, Tokens::ZERO), now) {
            Some(taken) => Decision::taken(self.layout(), taken),
            None => Decision::taken(self.layout(), self.take_cold(n, Tokens::ZERO, now)),
        }
    }
}

impl<C> Account for Bucket<'_, C> {
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

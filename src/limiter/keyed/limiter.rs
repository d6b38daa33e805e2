//! The limiter of many keys: its state, and the numbers of its table.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::hasher::SipState;
use crate::cell::TimeSource;
use crate::clock::{Clock, QuantaClock};
use crate::limiter::state::Buckets;
use crate::quota::Quota;
use crate::stats::Stats;
use crate::table::FullEvent;

/// A token bucket for each key, all with the same quota: for addresses, users, API keys.
///
/// A new key starts full, unless the quota has [`initial`](Quota::initial) tokens. Every type that
/// hashes is a key; borrowed forms are accepted, as by a `HashMap`. The limiter stores a hash and
/// never the key: a bucket takes 16 bytes. A call for a known key takes no lock and writes only
/// that key's bucket.
///
/// # Keys of several parts
///
/// A tuple of references is a key too. Calls may pass references of any lifetime, also if the limiter
/// is a `static`, because it keeps no key:
///
/// ```
/// use brimful::{KeyedRateLimiter, Quota};
/// use std::sync::LazyLock;
///
/// static CALLS: LazyLock<KeyedRateLimiter<(&str, &str)>> =
///     LazyLock::new(|| KeyedRateLimiter::new(Quota::per_hour(2)));
///
/// let (tenant, user) = (String::from("acme"), String::from("alice"));
/// assert!(CALLS.allow(&(&*tenant, &*user))); // no String is made
/// assert!(CALLS.allow(&("acme", "alice")));
/// assert!(!CALLS.allow(&(&*tenant, &*user)), "all three calls were on one bucket");
/// assert!(CALLS.allow(&("acme", "bob")));
/// ```
///
/// # Memory
///
/// **A full bucket carries almost no information.** A key whose bucket is full again, and was not
/// used for [`forget_after`](crate::KeyedRateLimiterBuilder::forget_after), is forgotten when its slot is
/// needed. No clean-up has to be called, and no thread runs one. So memory follows the keys in
/// use: 20 to 50 bytes a key, 30 on average, and never more than
/// [`memory_limit`](KeyedRateLimiter::memory_limit). The limit is reserved at once; most systems
/// (Linux, macOS, Windows) provide its pages as they are first used. Memory is not given back
/// before the limiter is dropped, and its owned waits and reservations with it.
///
/// [`max_keys`](crate::KeyedRateLimiterBuilder::max_keys) bounds the known keys, a million by default. If
/// that many are in use, [`OnFull`](crate::OnFull) decides what a new key gets: by default the
/// bucket closest to full is forgotten, but not its debt. A key that has used up its quota is never
/// forgotten for a new one, so a flood of keys resets no key.
///
/// # Which verb
///
/// | to | use |
/// |---|---|
/// | get yes or no | [`allow`](KeyedRateLimiter::allow) |
/// | get yes, or when to retry | [`try_acquire`](KeyedRateLimiter::try_acquire), [`try_acquire_n`](KeyedRateLimiter::try_acquire_n) |
/// | get the numbers for response headers | [`decide`](KeyedRateLimiter::decide) |
/// | wait until the tokens are there | [`acquire`](KeyedRateLimiter::acquire), [`acquire_n`](KeyedRateLimiter::acquire_n) |
/// | decide on many keys at once | [`try_acquire_many`](KeyedRateLimiter::try_acquire_many), [`try_acquire_many_n`](KeyedRateLimiter::try_acquire_many_n) |
/// | do anything else with a key's bucket | [`key`](KeyedRateLimiter::key), which returns a [`Bucket`](crate::Bucket) with every verb |
/// | forget keys | [`remove`](KeyedRateLimiter::remove), [`clear`](KeyedRateLimiter::clear) |
///
/// # Guarantees
///
/// Each key is held to the window bound of [`RateLimiter`](crate::RateLimiter), and counts in the
/// same units. Moving, forgetting and coming back give no key more than its exact bucket would
/// have granted. [`remove`](KeyedRateLimiter::remove), [`clear`](KeyedRateLimiter::clear) and
/// [`reset`](crate::Bucket::reset) do: they are meant to. With [`Quota::initial`] below the
/// burst, a key that was forgotten starts with that amount again.
///
/// Two keys whose hashes agree in 59 bits share a bucket: about one table of ten million keys in
/// ten thousand has such a pair.
///
/// A clock reading that is far ahead is recorded, as by a single limiter. If a key is forgotten
/// because of it, the other keys of its stripe (there are up to 64 stripes) start empty until the
/// clock has caught up. [`reset`](crate::Bucket::reset) cures one key,
/// [`clear`](KeyedRateLimiter::clear) all.
///
/// # Blocking
///
/// A call for a known key takes the lock of its stripe only if the key is being moved at that
/// moment, if callers wait on it, or if no slot was found for it, which happens only with a hasher
/// that does not spread keys. A call that finds its key outside its first place tries the lock, and
/// moves the key if it gets it. A new key takes the lock for a fraction of a microsecond. While the
/// table grows, such calls also divide up to five groups of eight slots, each under the lock of its
/// stripe, after they have looked at up to eight groups for buckets to forget. If the table is full,
/// a new key looks at 32 groups besides its own. If more than seven of eight slots are taken, a new
/// key waits for the thread that makes the table grow.
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
/// // Behind a proxy, and for IPv6: see the chapter "Proxies and IPv6" of the guide.
/// let client: IpAddr = "192.0.2.7".parse().unwrap();
/// assert!((0..5).all(|_| LOGINS.allow(&client)));
/// assert!(!LOGINS.allow(&client));
///
/// let by_name = KeyedRateLimiter::<String>::new(Quota::per_second(10));
/// assert!(by_name.allow("alice")); // no String is made
/// ```
pub struct KeyedRateLimiter<K: ?Sized, C = QuantaClock, S = SipState> {
    pub(super) buckets: Arc<Buckets<C>>,
    hasher: S,
    /// Covariant: references of any lifetime are keys of a limiter of `'static` references.
    keys: PhantomData<fn() -> *const K>,
}

impl<K: ?Sized, C, S> KeyedRateLimiter<K, C, S> {
    pub(super) fn from_parts(buckets: Buckets<C>, hasher: S) -> Self {
        KeyedRateLimiter { buckets: Arc::new(buckets), hasher, keys: PhantomData }
    }

    /// Returns the number of known keys: those in use, and those whose bucket is full but not yet
    /// forgotten. An estimate while other threads bring new keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buckets.table.keys() as usize
    }

    /// Returns whether no key is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the most keys that can be known at once.
    #[must_use]
    pub fn max_keys(&self) -> usize {
        self.buckets.table.max_keys() as usize
    }

    /// Returns the bytes in use: those of the groups of slots that have been used so far, of the
    /// stripes, and of keys in no slot. The operating system provides about as much, if it
    /// provides small pages as they are first used. (With transparent huge pages `always` on, it
    /// provides 2 MB at a time.)
    #[must_use]
    pub fn memory_usage(&self) -> usize {
        self.buckets.table.memory_usage() as usize
    }

    /// Returns the most bytes that will ever be in use, whatever the hasher does: 25 to 46 for each of
    /// [`max_keys`](KeyedRateLimiter::max_keys), and a few kilobytes. Not included are
    /// waiters (up to a kilobyte for a key that callers wait on, and sixty bytes for each waiter) and
    /// statistics, if the limiter counts (four kilobytes, and those of
    /// [`top_denied`](crate::KeyedRateLimiterBuilder::top_denied)).
    #[must_use]
    pub fn memory_limit(&self) -> usize {
        self.buckets.table.memory_limit() as usize
    }

    /// Returns the number of buckets in use that were forgotten for new keys.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.buckets.table.events(FullEvent::Evicted)
    }

    /// Returns the number of calls that were refused because their key was new and the table full.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.buckets.table.events(FullEvent::Refused)
    }

    /// Returns the statistics of all keys since the limiter was built, or since the last
    /// [`take_stats`](KeyedRateLimiter::take_stats); `None` unless the builder was asked for
    /// [`stats`](crate::KeyedRateLimiterBuilder::stats). Takes the lock of each stripe for a moment.
    #[must_use]
    pub fn stats(&self) -> Option<Stats> {
        self.buckets.stats.read(|| Some(self.buckets.key_stats()))
    }

    /// Returns the statistics as [`stats`](KeyedRateLimiter::stats) does, and begins anew. No call is lost
    /// between two reads: their sums are the totals.
    pub fn take_stats(&self) -> Option<Stats> {
        self.buckets.stats.take(|| Some(self.buckets.key_stats()))
    }

    /// Returns the number of keys that callers wait on, or waited on a moment ago. All of them count
    /// towards [`max_waiting_keys`](crate::KeyedRateLimiterBuilder::max_waiting_keys); a key without waiters
    /// stops to count with the next operation on it.
    #[must_use]
    pub fn waiting_keys(&self) -> usize {
        self.buckets.table.waiting_keys() as usize
    }

    /// Returns the quota of each key: the last one that was set.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.buckets.quota()
    }

    /// Returns the clock.
    #[must_use]
    pub fn clock(&self) -> &C {
        self.buckets.clock()
    }

    /// Returns the hasher of keys.
    #[must_use]
    pub const fn hasher(&self) -> &S {
        &self.hasher
    }

    /// Forgets all keys and what they have taken. Keys that come while this runs may stay. The
    /// memory is kept for new keys.
    pub fn clear(&self) {
        self.buckets.table.clear();
    }
}

impl<K: ?Sized, C: Clock, S> KeyedRateLimiter<K, C, S> {
    #[inline]
    pub(super) fn live(&self) -> TimeSource<'_, C> {
        TimeSource::clock(self.buckets.clock())
    }

    /// Forgets every key whose bucket is full, and returns the number of those. This is never
    /// needed: slots of full buckets are reused. It makes [`len`](Self::len) exact, unless other calls
    /// move keys meanwhile.
    pub fn retain_recent(&self) -> usize {
        self.buckets.table.retain_recent(self.live()) as usize
    }

    /// Copies the terms now, and forgets full buckets of the first group when it is called.
    #[cfg(brimful_loom)]
    pub fn sweep_later(&self) -> impl FnOnce() -> u64 {
        self.buckets.table.sweep_later(0, self.live())
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

//! [`KeyedRateLimiterBuilder`], and the constructors of [`KeyedRateLimiter`].

use std::borrow::Cow;
use std::fmt;
use std::hash::BuildHasher;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::hasher::SipState;
use super::limiter::KeyedRateLimiter;
use crate::cell::QuotaCell;
use crate::clock::{Clock, QuantaClock, Timer};
use crate::error::{BuildError, BuildErrorKind};
use crate::limiter::state::{BACKGROUND, Buckets};
use crate::queue::TimerFactory;
use crate::quota::Quota;
use crate::stats::{Recording, StatsOptions};
use crate::table::{FullEvent, MOST_KEYS, OnFull, Table, TableConfig, Waiters, keys_within, memory_limit};

impl<K: ?Sized> KeyedRateLimiter<K> {
    /// Returns a limiter on the process's clock, with the default hasher, for up to a million keys.
    ///
    /// # Panics
    ///
    /// As [`with_clock`](KeyedRateLimiter::with_clock).
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        KeyedRateLimiter::with_clock(quota, QuantaClock)
    }

    /// Returns a builder, with the process's clock and the default hasher by default.
    pub fn builder() -> KeyedRateLimiterBuilder<K> {
        KeyedRateLimiterBuilder::new()
    }
}

impl<K: ?Sized, C: Clock> KeyedRateLimiter<K, C> {
    /// Returns a limiter on this clock, with the default hasher, for up to a million keys.
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

/// A builder of a [`KeyedRateLimiter`]. Only [`quota`](Self::quota) is required.
///
/// # Examples
///
/// ```
/// use brimful::{KeyedRateLimiter, OnFull, Quota};
///
/// let limiter = KeyedRateLimiter::<u64>::builder()
///     .quota(Quota::per_minute(60).burst(10))
///     .max_keys(100_000)
///     .on_full(OnFull::Deny)
///     .build()?;
/// assert!(limiter.allow(&42));
/// assert!(limiter.memory_limit() < 100_000 * 64);
/// # Ok::<(), brimful::BuildError>(())
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct KeyedRateLimiterBuilder<K: ?Sized, C = QuantaClock, S = SipState> {
    quota: Option<Quota>,
    highest: Option<Quota>,
    size: Size,
    forget_after: Duration,
    on_full: OnFull,
    hook: Option<crate::table::Hook>,
    background: u8,
    clock: C,
    hasher: S,
    waiters: Waiters,
    stats: StatsOptions,
    keys: PhantomData<fn() -> *const K>,
}

/// The most waiters on one key by default, and the most keys with waiters.
const MAX_WAITERS: (u32, u64) = (1 << 16, 1 << 17);

#[derive(Clone, Copy, Debug)]
enum Size {
    Keys(u64),
    Bytes(u64),
}

/// The default: 34 MB of slots.
pub(super) const MAX_KEYS: u64 = 1_000_000;

/// The time for which a bucket that is not used is remembered after it is full.
const FORGET_AFTER: Duration = Duration::from_secs(10);

impl<K: ?Sized> KeyedRateLimiterBuilder<K> {
    pub(super) fn new() -> Self {
        KeyedRateLimiterBuilder {
            quota: None,
            highest: None,
            size: Size::Keys(MAX_KEYS),
            forget_after: FORGET_AFTER,
            on_full: OnFull::default(),
            hook: None,
            background: BACKGROUND,
            clock: QuantaClock,
            hasher: SipState::new(),
            waiters: Waiters { each: MAX_WAITERS.0, keys: MAX_WAITERS.1, timer: None },
            stats: StatsOptions::OFF,
            keys: PhantomData,
        }
    }
}

impl<K: ?Sized, C: Clock, S> KeyedRateLimiterBuilder<K, C, S> {
    /// Sets the quota of each key. Required.
    pub fn quota(self, quota: Quota) -> Self {
        KeyedRateLimiterBuilder { quota: Some(quota), ..self }
    }

    /// Sets the highest quota that [`set_quota`](KeyedRateLimiter::set_quota) may set: by default that of
    /// each key. As for [`RateLimiterBuilder::up_to`](crate::RateLimiterBuilder::up_to).
    pub fn up_to(self, highest: Quota) -> Self {
        KeyedRateLimiterBuilder { highest: Some(highest), ..self }
    }

    /// Sets the most keys that the limiter remembers at once: a million by default. A key counts until
    /// it is forgotten.
    pub fn max_keys(self, keys: usize) -> Self {
        KeyedRateLimiterBuilder { size: Size::Keys(keys as u64), ..self }
    }

    /// Sets the most keys to the number that fits in this many bytes, in place of
    /// [`max_keys`](Self::max_keys): one for every 25 to 46 bytes, after a few kilobytes. The number of slots is
    /// a power of two, so 43 MB and 75 MB hold the same number of keys. What
    /// [`memory_limit`](KeyedRateLimiter::memory_limit) does not include comes on top.
    pub fn max_bytes(self, bytes: usize) -> Self {
        KeyedRateLimiterBuilder { size: Size::Bytes(bytes as u64), ..self }
    }

    /// Sets how long a bucket is remembered after it is full again, if it is not used: 10 s by
    /// default. Memory follows the keys that were used within this time and the time that their
    /// buckets take to refill. If the table is at its limit, a full bucket is forgotten for a new
    /// key at once.
    ///
    /// Forgetting a key never grants it more. It grants less to a reading from before that time, and to
    /// a key that then starts with less: if [`Quota::initial`] is below the burst, or if a full table has
    /// evicted other keys.
    pub fn forget_after(self, idle: Duration) -> Self {
        KeyedRateLimiterBuilder { forget_after: idle, ..self }
    }

    /// Sets the policy for a new key if all buckets are in use: [`OnFull::EvictLeastDebt`] by default.
    pub fn on_full(self, on_full: OnFull) -> Self {
        KeyedRateLimiterBuilder { on_full, ..self }
    }

    /// Sets a function that is called after a full table evicted or refused a key, on the calling
    /// thread, with no lock held: to count or to log, not to wait. If the hook panics, the decision stands, but
    /// [`stats`](Self::stats) do not count the call.
    pub fn on_full_hook(self, hook: impl Fn(FullEvent) + Send + Sync + 'static) -> Self {
        KeyedRateLimiterBuilder { hook: Some(Arc::new(hook)), ..self }
    }

    /// Sets the tokens that [`background`](crate::Bucket::background) work leaves in the bucket, in
    /// percent of the burst: 20 by default. At 100 or more, such work takes nothing.
    pub fn background_leaves(self, percent: u8) -> Self {
        KeyedRateLimiterBuilder { background: percent, ..self }
    }

    /// Sets the clock that the limiter reads.
    pub fn clock<D: Clock>(self, clock: D) -> KeyedRateLimiterBuilder<K, D, S> {
        KeyedRateLimiterBuilder {
            clock,
            quota: self.quota,
            highest: self.highest,
            size: self.size,
            forget_after: self.forget_after,
            on_full: self.on_full,
            hook: self.hook,
            background: self.background,
            hasher: self.hasher,
            waiters: self.waiters,
            stats: self.stats,
            keys: PhantomData,
        }
    }

    /// Sets the hasher of keys. The default, [`SipState`], is for keys that strangers choose: they
    /// cannot find keys that share a slot. For keys that you choose yourself, a faster hasher saves
    /// about a third of a call's instructions:
    ///
    /// ```
    /// use brimful::{KeyedRateLimiter, Quota};
    /// # type AHash = std::hash::RandomState; // stands for `ahash::RandomState`
    ///
    /// // With `ahash = "0.8"` or `foldhash = "0.2"` among the dependencies:
    /// let tenants = KeyedRateLimiter::<u64>::builder()
    ///     .quota(Quota::per_second(100))
    ///     .hasher(AHash::default()) // ahash::RandomState, foldhash::quality::RandomState
    ///     .build()?;
    /// assert!(tenants.allow(&7));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn hasher<T: BuildHasher>(self, hasher: T) -> KeyedRateLimiterBuilder<K, C, T> {
        KeyedRateLimiterBuilder {
            hasher,
            quota: self.quota,
            highest: self.highest,
            size: self.size,
            forget_after: self.forget_after,
            on_full: self.on_full,
            hook: self.hook,
            background: self.background,
            clock: self.clock,
            waiters: self.waiters,
            stats: self.stats,
            keys: PhantomData,
        }
    }

    /// Sets the most waiters on one key at a time: 65 536 by default. Further calls are refused with
    /// [`AcquireError::QueueFull`](crate::AcquireError::QueueFull).
    pub fn max_waiters(self, each: usize) -> Self {
        let each = u32::try_from(each).unwrap_or(u32::MAX);
        KeyedRateLimiterBuilder { waiters: Waiters { each, ..self.waiters }, ..self }
    }

    /// Sets the most keys that callers may wait on at a time: 131 072 by default. Waits on further keys
    /// are refused with [`AcquireError::QueueFull`](crate::AcquireError::QueueFull). A key takes up to
    /// a kilobyte for as long as callers wait on it.
    pub fn max_waiting_keys(self, keys: usize) -> Self {
        KeyedRateLimiterBuilder { waiters: Waiters { keys: keys as u64, ..self.waiters }, ..self }
    }

    /// Sets the timer that wakes waiters, on all keys. `make` is called at the first wait, and again
    /// after a timer panicked. By default, the clock's own timer is used if it has one, and the
    /// [default timer](Timer) if not.
    pub fn timer<T: Timer + 'static>(self, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        let timer = Some(TimerFactory::new(make));
        KeyedRateLimiterBuilder { waiters: Waiters { timer, ..self.waiters }, ..self }
    }

    /// Makes the limiter count its calls over all keys, for [`KeyedRateLimiter::stats`]. By default it does
    /// not. As for [`RateLimiterBuilder::stats`](crate::RateLimiterBuilder::stats).
    pub fn stats(self) -> Self {
        KeyedRateLimiterBuilder { stats: self.stats.on(), ..self }
    }

    /// Makes the limiter count the denials of each key in fixed memory, to name the `keys` with the most of them, for
    /// [`KeyedRateLimiter::top_denied`]; at most 100. Turns [`stats`](Self::stats) on. The counts take about 100 bytes
    /// for each of `keys`. A denial takes longer by a search of four places for each of them, and waits for no other.
    pub fn top_denied(self, keys: usize) -> Self {
        let stats = StatsOptions { top_denied: Some(keys), ..self.stats.on() };
        KeyedRateLimiterBuilder { stats, ..self }
    }

    /// Sets the name of the policy, as [`RateLimiterBuilder::name`](crate::RateLimiterBuilder::name).
    pub fn name(self, name: impl Into<Cow<'static, str>>) -> Self {
        KeyedRateLimiterBuilder { stats: self.stats.named(name.into()), ..self }
    }

    /// Returns the limiter, without keys.
    ///
    /// # Errors
    ///
    /// If no quota was given or it is above the highest, if there is room for no key or for more than 2³¹, or
    /// if the memory cannot be reserved.
    pub fn build(self) -> Result<KeyedRateLimiter<K, C, S>, BuildError> {
        let quota = self.quota.ok_or(BuildError(BuildErrorKind::NoQuota))?;
        let stats = Recording::new(&self.stats, quota);
        let buckets =
            Buckets { table: self.table(quota, self.highest)?, background: self.background, stats, clock: self.clock };
        Ok(KeyedRateLimiter::from_parts(buckets, self.hasher))
    }

    /// Returns a table for this quota.
    fn table(&self, quota: Quota, highest: Option<Quota>) -> Result<Table, BuildError> {
        let error = |kind| Err(BuildError(kind));
        let max_keys = match self.size {
            Size::Keys(0) => return error(BuildErrorKind::NoKeys),
            Size::Keys(asked) if asked > MOST_KEYS => {
                return error(BuildErrorKind::TooManyKeys { asked, most: MOST_KEYS });
            }
            Size::Keys(keys) => keys,
            Size::Bytes(asked) if asked > memory_limit(MOST_KEYS) => {
                return error(BuildErrorKind::TooManyBytes { asked, most: memory_limit(MOST_KEYS) });
            }
            Size::Bytes(asked) => match keys_within(asked) {
                0 => return error(BuildErrorKind::TooFewBytes { asked, least: memory_limit(1) }),
                keys => keys,
            },
        };
        let cell = match QuotaCell::new(highest.unwrap_or(quota), quota) {
            Ok(cell) => cell,
            Err(above) => return error(BuildErrorKind::AboveHighest(above)),
        };
        let config = TableConfig {
            quota: cell,
            initial: quota.initial_amount(),
            max_keys,
            forget_after: u64::try_from(self.forget_after.as_nanos()).unwrap_or(u64::MAX),
            on_full: self.on_full,
            hook: self.hook.clone(),
            waiters: self.waiters.clone(),
        };
        Table::new(config).ok_or(BuildError(BuildErrorKind::NoMemory { bytes: memory_limit(max_keys) }))
    }
}

/// For a limiter of several quotas.
impl<K: ?Sized, C: Clock + Clone, S> KeyedRateLimiterBuilder<K, C, S> {
    /// Returns buckets for this quota.
    pub(crate) fn buckets(&self, quota: Quota, highest: Quota) -> Result<Buckets<C>, BuildError> {
        let (table, clock) = (self.table(quota, Some(highest))?, self.clock.clone());
        Ok(Buckets { table, background: self.background, stats: Recording::OFF, clock })
    }

    pub(crate) fn into_hasher(self) -> S {
        self.hasher
    }
}

impl<K: ?Sized, C, S> fmt::Debug for KeyedRateLimiterBuilder<K, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedRateLimiterBuilder")
            .field("quota", &self.quota.map(|quota| quota.to_string()))
            .field("size", &self.size)
            .field("on_full", &self.on_full)
            .finish_non_exhaustive()
    }
}

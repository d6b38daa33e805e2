//! [`KeyedRateLimiterBuilder`].

use std::fmt;
use std::hash::BuildHasher;
use std::marker::PhantomData;
use std::time::Duration;

use super::{Buckets, KeyedRateLimiter, SipState};
#[cfg(feature = "wait")]
use crate::clock::Timer;
use crate::clock::{Clock, QuantaClock};
use crate::error::{BuildError, BuildErrorKind};
use crate::limiter::leaving::BACKGROUND;
use crate::quota::Quota;
#[cfg(feature = "wait")]
use crate::table::Waiters;
use crate::table::{FullEvent, MOST_KEYS, OnFull, Table, TableConfig, keys_within, memory_limit};
#[cfg(feature = "wait")]
use crate::wait::MakeTimer;

/// Builds a [`KeyedRateLimiter`] from parts.
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
    size: Size,
    forget_after: Duration,
    on_full: OnFull,
    hook: Option<crate::table::Hook>,
    background: u8,
    clock: C,
    hasher: S,
    #[cfg(feature = "wait")]
    waiters: Waiters,
    keys: PhantomData<fn(&K)>,
}

/// The most who wait on one key unless told otherwise, and the most keys that are waited on.
#[cfg(feature = "wait")]
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

impl<K: ?Sized> KeyedRateLimiter<K> {
    /// A builder, on the process's clock and with the default hasher unless told otherwise.
    pub fn builder() -> KeyedRateLimiterBuilder<K> {
        KeyedRateLimiterBuilder {
            quota: None,
            size: Size::Keys(MAX_KEYS),
            forget_after: FORGET_AFTER,
            on_full: OnFull::default(),
            hook: None,
            background: BACKGROUND,
            clock: QuantaClock,
            hasher: SipState::new(),
            #[cfg(feature = "wait")]
            waiters: Waiters { each: MAX_WAITERS.0, keys: MAX_WAITERS.1, timer: None },
            keys: PhantomData,
        }
    }
}

impl<K: ?Sized, C: Clock, S> KeyedRateLimiterBuilder<K, C, S> {
    /// What each key is held to. Required.
    pub fn quota(self, quota: Quota) -> Self {
        KeyedRateLimiterBuilder { quota: Some(quota), ..self }
    }

    /// The most keys that the limiter remembers at once, a million without this. A key counts
    /// until it is forgotten.
    pub fn max_keys(self, keys: u64) -> Self {
        KeyedRateLimiterBuilder { size: Size::Keys(keys), ..self }
    }

    /// As many keys as fit in this many bytes, in place of [`max_keys`](Self::max_keys): one for
    /// every 25 to 46 bytes, after a few kilobytes. The number of slots is a power of two, so 43 MB
    /// and 75 MB hold the same number of keys.
    pub fn max_bytes(self, bytes: u64) -> Self {
        KeyedRateLimiterBuilder { size: Size::Bytes(bytes), ..self }
    }

    /// How long a bucket is remembered after it is full again, if it is not used: 10 s without
    /// this. Memory follows the keys that were used within this time and the time that their
    /// buckets take to refill. If the table is at its limit, a full bucket is forgotten for a new
    /// key at once.
    ///
    /// Forgetting never grants more. It grants less to a reading from before that time, and to a key
    /// that then starts with less: if [`Quota::initial`] is below the burst, or if a full table has
    /// evicted other keys.
    pub fn forget_after(self, idle: Duration) -> Self {
        KeyedRateLimiterBuilder { forget_after: idle, ..self }
    }

    /// What becomes of a new key when all are in use. Without this,
    /// [`OnFull::EvictLeastDebt`].
    pub fn on_full(self, on_full: OnFull) -> Self {
        KeyedRateLimiterBuilder { on_full, ..self }
    }

    /// Called after a full table evicted or refused a key, on the calling thread, with no lock held:
    /// to count or to log, not to wait. The decision stands if the hook panics.
    pub fn on_full_hook(self, hook: impl Fn(FullEvent) + Send + Sync + 'static) -> Self {
        KeyedRateLimiterBuilder { hook: Some(Box::new(hook)), ..self }
    }

    /// What [`background`](KeyedRateLimiter::background) work leaves in the bucket, in percent of the
    /// burst: a fifth without this. At 100 or more, it takes nothing.
    pub fn background_leaves(self, percent: u8) -> Self {
        KeyedRateLimiterBuilder { background: percent, ..self }
    }

    /// The clock that the limiter reads.
    pub fn clock<D: Clock>(self, clock: D) -> KeyedRateLimiterBuilder<K, D, S> {
        KeyedRateLimiterBuilder {
            clock,
            quota: self.quota,
            size: self.size,
            forget_after: self.forget_after,
            on_full: self.on_full,
            hook: self.hook,
            background: self.background,
            hasher: self.hasher,
            #[cfg(feature = "wait")]
            waiters: self.waiters,
            keys: PhantomData,
        }
    }

    /// The hasher of keys. The default, [`SipState`], is for keys that strangers choose: they
    /// cannot find keys that share a place. For keys that you choose yourself, a faster hasher
    /// saves about a third of a call's instructions:
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
            size: self.size,
            forget_after: self.forget_after,
            on_full: self.on_full,
            hook: self.hook,
            background: self.background,
            clock: self.clock,
            #[cfg(feature = "wait")]
            waiters: self.waiters,
            keys: PhantomData,
        }
    }

    /// The most who may wait on one key at a time, 65 536 without this; more are refused with
    /// [`AcquireError::QueueFull`](crate::AcquireError::QueueFull).
    #[cfg(feature = "wait")]
    pub fn max_waiters(self, each: u32) -> Self {
        KeyedRateLimiterBuilder { waiters: Waiters { each, ..self.waiters }, ..self }
    }

    /// The most keys that may be waited on at a time, 131 072 without this; those who would wait on
    /// more are refused with [`AcquireError::QueueFull`](crate::AcquireError::QueueFull). Such a
    /// key takes up to a kilobyte for as long as somebody waits on it.
    #[cfg(feature = "wait")]
    pub fn max_waiting_keys(self, keys: u64) -> Self {
        KeyedRateLimiterBuilder { waiters: Waiters { keys, ..self.waiters }, ..self }
    }

    /// What wakes those who wait, on whichever key: is called for the first of them, and again where
    /// a timer panicked. Without this the clock's own timer, if it has one, or one of async-io's.
    #[cfg(feature = "wait")]
    pub fn timer<T: Timer + 'static>(self, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        let timer = Some(MakeTimer::new(make));
        KeyedRateLimiterBuilder { waiters: Waiters { timer, ..self.waiters }, ..self }
    }

    /// The limiter, without keys.
    ///
    /// # Errors
    ///
    /// Where no quota was given, there is room for no key or for more than 2³¹, or the memory
    /// cannot be reserved.
    pub fn build(self) -> Result<KeyedRateLimiter<K, C, S>, BuildError> {
        let error = |kind| Err(BuildError(kind));
        let Some(quota) = self.quota else { return error(BuildErrorKind::NoQuota) };
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
        let (on_full, hook) = (self.on_full, self.hook);
        let config = TableConfig {
            layout: *quota.layout(),
            initial: quota.initial_amount(),
            max_keys,
            forget_after: u64::try_from(self.forget_after.as_nanos()).unwrap_or(u64::MAX),
            on_full,
            hook,
            #[cfg(feature = "wait")]
            waiters: self.waiters,
        };
        let Some(table) = Table::new(config) else {
            return error(BuildErrorKind::NoMemory { bytes: memory_limit(max_keys) });
        };
        let buckets = Buckets { table, quota, background: self.background, clock: self.clock };
        Ok(KeyedRateLimiter { buckets, hasher: self.hasher, keys: PhantomData })
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

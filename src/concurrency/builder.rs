//! [`ConcurrencyLimitBuilder`] and [`KeyedConcurrencyLimitBuilder`].

use std::fmt;
use std::hash::BuildHasher;
use std::marker::PhantomData;

use crate::clock::{Clock, QuantaClock, Timer};
use crate::limiter::SipState;
use crate::queue::{TimerFactory, WaitConfig};
use crate::stats::{Recording, StatsOptions};

use super::keyed::KeyedConcurrencyLimit;
use super::state::ConcurrencyLimit;

/// The setters that both builders have.
macro_rules! queue_options {
    () => {
        /// Sets the most waiters at a time, on each key if there are keys: 1 048 576 by default. Further calls
        /// are refused with [`AcquirePermitError::QueueFull`](crate::AcquirePermitError::QueueFull). A waiter
        /// takes about 70 bytes besides its own future.
        pub fn max_waiters(self, most: usize) -> Self {
            let max_waiters = Some(u32::try_from(most).unwrap_or(u32::MAX));
            Self { max_waiters, ..self }
        }

        /// Sets the timer that wakes waiters at their deadlines. `make` is called at the first wait with a
        /// deadline, and again after a timer panicked. By default, the clock's own timer is used if it has one,
        /// and the [default timer](Timer) if not.
        pub fn timer<T: Timer + 'static>(self, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
            Self { timer: Some(TimerFactory::new(make)), ..self }
        }

        /// Makes the limit count its calls, on all keys if there are keys, for `stats()`. By default it does not. As
        /// for [`RateLimiterBuilder::stats`](crate::RateLimiterBuilder::stats).
        pub fn stats(self) -> Self {
            Self { stats: self.stats.on(), ..self }
        }
    };
}

/// A builder of a [`ConcurrencyLimit`].
///
/// # Examples
///
/// ```
/// use brimful::{ConcurrencyLimit, MockClock};
///
/// let limit = ConcurrencyLimit::builder(10).clock(MockClock::new()).max_waiters(100).build();
/// assert!(limit.try_acquire().is_ok());
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct ConcurrencyLimitBuilder<C = QuantaClock> {
    limit: usize,
    clock: C,
    max_waiters: Option<u32>,
    timer: Option<TimerFactory>,
    stats: StatsOptions,
}

impl ConcurrencyLimit {
    /// Returns a builder of a limit of `limit` permits, with the process's clock by default.
    pub const fn builder(limit: usize) -> ConcurrencyLimitBuilder {
        ConcurrencyLimitBuilder { limit, clock: QuantaClock, max_waiters: None, timer: None, stats: StatsOptions::OFF }
    }
}

impl<C: Clock> ConcurrencyLimitBuilder<C> {
    queue_options!();

    /// Sets the clock of the deadlines.
    pub fn clock<D: Clock>(self, clock: D) -> ConcurrencyLimitBuilder<D> {
        let ConcurrencyLimitBuilder { limit, max_waiters, timer, stats, .. } = self;
        ConcurrencyLimitBuilder { limit, clock, max_waiters, timer, stats }
    }

    /// Returns the limit.
    #[must_use]
    pub fn build(self) -> ConcurrencyLimit<C> {
        let recording = Recording::new(&self.stats, "concurrency");
        ConcurrencyLimit::with_config(self.limit, WaitConfig::new(self.max_waiters, self.timer), recording, self.clock)
    }
}

impl<C> fmt::Debug for ConcurrencyLimitBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLimitBuilder").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// A builder of a [`KeyedConcurrencyLimit`].
///
/// # Examples
///
/// ```
/// use brimful::KeyedConcurrencyLimit;
///
/// let uploads = KeyedConcurrencyLimit::<u64>::builder(4).max_waiters(16).build();
/// assert!(uploads.try_acquire(&42).is_ok());
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct KeyedConcurrencyLimitBuilder<K: ?Sized, C = QuantaClock, S = SipState> {
    limit: usize,
    clock: C,
    hasher: S,
    max_waiters: Option<u32>,
    timer: Option<TimerFactory>,
    stats: StatsOptions,
    keys: PhantomData<fn() -> *const K>,
}

impl<K: ?Sized> KeyedConcurrencyLimit<K> {
    /// Returns a builder of a limit of `limit` permits for each key, with the process's clock and the default
    /// hasher by default.
    pub fn builder(limit: usize) -> KeyedConcurrencyLimitBuilder<K> {
        let (clock, hasher) = (QuantaClock, SipState::new());
        KeyedConcurrencyLimitBuilder {
            limit,
            clock,
            hasher,
            max_waiters: None,
            timer: None,
            stats: StatsOptions::OFF,
            keys: PhantomData,
        }
    }
}

impl<K: ?Sized, C: Clock, S> KeyedConcurrencyLimitBuilder<K, C, S> {
    queue_options!();

    /// Sets the clock of the deadlines.
    pub fn clock<D: Clock>(self, clock: D) -> KeyedConcurrencyLimitBuilder<K, D, S> {
        let KeyedConcurrencyLimitBuilder { limit, hasher, max_waiters, timer, stats, keys, .. } = self;
        KeyedConcurrencyLimitBuilder { limit, clock, hasher, max_waiters, timer, stats, keys }
    }

    /// Sets the hasher of keys. The default, [`SipState`], is for keys that strangers choose: they cannot find
    /// keys that share a limit.
    pub fn hasher<T: BuildHasher>(self, hasher: T) -> KeyedConcurrencyLimitBuilder<K, C, T> {
        let KeyedConcurrencyLimitBuilder { limit, clock, max_waiters, timer, stats, keys, .. } = self;
        KeyedConcurrencyLimitBuilder { limit, clock, hasher, max_waiters, timer, stats, keys }
    }

    /// Returns the limit, without keys.
    #[must_use]
    pub fn build(self) -> KeyedConcurrencyLimit<K, C, S> {
        let config = WaitConfig::new(self.max_waiters, self.timer);
        let recording = Recording::new(&self.stats, "concurrency");
        KeyedConcurrencyLimit::from_parts(self.limit, config, recording, self.clock, self.hasher)
    }
}

impl<K: ?Sized, C, S> fmt::Debug for KeyedConcurrencyLimitBuilder<K, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedConcurrencyLimitBuilder").field("limit", &self.limit).finish_non_exhaustive()
    }
}

//! [`KeyedCompositeLimiterBuilder`], and the constructors of [`KeyedCompositeLimiter`].

use std::borrow::Cow;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use super::highest::HighestQuotas;
use super::holder::KeyedLimits;
use super::hook::FullHook;
use super::keyed::KeyedCompositeLimiter;
use super::limits::SharedClock;
use crate::clock::{Clock, QuantaClock, Timer};
use crate::error::{BuildError, BuildErrorKind};
use crate::limiter::{KeyedRateLimiter, KeyedRateLimiterBuilder, SipState};
use crate::queue::{TimerFactory, WaitConfig};
use crate::quota::{Quota, Quotas};
use crate::stats::{Recording, StatsOptions};
use crate::table::{FullEvent, OnFull};

impl<K: ?Sized> KeyedCompositeLimiter<K> {
    /// Returns a builder, with the process's clock and the default hasher by default.
    pub fn builder() -> KeyedCompositeLimiterBuilder<K> {
        KeyedCompositeLimiterBuilder::new()
    }

    /// Returns a limiter on the process's clock, with the default hasher, for up to a million keys.
    ///
    /// # Errors
    ///
    /// If the memory cannot be reserved: 34 megabytes for each quota.
    pub fn new(quotas: Quotas) -> Result<Self, BuildError> {
        KeyedCompositeLimiter::builder().quotas(quotas).build()
    }
}

/// A builder of a [`KeyedCompositeLimiter`]. Only [`quotas`](Self::quotas) is required. The other settings are
/// those of a [`KeyedRateLimiterBuilder`], and hold for each quota's table.
#[must_use = "a builder does nothing until `build`"]
pub struct KeyedCompositeLimiterBuilder<K: ?Sized, C = QuantaClock, S = SipState> {
    quotas: Option<Quotas>,
    highest: HighestQuotas,
    hook: Option<Arc<FullHook>>,
    clock: SharedClock<C>,
    each: KeyedRateLimiterBuilder<K, SharedClock<C>, S>,
    max_waiters: u32,
    max_waiting_keys: u64,
    timer: Option<TimerFactory>,
    stats: StatsOptions,
}

impl<K: ?Sized> KeyedCompositeLimiterBuilder<K> {
    pub(super) fn new() -> Self {
        let clock = Arc::new(QuantaClock);
        KeyedCompositeLimiterBuilder {
            quotas: None,
            highest: HighestQuotas::NONE,
            hook: None,
            each: KeyedRateLimiter::builder().clock(clock.clone()),
            clock,
            max_waiters: 1 << 16,
            max_waiting_keys: 1 << 17,
            timer: None,
            stats: StatsOptions::OFF,
        }
    }
}

impl<K: ?Sized, C: Clock, S> KeyedCompositeLimiterBuilder<K, C, S> {
    /// Sets the quotas of each key. Required.
    pub fn quotas(self, quotas: Quotas) -> Self {
        KeyedCompositeLimiterBuilder { quotas: Some(quotas), ..self }
    }

    /// Sets the highest quota that [`set_quota`](KeyedCompositeLimiter::set_quota) may set for the limit with this
    /// name: by default its first one. As for [`CompositeLimiterBuilder::up_to`](crate::CompositeLimiterBuilder::up_to).
    pub fn up_to(self, limit: &str, highest: Quota) -> Self {
        KeyedCompositeLimiterBuilder { highest: self.highest.with(limit, highest), ..self }
    }

    /// As [`KeyedRateLimiterBuilder::max_keys`].
    pub fn max_keys(self, keys: usize) -> Self {
        KeyedCompositeLimiterBuilder { each: self.each.max_keys(keys), ..self }
    }

    /// As [`KeyedRateLimiterBuilder::max_bytes`], for each table.
    pub fn max_bytes(self, bytes: usize) -> Self {
        KeyedCompositeLimiterBuilder { each: self.each.max_bytes(bytes), ..self }
    }

    /// As [`KeyedRateLimiterBuilder::forget_after`].
    pub fn forget_after(self, idle: Duration) -> Self {
        KeyedCompositeLimiterBuilder { each: self.each.forget_after(idle), ..self }
    }

    /// As [`KeyedRateLimiterBuilder::on_full`].
    pub fn on_full(self, on_full: OnFull) -> Self {
        KeyedCompositeLimiterBuilder { each: self.each.on_full(on_full), ..self }
    }

    /// Sets a function that is called for each bucket that a full table evicted, and each call that it refused: by a
    /// call on any key, when it is decided, or by the thread that serves the waiters. No lock is held. It is to count
    /// or to log, not to wait. If the hook panics, the decision stands, but [`stats`](Self::stats) do not count the call.
    ///
    /// If several tables evict or refuse a key, it is called for each of them.
    pub fn on_full_hook(self, hook: impl Fn(FullEvent) + Send + Sync + 'static) -> Self {
        let hook = FullHook::new(hook);
        let kept = hook.clone();
        let each = self.each.on_full_hook(move |event| kept.keep(event));
        KeyedCompositeLimiterBuilder { each, hook: Some(hook), ..self }
    }

    /// As [`KeyedRateLimiterBuilder::background_leaves`].
    pub fn background_leaves(self, percent: u8) -> Self {
        KeyedCompositeLimiterBuilder { each: self.each.background_leaves(percent), ..self }
    }

    /// Sets the clock that the limiter reads.
    pub fn clock<D: Clock>(self, clock: D) -> KeyedCompositeLimiterBuilder<K, D, S> {
        let clock = Arc::new(clock);
        KeyedCompositeLimiterBuilder {
            quotas: self.quotas,
            highest: self.highest,
            hook: self.hook,
            each: self.each.clock(clock.clone()),
            clock,
            max_waiters: self.max_waiters,
            max_waiting_keys: self.max_waiting_keys,
            timer: self.timer,
            stats: self.stats,
        }
    }

    /// As [`KeyedRateLimiterBuilder::hasher`].
    pub fn hasher<T: BuildHasher>(self, hasher: T) -> KeyedCompositeLimiterBuilder<K, C, T> {
        KeyedCompositeLimiterBuilder {
            quotas: self.quotas,
            highest: self.highest,
            hook: self.hook,
            each: self.each.hasher(hasher),
            clock: self.clock,
            max_waiters: self.max_waiters,
            max_waiting_keys: self.max_waiting_keys,
            timer: self.timer,
            stats: self.stats,
        }
    }

    /// As [`KeyedRateLimiterBuilder::max_waiters`].
    pub fn max_waiters(self, each: usize) -> Self {
        KeyedCompositeLimiterBuilder { max_waiters: u32::try_from(each).unwrap_or(u32::MAX), ..self }
    }

    /// As [`KeyedRateLimiterBuilder::max_waiting_keys`].
    pub fn max_waiting_keys(self, keys: usize) -> Self {
        KeyedCompositeLimiterBuilder { max_waiting_keys: keys as u64, ..self }
    }

    /// As [`KeyedRateLimiterBuilder::timer`].
    pub fn timer<T: Timer + 'static>(self, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        KeyedCompositeLimiterBuilder { timer: Some(TimerFactory::new(make)), ..self }
    }

    /// Makes the limiter count its calls, for [`KeyedCompositeLimiter::stats`]: each once, and the refusals of each limit. By
    /// default it does not. As for [`RateLimiterBuilder::stats`](crate::RateLimiterBuilder::stats).
    pub fn stats(self) -> Self {
        KeyedCompositeLimiterBuilder { stats: self.stats.on(), ..self }
    }

    /// Sets the name of the policy, as [`RateLimiterBuilder::name`](crate::RateLimiterBuilder::name). By default it is
    /// the text of the quotas.
    pub fn name(self, name: impl Into<Cow<'static, str>>) -> Self {
        KeyedCompositeLimiterBuilder { stats: self.stats.named(name.into()), ..self }
    }

    /// Returns the limiter, without keys.
    ///
    /// # Errors
    ///
    /// If no quotas were given, if [`up_to`](Self::up_to) names a limit that there is not, or a quota below the first
    /// one, if there is room for no key or for more than 2³¹, or if the memory cannot be reserved.
    pub fn build(self) -> Result<KeyedCompositeLimiter<K, C, S>, BuildError> {
        let quotas = self.quotas.ok_or(BuildError(BuildErrorKind::NoQuota))?;
        let buckets = |quota, highest| Ok(Arc::new(self.each.buckets(quota, highest)?));
        let limits = self.highest.limits(&quotas, buckets)?;
        let config = WaitConfig::new(Some(self.max_waiters), self.timer);
        let limits = KeyedLimits::new(limits, config, self.max_waiting_keys, self.hook);
        let limits = limits.with_stats(Recording::new(&self.stats, &quotas));
        Ok(KeyedCompositeLimiter::from_parts(limits, quotas, self.clock, self.each.into_hasher()))
    }
}

impl<K: ?Sized, C, S> fmt::Debug for KeyedCompositeLimiterBuilder<K, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedCompositeLimiterBuilder")
            .field("quotas", &self.quotas)
            .field("each", &self.each)
            .finish_non_exhaustive()
    }
}

//! [`RedisRateLimiterBuilder`]: the settings of a limiter.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use brimful::Quotas;

use super::error::{BuildError, Unavailable};
use super::fallback::{FailurePolicy, Fallback};
use super::limiter::RedisRateLimiter;
use super::settings::Settings;
use crate::engine::{Limit, Store};
use crate::redis::RedisStore;

/// The settings of a [`RedisRateLimiter`].
#[must_use = "a builder does nothing until `build`"]
pub struct RedisRateLimiterBuilder<K: ?Sized> {
    quotas: Quotas,
    settings: Settings,
    keys: PhantomData<fn(&K)>,
}

impl<K: fmt::Display + ?Sized> RedisRateLimiter<K, RedisStore> {
    /// Returns a builder of a limiter with these quotas for each key.
    pub fn builder(quotas: impl Into<Quotas>) -> RedisRateLimiterBuilder<K> {
        RedisRateLimiterBuilder { quotas: quotas.into(), settings: Settings::default(), keys: PhantomData }
    }
}

impl<K: fmt::Display + ?Sized> RedisRateLimiterBuilder<K> {
    /// Sets the beginning of the store's keys: `brimful` by default. Limiters with the same prefix share the buckets of
    /// equal keys, so limiters of different purposes need different prefixes, and so does a limiter whose list of quotas
    /// becomes longer or changes its order. (The numbers of a quota may change.)
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.settings.prefix = prefix.into();
        self
    }

    /// Sets the decision on calls if the store is not available: [`FailurePolicy::Deny`] by default.
    pub fn on_failure(mut self, policy: FailurePolicy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// Sets the longest time for a decision: 100 ms by default. After it, the policy decides.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = deadline;
        self
    }

    /// Gives each request an id that the store remembers for this time, so that a request whose reply was lost is
    /// repeated once, within the deadline, and charged once. By default it is not repeated. Each remembered request takes
    /// about as much of the store's memory as a bucket. The time has to be longer than the deadline.
    pub fn repeat_lost(mut self, remembered: Duration) -> Self {
        self.settings.remembered = Some(remembered);
        self
    }

    /// Names the policy, for metrics and events: by default it is called by its quotas. The name is their only label.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = Some(name.into());
        self
    }

    /// Sets a function that is called, on the task of the call, for each call that the store did not decide.
    pub fn on_failure_hook(mut self, hook: impl Fn(&Unavailable) + Send + Sync + 'static) -> Self {
        self.settings.hook = Some(Arc::new(hook));
        self
    }

    /// Returns a limiter on this store.
    ///
    /// # Errors
    ///
    /// Returns an error if a quota cannot be counted in 53 bits, the deadline is zero, or a local share is not possible.
    pub fn build<S: Store>(self, store: S) -> Result<RedisRateLimiter<K, S>, BuildError> {
        let limits = self.quotas.as_slice().iter().map(Limit::new);
        Ok(RedisRateLimiter {
            limits: limits.collect::<Result<_, _>>().map_err(BuildError::Limit)?,
            fallback: Fallback::new(self.settings.policy, &self.quotas)?,
            prefix: self.settings.prefix.clone(),
            requests: self.settings.requests(store, || self.quotas.to_string())?,
            quotas: self.quotas,
            keys: PhantomData,
        })
    }
}

impl<K: ?Sized> fmt::Debug for RedisRateLimiterBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRateLimiterBuilder").field("quotas", &self.quotas).finish_non_exhaustive()
    }
}

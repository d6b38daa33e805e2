//! [`SharedModelLimiterBuilder`]: the settings of a limiter.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use brimful::model::ModelConfig;

use super::dims::Dims;
use super::limiter::{Shared, SharedModelLimiter};
use crate::engine::Store;
use crate::redis::RedisStore;
use crate::shared::{BuildError, FailurePolicy, Settings, Unavailable};

/// The settings of a [`SharedModelLimiter`].
#[must_use = "a builder does nothing until `build`"]
pub struct SharedModelLimiterBuilder {
    config: ModelConfig,
    settings: Settings,
}

impl SharedModelLimiter<RedisStore> {
    /// Returns a builder of a limiter with the quotas of this configuration.
    pub fn builder(config: ModelConfig) -> SharedModelLimiterBuilder {
        let settings = Settings { prefix: "brimful-model".to_owned(), ..Settings::default() };
        SharedModelLimiterBuilder { config, settings }
    }
}

impl SharedModelLimiterBuilder {
    /// Sets the beginning of the store's keys: `brimful-model` by default. Limiters with the same prefix share the buckets
    /// of models with equal names and equal dimensions. (Their numbers may differ, such as while a configuration is rolled
    /// out.)
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.settings.prefix = prefix.into();
        self
    }

    /// Sets the decision on calls if the store is not available: [`FailurePolicy::Deny`] by default. By a
    /// [local share](FailurePolicy::LocalShare), a [`ModelLimiter`](brimful::model::ModelLimiter) of this process decides,
    /// with each limit divided by the number of processes, rounded down, and at least one.
    pub fn on_failure(mut self, policy: FailurePolicy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// Sets the longest time for a decision: 100 ms by default. After it, the policy decides.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = deadline;
        self
    }

    /// As [`RedisRateLimiterBuilder::repeat_lost`](crate::RedisRateLimiterBuilder::repeat_lost).
    pub fn repeat_lost(mut self, remembered: Duration) -> Self {
        self.settings.remembered = Some(remembered);
        self
    }

    /// Names the policy, for metrics and events: by default it is called `limits of models`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = Some(name.into());
        self
    }

    /// Sets a function that is called, on the task of the call, for each call that the store did not decide.
    pub fn on_failure_hook(mut self, hook: impl Fn(&Unavailable) + Send + Sync + 'static) -> Self {
        self.settings.hook = Some(Box::new(hook));
        self
    }

    /// Returns a limiter on this store.
    ///
    /// # Errors
    ///
    /// Returns an error if a number is no limit, or cannot be counted in 53 bits; if a model limits its requests in flight,
    /// which are not shared; and as [`RedisRateLimiterBuilder::build`](crate::RedisRateLimiterBuilder::build).
    pub fn build<S: Store>(self, store: S) -> Result<SharedModelLimiter<S>, BuildError> {
        let SharedModelLimiterBuilder { config, settings } = self;
        let policy = settings.policy.checked()?;
        let made = |name: &str, quota| Dims::new(name, quota).map(Arc::new);
        let models = config.models.iter().map(|(name, quota)| Ok((name.clone(), made(name, *quota)?)));
        Ok(SharedModelLimiter(Arc::new(Shared {
            models: models.collect::<Result<BTreeMap<_, _>, _>>()?,
            default: config.default.map(|quota| made("default", quota)).transpose()?,
            prefix: settings.prefix.clone(),
            policy,
            requests: settings.requests(store, || "limits of models".to_owned())?,
            local: OnceLock::new(),
        })))
    }
}

impl fmt::Debug for SharedModelLimiterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedModelLimiterBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

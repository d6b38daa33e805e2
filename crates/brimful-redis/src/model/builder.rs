//! [`SharedModelLimiterBuilder`]: the settings of a limiter.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use brimful::model::ModelConfig;

use super::dims::Dims;
use super::limiter::{Shared, SharedModelLimiter};
use super::slots::Slots;
use crate::engine::Store;
use crate::permits::RedisConcurrencyLimit;
use crate::redis::{Connect, RedisStore};
use crate::shared::{BuildError, FailurePolicy, Settings, Unavailable};

/// The name of a policy that has none.
const UNNAMED: &str = "limits of models";

/// The settings of a [`SharedModelLimiter`].
#[must_use = "a builder does nothing until `build`"]
pub struct SharedModelLimiterBuilder {
    config: ModelConfig,
    /// Of a slot.
    lease: Duration,
    settings: Settings,
}

impl SharedModelLimiter<RedisStore> {
    /// Returns a builder of a limiter with the quotas of this configuration.
    pub fn builder(config: ModelConfig) -> SharedModelLimiterBuilder {
        let settings = Settings { prefix: "brimful-model".to_owned(), ..Settings::default() };
        SharedModelLimiterBuilder { config, lease: Duration::from_secs(10), settings }
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

    /// Sets the longest time for a decision: 100 ms by default. After it, the policy decides. If a model has
    /// [slots](SharedModelLimiter#slots), the request for a slot and that for the buckets have half of it each.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = deadline;
        self
    }

    /// Sets the length of the lease of a [slot](SharedModelLimiter#slots), as
    /// [`RedisConcurrencyLimitBuilder::lease`](crate::RedisConcurrencyLimitBuilder::lease): 10 s by default.
    pub fn lease(mut self, length: Duration) -> Self {
        self.lease = length;
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
        self.settings.hook = Some(Arc::new(hook));
        self
    }

    /// Returns a limiter on Redis.
    ///
    /// # Errors
    ///
    /// Returns an error if a number is no limit, or cannot be counted in 53 bits; as
    /// [`RedisRateLimiterBuilder::build`](crate::RedisRateLimiterBuilder::build); and, if a model has
    /// [slots](SharedModelLimiter#slots), as
    /// [`RedisConcurrencyLimitBuilder::build`](crate::RedisConcurrencyLimitBuilder::build).
    pub fn build<L: Connect>(self, store: RedisStore<L>) -> Result<SharedModelLimiter<RedisStore<L>>, BuildError> {
        let Settings { policy, prefix, name, hook, .. } = self.settings.clone();
        let (lease, deadline, slots_of) = (self.lease, self.deadline_of_a_request(), store.clone());
        self.build_with(store, move |most| {
            let slots = RedisConcurrencyLimit::<str>::builder(most).prefix(format!("{prefix}:slots")).lease(lease);
            let slots = slots.deadline(deadline).on_failure(policy);
            let slots = slots.name(format!("slots of {}", name.as_deref().unwrap_or(UNNAMED)));
            let slots = match hook.clone() {
                Some(hook) => slots.on_failure_hook(move |why| hook(why)),
                None => slots,
            };
            Ok(Box::new(slots.build(slots_of.clone())?))
        })
    }

    /// Returns a limiter on a store of any engine, which has no slots.
    ///
    /// # Errors
    ///
    /// As [`build`](SharedModelLimiterBuilder::build), and if a model limits its requests in flight.
    pub fn build_on<S: Store>(self, store: S) -> Result<SharedModelLimiter<S>, BuildError> {
        self.build_with(store, |_| Err(BuildError::Slots))
    }

    fn build_with<S: Store>(
        mut self,
        store: S,
        slots: impl Fn(usize) -> Result<Box<dyn Slots>, BuildError>,
    ) -> Result<SharedModelLimiter<S>, BuildError> {
        self.settings.deadline = self.deadline_of_a_request();
        let SharedModelLimiterBuilder { config, settings, .. } = self;
        let policy = settings.policy.checked()?;
        let made = |name: &str, quota| Dims::new(name, quota, &slots).map(Arc::new);
        let models = config.models.iter().map(|(name, quota)| Ok((name.clone(), made(name, *quota)?)));
        Ok(SharedModelLimiter(Arc::new(Shared {
            models: models.collect::<Result<BTreeMap<_, _>, _>>()?,
            default: config.default.map(|quota| made("default", quota)).transpose()?,
            prefix: settings.prefix.clone(),
            policy,
            requests: settings.requests(store, || UNNAMED.to_owned())?,
            local: OnceLock::new(),
        })))
    }

    /// Returns the longest time for a request: half of that for a decision, if this may need two.
    fn deadline_of_a_request(&self) -> Duration {
        let mut quotas = self.config.models.values().chain(&self.config.default);
        let has_slots = quotas.any(|quota| quota.max_parallel_requests.is_some());
        self.settings.deadline / if has_slots { 2 } else { 1 }
    }
}

impl fmt::Debug for SharedModelLimiterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedModelLimiterBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

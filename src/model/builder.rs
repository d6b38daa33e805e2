//! [`ModelLimiterBuilder`].

use std::fmt;
use std::sync::Arc;

use crate::clock::{Clock, QuantaClock, Timer};
use crate::queue::{TimerFactory, WaitConfig};

use super::config::ModelConfig;
use super::error::ModelConfigError;
use super::learning::Learning;
use super::limiter::ModelLimiter;
use super::quota::ModelQuota;
use super::state::Shared;

/// The most models that are not listed, by default.
const MAX_MODELS: usize = 1_024;

/// A builder of a [`ModelLimiter`]. Nothing is required; without models and a default, every call is refused.
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct ModelLimiterBuilder<C = QuantaClock> {
    config: ModelConfig,
    clock: C,
    max_models: usize,
    max_waiters: Option<u32>,
    timer: Option<TimerFactory>,
    learning: Option<Learning>,
}

impl ModelLimiter {
    /// Returns a builder, with the process's clock by default.
    pub const fn builder() -> ModelLimiterBuilder {
        let config = ModelConfig::new();
        let (max_models, clock) = (MAX_MODELS, QuantaClock);
        ModelLimiterBuilder { config, clock, max_models, max_waiters: None, timer: None, learning: None }
    }
}

impl<C: Clock + Send + Sync + 'static> ModelLimiterBuilder<C> {
    /// Adds the models of a configuration, and sets its default, if it has one.
    pub fn config(mut self, config: ModelConfig) -> Self {
        self.config.models.extend(config.models);
        self.config.default = config.default.or(self.config.default);
        self
    }

    /// Adds a model. A second quota by the same name takes the place of the first.
    pub fn model(mut self, name: impl Into<String>, quota: ModelQuota) -> Self {
        self.config.models.insert(name.into(), quota);
        self
    }

    /// Sets the quota of each model that is not listed. Without one, calls to such models are refused.
    pub fn default(mut self, quota: ModelQuota) -> Self {
        self.config.default = Some(quota);
        self
    }

    /// Sets the most models that are not listed and exist at a time: 1024 by default, so that callers who choose names
    /// cannot fill the memory. For a further one, a model is forgotten that no call would miss: it has no handle, no permit
    /// and no wait, its limits are full, and no pause is on. All that is lost are its [statistics](crate::model::ModelStats),
    /// what was [learned](crate::model::Learning) of it, and its row of refusals. If a short search finds none, the call
    /// is refused; the next search goes on where this one ended.
    ///
    /// A limit per day is full a day after its last call. So with [`rpd`](ModelQuota::rpd) or [`tpd`](ModelQuota::tpd) in
    /// the default, callers who invent names can lock new ones out for a day: list the models that count, or check the
    /// names before.
    pub fn max_models(self, most: usize) -> Self {
        ModelLimiterBuilder { max_models: most, ..self }
    }

    /// Scales the estimates of each model by what its calls turned out to use. By default, estimates count as they are.
    pub fn learning(self, learning: Learning) -> Self {
        ModelLimiterBuilder { learning: Some(learning), ..self }
    }

    /// Sets the clock that the limiter reads.
    pub fn clock<D: Clock + Send + Sync + 'static>(self, clock: D) -> ModelLimiterBuilder<D> {
        let ModelLimiterBuilder { config, max_models, max_waiters, timer, learning, .. } = self;
        ModelLimiterBuilder { config, clock, max_models, max_waiters, timer, learning }
    }

    /// Sets the most waiters at a time on one model: 1 048 576 by default. A waiter takes about 300 bytes besides its
    /// own future.
    pub fn max_waiters(self, most: usize) -> Self {
        ModelLimiterBuilder { max_waiters: Some(u32::try_from(most).unwrap_or(u32::MAX)), ..self }
    }

    /// As [`RateLimiterBuilder::timer`](crate::RateLimiterBuilder::timer).
    pub fn timer<T: Timer + 'static>(self, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        ModelLimiterBuilder { timer: Some(TimerFactory::new(make)), ..self }
    }

    /// Returns the limiter. Its buckets are full.
    ///
    /// # Errors
    ///
    /// If a number is no limit: the error names the model and the field. If `max_models` is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::model::{ModelLimiter, ModelQuota};
    ///
    /// let error = ModelLimiter::builder().model("gpt-4", ModelQuota::new().rpm(0)).build().unwrap_err();
    /// assert_eq!(error.to_string(), "gpt-4.rpm: 0 is not a limit; leave it out for no limit");
    /// ```
    pub fn build(self) -> Result<ModelLimiter<C>, ModelConfigError> {
        let ModelLimiterBuilder { config, clock, max_models, max_waiters, timer, learning } = self;
        let shared = Shared { clock: Arc::new(clock), waits: WaitConfig::new(max_waiters, timer), learning };
        ModelLimiter::from_parts(config, shared, max_models)
    }
}

impl<C> fmt::Debug for ModelLimiterBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelLimiterBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

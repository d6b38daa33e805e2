//! [`ModelHandle`]: one model of a limiter.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, QuantaClock};

use super::acquire::ModelAcquire;
use super::charge::Charge;
use super::error::ModelError;
use super::hints::ServerHints;
use super::permit::Permit;
use super::quota::ModelQuota;
use super::state::Model;
use super::stats::ModelStats;
use super::usage::Usage;

/// One model of a [`ModelLimiter`](crate::model::ModelLimiter), for calls that need no look-up. Clones are handles of
/// the same model.
///
/// The quota of the model may change. After the model was removed, every call fails, also if another one was added by
/// the same name.
///
/// # Examples
///
/// ```
/// use brimful::model::{ModelLimiter, ModelQuota};
///
/// let limiter = ModelLimiter::builder().model("gpt-4", ModelQuota::new().rpm(500)).build()?;
/// let gpt4 = limiter.model("gpt-4")?;
/// let permit = gpt4.try_acquire(1_000)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ModelHandle<C: Clock + Send + Sync + 'static = QuantaClock>(Arc<Model<C>>);

impl<C: Clock + Send + Sync + 'static> Clone for ModelHandle<C> {
    fn clone(&self) -> Self {
        ModelHandle(self.0.clone())
    }
}

impl<C: Clock + Send + Sync + 'static> ModelHandle<C> {
    pub(super) fn new(model: Arc<Model<C>>) -> Self {
        ModelHandle(model)
    }

    /// Returns the name of the model.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the current quota of the model.
    #[must_use]
    pub fn quota(&self) -> ModelQuota {
        self.0.quota()
    }

    /// As [`ModelLimiter::observe`](crate::model::ModelLimiter::observe).
    pub fn observe(&self, hints: &ServerHints) {
        self.0.observe(hints, None);
    }

    /// As [`ModelLimiter::pause_for`](crate::model::ModelLimiter::pause_for).
    pub fn pause_for(&self, duration: Duration) {
        self.0.pause(duration);
    }

    /// As [`ModelLimiter::resume`](crate::model::ModelLimiter::resume).
    pub fn resume(&self) {
        self.0.resume();
    }

    /// Returns the time until the pause of the model is over; zero if there is none.
    #[must_use]
    pub fn paused(&self) -> Duration {
        self.0.paused()
    }

    /// Returns the numbers of the model.
    #[must_use]
    pub fn stats(&self) -> ModelStats {
        self.0.stats()
    }

    /// As [`ModelLimiter::try_acquire`](crate::model::ModelLimiter::try_acquire).
    ///
    /// # Errors
    ///
    /// As [`ModelLimiter::try_acquire`](crate::model::ModelLimiter::try_acquire).
    #[inline]
    pub fn try_acquire(&self, estimate: impl Into<Usage>) -> Result<Permit<C>, ModelError> {
        try_acquire(self.0.clone(), estimate.into())
    }

    /// As [`ModelLimiter::acquire`](crate::model::ModelLimiter::acquire).
    ///
    /// # Errors
    ///
    /// As [`ModelLimiter::acquire`](crate::model::ModelLimiter::acquire).
    pub fn acquire(&self, estimate: impl Into<Usage>) -> ModelAcquire<C> {
        ModelAcquire::new(Ok(self.0.clone()), estimate.into())
    }

    /// As [`acquire`](ModelHandle::acquire), by blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`acquire`](ModelHandle::acquire).
    pub fn acquire_blocking(&self, estimate: impl Into<Usage>) -> Result<Permit<C>, ModelError> {
        self.acquire(estimate).wait()
    }

    /// As [`ModelLimiter::run`](crate::model::ModelLimiter::run).
    ///
    /// # Errors
    ///
    /// As [`acquire`](ModelHandle::acquire); `call` is not called then.
    pub async fn run<F, R>(&self, estimate: impl Into<Usage>, call: F) -> Result<R::Output, ModelError>
    where
        F: FnOnce(Permit<C>) -> R,
        R: Future,
    {
        let permit = self.acquire(estimate).await?;
        Ok(call(permit).await)
    }
}

/// Takes a slot and the estimate of a call, unless callers wait. The permit gets the share of the model.
#[inline]
pub(super) fn try_acquire<C: Clock + Send + Sync + 'static>(
    model: Arc<Model<C>>,
    estimate: Usage,
) -> Result<Permit<C>, ModelError> {
    let amounts = model.amounts(estimate);
    match model.try_take(amounts, None) {
        Ok(epoch) => Ok(Permit::new(model, estimate, Charge::new(amounts, epoch), Duration::ZERO)),
        Err(cause) => Err(model.error(cause)),
    }
}

impl<C: Clock + Send + Sync + 'static> fmt::Debug for ModelHandle<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelHandle").field("name", &self.name()).field("quota", &self.quota()).finish()
    }
}

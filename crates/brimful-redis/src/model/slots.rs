//! [`Slots`]: the slots of models for requests in flight.

use std::future::Future;
use std::pin::Pin;

use tokio::time::Instant;

use super::error::SharedModelCause;
use crate::permits::{RedisConcurrencyLimit, SharedPermit, SharedPermitError};
use crate::redis::Connect;
use crate::shared::SharedStats;

/// The slots of the models with one quota: each has as many.
pub(super) trait Slots: Send + Sync {
    /// Takes a slot of a model, if one is free and no caller waits for one.
    fn try_take<'a>(&'a self, model: &'a str) -> Answer<'a, SharedPermit>;

    /// Waits for a slot, until the deadline.
    fn take<'a>(&'a self, model: &'a str, deadline: Option<Instant>) -> Answer<'a, SharedPermit>;

    /// Returns the slots of a model that are taken, by all processes.
    fn taken<'a>(&'a self, model: &'a str) -> Answer<'a, usize>;

    /// Returns the number of slots of each model.
    fn number(&self) -> usize;

    fn stats(&self) -> SharedStats;
}

pub(super) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, SharedModelCause>> + Send + 'a>>;

impl<L: Connect> Slots for RedisConcurrencyLimit<str, L> {
    fn try_take<'a>(&'a self, model: &'a str) -> Answer<'a, SharedPermit> {
        Box::pin(async move { Ok(self.try_acquire(model).await?) })
    }

    fn take<'a>(&'a self, model: &'a str, deadline: Option<Instant>) -> Answer<'a, SharedPermit> {
        Box::pin(async move { Ok(self.acquire_by(model, deadline).await?) })
    }

    fn taken<'a>(&'a self, model: &'a str) -> Answer<'a, usize> {
        Box::pin(async move { Ok(self.in_flight(model).await?) })
    }

    fn number(&self) -> usize {
        self.limit()
    }

    fn stats(&self) -> SharedStats {
        RedisConcurrencyLimit::stats(self)
    }
}

impl From<SharedPermitError> for SharedModelCause {
    fn from(error: SharedPermitError) -> Self {
        match error {
            SharedPermitError::NoPermit { in_flight, limit } => SharedModelCause::NoSlot { in_flight, limit },
            SharedPermitError::TimedOut => SharedModelCause::TimedOut,
            SharedPermitError::Unavailable(why) => SharedModelCause::Unavailable(why),
        }
    }
}

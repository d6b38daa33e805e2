//! [`ModelLimits`]: the buckets and the slots of a model, for its queue.

use std::sync::Arc;

use crate::clock::Clock;
use crate::composite::{LimitCause, QueuedLimits, Refused};
use crate::error::{TooLate, TryAcquireError};
use crate::permits::{PermitWord, Permits};
use crate::sync::{RwLock, RwLockReadGuard, read_lock, write_under};
use crate::word::{Reading, Units};

use super::amounts::Amounts;
use super::dims::{Dims, DimsCall};
use super::error::ModelCause;

/// The buckets and the slots of a model.
///
/// The lock of the buckets is written only when the model gets another quota, so that a call holds it as a reader, and
/// never while it takes another lock.
pub(super) struct ModelLimits<C> {
    dims: RwLock<Dims<C>>,
    pub(super) slots: Permits,
    pub(super) clock: Arc<C>,
}

impl<C> ModelLimits<C> {
    pub(super) fn new(dims: Dims<C>, slots: usize, clock: Arc<C>) -> Self {
        ModelLimits { dims: RwLock::new(dims), slots: Permits::new(PermitWord::new(slots)), clock }
    }

    #[inline]
    pub(super) fn dims(&self) -> RwLockReadGuard<'_, Dims<C>> {
        read_lock(&self.dims)
    }

    pub(super) fn change_dims<R>(&self, change: impl FnOnce(&mut Dims<C>) -> R) -> R {
        write_under(&self.dims, change)
    }
}

impl<C: Clock + Send + Sync + 'static> QueuedLimits for ModelLimits<C> {
    type Order = Amounts;
    type View<'a> = RwLockReadGuard<'a, Dims<C>>;
    type Call<'a> = DimsCall<'a, C>;
    type Refusal = ModelCause;

    fn view(&self) -> RwLockReadGuard<'_, Dims<C>> {
        self.dims()
    }

    fn call<'a>(view: &'a RwLockReadGuard<'_, Dims<C>>, amounts: Amounts) -> DimsCall<'a, C> {
        view.call(amounts)
    }

    fn refusal(call: DimsCall<'_, C>, refused: Refused, waits: bool) -> ModelCause {
        if let Some(exceeds) = call.exceeds() {
            return exceeds;
        }
        let LimitCause::Tokens(TryAcquireError::RateLimited(limited)) = refused.error(call).cause() else {
            unreachable!("a bucket refuses what it may hold")
        };
        match call.dimension(refused.nth) {
            None => ModelCause::Paused(limited),
            Some(dimension) if waits => ModelCause::TooLate(dimension, TooLate(limited.0)),
            Some(dimension) => ModelCause::RateLimited(dimension, limited),
        }
    }

    fn class(_: DimsCall<'_, C>) -> Units {
        Units(0)
    }

    fn read(&self) -> Reading {
        Reading::from_nanos(self.clock.now())
    }

    fn permits(&self) -> Option<&Permits> {
        Some(&self.slots)
    }

    /// The epoch.
    fn mark(view: &RwLockReadGuard<'_, Dims<C>>) -> Units {
        Units(view.epoch())
    }
}

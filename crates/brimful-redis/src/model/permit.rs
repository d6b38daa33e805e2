//! [`SharedModelPermit`]: a call to a model that was admitted.

use std::fmt;
use std::sync::Arc;

use brimful::model::{Permit, Usage};

use super::dims::{Amounts, Dims, amounts};
use super::error::SharedModelError;
use super::limiter::Shared;
use crate::engine::{Operation, Store};
use crate::permits::SharedPermit;
use crate::redis::RedisStore;
use crate::shared::Source;

/// A call to a model that was admitted: the charge of its estimate in every dimension, and a slot if the model has slots. It
/// owns its share of the limiter, and may go to another task. Keep it for as long as the call is in flight.
///
/// | when | use | effect |
/// |---|---|---|
/// | the usage is known | [`commit`](SharedModelPermit::commit) | charges it instead of the estimate, input and output apart |
/// | a stream grows | [`progress`](SharedModelPermit::progress) | charges what goes beyond the charge so far |
/// | the call was not made | [`cancel`](SharedModelPermit::cancel) | gives everything back, the request too, and frees the slot |
/// | the call is over | drop it | frees the slot |
///
/// A permit that is dropped without a commit keeps its charge: the call may have reached the server.
#[must_use = "dropping a permit frees its slot at once, and keeps the charge"]
pub struct SharedModelPermit<S = RedisStore> {
    shared: Arc<Shared<S>>,
    model: String,
    dims: Arc<Dims>,
    estimate: Usage,
    charged: Amounts,
    kind: Kind,
    /// `None` if the model has no slots.
    slot: Option<SharedPermit>,
}

/// The origin of a permit.
pub(super) enum Kind {
    Store,
    /// The policy admits all calls.
    Allowed,
    /// This process's share of the limits.
    Local(Permit),
}

impl<S: Store> SharedModelPermit<S> {
    pub(super) fn new(shared: Arc<Shared<S>>, model: String, dims: Arc<Dims>, estimate: Usage, kind: Kind) -> Self {
        SharedModelPermit { shared, model, dims, estimate, charged: amounts(1, estimate), kind, slot: None }
    }

    pub(super) fn with_slot(mut self, slot: Option<SharedPermit>) -> Self {
        self.slot = slot;
        self
    }

    /// Returns the slot of the call; `None` if the model has no [slots](crate::SharedModelLimiter#slots). It can be
    /// [lost](SharedPermit::lost).
    #[must_use]
    pub fn slot(&self) -> Option<&SharedPermit> {
        self.slot.as_ref()
    }

    /// Returns the name of the model.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Returns the estimate, as it was given.
    #[must_use]
    pub fn estimate(&self) -> Usage {
        self.estimate
    }

    /// Returns the origin of the decision.
    #[must_use]
    pub fn source(&self) -> Source {
        if let Kind::Store = self.kind { Source::Store } else { Source::Policy }
    }

    /// Charges the actual usage instead of the estimate, in each dimension apart: charges the tokens that were missing,
    /// into debt if need be, down to one burst below zero, and then gives back those that were not used. So it asks the
    /// store up to twice, and not at all if the usage is the estimate. The last commit counts.
    ///
    /// A call that the policy admitted was not charged by the store, and is not now.
    ///
    /// # Errors
    ///
    /// [`SharedModelCause::Unavailable`](crate::SharedModelCause::Unavailable): the store may not know of the difference. A
    /// further commit does not repeat it.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, some of the difference may be settled.
    pub async fn commit(&mut self, actual: impl Into<Usage>) -> Result<(), SharedModelError> {
        let actual = actual.into();
        if let Kind::Local(permit) = &mut self.kind {
            permit.commit(actual);
        }
        self.settle(amounts(1, actual)).await
    }

    /// Charges what the usage of a call so far has beyond its charge, in each dimension apart. Nothing is given back before
    /// a [`commit`](SharedModelPermit::commit).
    ///
    /// # Errors
    ///
    /// As [`commit`](SharedModelPermit::commit).
    pub async fn progress(&mut self, so_far: impl Into<Usage>) -> Result<(), SharedModelError> {
        let so_far = so_far.into();
        if let Kind::Local(permit) = &mut self.kind {
            permit.progress(so_far);
        }
        let (before, so_far) = (self.charged, amounts(1, so_far));
        self.settle(std::array::from_fn(|nth| before[nth].max(so_far[nth]))).await
    }

    /// Gives everything back, the request too: for a call that was not made.
    ///
    /// # Errors
    ///
    /// As [`commit`](SharedModelPermit::commit).
    pub async fn cancel(mut self) -> Result<(), SharedModelError> {
        let settled = self.settle(amounts(0, Usage::default())).await;
        if let Kind::Local(permit) = self.kind {
            permit.cancel();
        }
        settled
    }

    async fn settle(&mut self, actual: Amounts) -> Result<(), SharedModelError> {
        let before = std::mem::replace(&mut self.charged, actual);
        if !matches!(self.kind, Kind::Store) {
            return Ok(());
        }
        for (operation, more) in [(Operation::Charge, true), (Operation::Add, false)] {
            if let Some(limits) = self.dims.difference(&before, &actual, more) {
                self.shared.ask(&self.model, &self.dims, operation, &limits).await?;
            }
        }
        Ok(())
    }
}

impl<S> fmt::Debug for SharedModelPermit<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedModelPermit")
            .field("model", &self.model)
            .field("estimate", &self.estimate)
            .finish_non_exhaustive()
    }
}

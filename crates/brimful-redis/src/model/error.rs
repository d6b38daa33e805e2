//! [`SharedModelError`]: a call to a model that was refused.

use std::fmt;
use std::time::Duration;

use brimful::model::{Dimension, ModelError};

use crate::shared::{Refusal, Unavailable};

/// The reason for which a call to a model was refused, and the name of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedModelError {
    model: String,
    cause: SharedModelCause,
}

/// The reason for which a call to a model was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SharedModelCause {
    /// The model is not listed, and there is no default.
    UnknownModel,
    /// The estimate is above the most that this dimension ever holds.
    ExceedsLimit {
        /// The dimension.
        dimension: Dimension,
        /// The estimate, as it counts in the dimension.
        estimate: u64,
        /// The most that the dimension ever holds.
        most: u64,
    },
    /// This dimension is the one that takes longest until it admits the call.
    RateLimited {
        /// The dimension.
        dimension: Dimension,
        /// The time from the decision until the same call is admitted, if no other call comes first. Rounded up to a
        /// microsecond.
        retry_after: Duration,
    },
    /// The model is [paused](crate::SharedModelLimiter::pause_for), and no dimension takes longer.
    Paused {
        /// The time until the pause is over. Rounded up to a microsecond.
        retry_after: Duration,
    },
    /// A call that does not wait: all slots for requests in flight are taken, or callers wait for one.
    NoSlot {
        /// The requests in flight.
        in_flight: usize,
        /// The number of slots.
        limit: usize,
    },
    /// A wait: no slot came free before the deadline.
    TimedOut,
    /// The store was not available, and this process's [share](crate::FailurePolicy::LocalShare) of the limits refused the
    /// call.
    Local(ModelError),
    /// The store did not decide within the deadline, and the policy is [`Deny`](crate::FailurePolicy::Deny); or the
    /// operation is one that only the store can do.
    Unavailable(Unavailable),
}

impl SharedModelError {
    pub(super) fn new(model: &str, cause: SharedModelCause) -> Self {
        SharedModelError { model: model.to_owned(), cause }
    }

    /// Returns the name of the model.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Returns the reason.
    #[must_use]
    pub fn cause(&self) -> &SharedModelCause {
        &self.cause
    }

    /// Returns the time until the same call may be admitted; `None` if it never is, or if that is not known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match &self.cause {
            SharedModelCause::UnknownModel
            | SharedModelCause::ExceedsLimit { .. }
            | SharedModelCause::NoSlot { .. }
            | SharedModelCause::TimedOut => None,
            SharedModelCause::RateLimited { retry_after, .. } | SharedModelCause::Paused { retry_after } => {
                Some(*retry_after)
            }
            SharedModelCause::Local(error) => error.retry_after(),
            SharedModelCause::Unavailable(unavailable) => unavailable.retry_after(),
        }
    }
}

impl Refusal for SharedModelError {
    fn is_final(&self) -> bool {
        match &self.cause {
            SharedModelCause::UnknownModel | SharedModelCause::ExceedsLimit { .. } => true,
            // Never by this share, but by the store.
            _ => false,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after()
    }
}

impl fmt::Display for SharedModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = &self.model;
        match &self.cause {
            SharedModelCause::UnknownModel => {
                write!(f, "model {model:?} is unknown: add it, or set a default for models that are not listed")
            }
            SharedModelCause::ExceedsLimit { dimension, estimate, most } => write!(
                f,
                "{model}.{dimension}: an estimate of {estimate} is above the {most} that are ever admitted at once"
            ),
            SharedModelCause::RateLimited { dimension, retry_after } => {
                write!(f, "{model}.{dimension}: rate limited: retry after {retry_after:?}")
            }
            SharedModelCause::Paused { retry_after } => write!(f, "{model}: paused: retry after {retry_after:?}"),
            SharedModelCause::NoSlot { in_flight, limit } => write!(
                f,
                "{model}: no slot is free ({in_flight} of {limit} requests in flight): retry later, or wait by `acquire`"
            ),
            SharedModelCause::TimedOut => {
                write!(f, "{model}: no slot came free before the deadline: allow a longer wait")
            }
            SharedModelCause::Local(error) => error.fmt(f),
            SharedModelCause::Unavailable(unavailable) => write!(f, "{model}: {unavailable}"),
        }
    }
}

// The text says all that is within, so the error has no source.
impl std::error::Error for SharedModelError {}

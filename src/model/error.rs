//! The errors of a [`ModelLimiter`](super::ModelLimiter).

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::error::{LimitName, NoPermit, QueueFull, RateLimited, TooLate};
use crate::permits::PermitWord;

use super::dimension::Dimension;
use super::quota::{DEFAULT, Fault};

/// The reason for which a call to a model was refused, and the name of the model. Nothing was charged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ModelError {
    model: LimitName,
    cause: ModelCause,
}

/// The reason for which a call to a model was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelCause {
    /// The model is not listed, and there is no default.
    UnknownModel,
    /// The model is not listed, as many such models exist as permitted, which is this number, and none of those that were
    /// looked at can be [forgotten](crate::model::ModelLimiterBuilder::max_models).
    TooManyModels(usize),
    /// The estimate is above the most that this dimension ever holds. Such a call is refused at once, whatever else is
    /// full.
    ExceedsLimit(Dimension, ExceedsLimit),
    /// A call that does not wait: this dimension is the one that takes longest until it admits the call. Behind waiters, it
    /// may be the one that the first of them waits for.
    RateLimited(Dimension, RateLimited),
    /// A call that does not wait, or a wait whose deadline is before the end: the model is
    /// [paused](crate::model::ModelLimiter::pause_for), and no dimension takes longer until it admits the call.
    Paused(RateLimited),
    /// A call that does not wait: all slots for requests in flight are taken, or callers wait for one.
    NoSlot(NoPermit),
    /// A wait: this dimension does not admit the call before the deadline. Behind waiters, as with
    /// [`RateLimited`](ModelCause::RateLimited).
    TooLate(Dimension, TooLate),
    /// A wait: the deadline has passed, and no slot came free before.
    TimedOut,
    /// A wait: the deadline had passed before it began. The limits would admit the call.
    DeadlinePassed,
    /// A wait: the queue has no place.
    QueueFull(QueueFull),
    /// The model was removed from the limiter.
    ModelRemoved,
}

/// An estimate that is above the most that a dimension ever holds, in requests or tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExceedsLimit {
    pub(super) estimate: u64,
    pub(super) most: u64,
}

impl ExceedsLimit {
    /// Returns the estimate, as it counts in the dimension.
    #[must_use]
    pub fn estimate(&self) -> u64 {
        self.estimate
    }

    /// Returns the most that the dimension ever holds: the limit, or half of a
    /// [strict](crate::model::ModelQuota::strict) one.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.most
    }
}

impl ModelError {
    pub(super) fn new(model: &str, cause: ModelCause) -> Self {
        ModelError { model: LimitName::new(model), cause }
    }

    /// Returns the name of the model. More than 31 bytes are cut.
    #[must_use]
    pub fn model(&self) -> &str {
        self.model.as_str()
    }

    /// Returns the reason.
    #[must_use]
    pub fn cause(&self) -> ModelCause {
        self.cause
    }

    /// Returns the dimension that refused the call; `None` if it was none, as with a pause.
    #[must_use]
    pub fn dimension(&self) -> Option<Dimension> {
        match self.cause {
            ModelCause::ExceedsLimit(dimension, _)
            | ModelCause::RateLimited(dimension, _)
            | ModelCause::TooLate(dimension, _) => Some(dimension),
            ModelCause::NoSlot(_) | ModelCause::TimedOut => Some(Dimension::MaxParallelRequests),
            _ => None,
        }
    }

    /// Returns the time until all dimensions admit the call, if nothing else is taken meanwhile and a slot is free;
    /// `None` if they never do, or if the time is not known. Rounded up to the nanosecond.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.cause {
            ModelCause::RateLimited(_, limited) | ModelCause::Paused(limited) => limited.retry_after(),
            ModelCause::TooLate(_, late) => late.retry_after(),
            ModelCause::DeadlinePassed => Some(Duration::ZERO),
            _ => None,
        }
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = self.model();
        match self.cause {
            ModelCause::UnknownModel => {
                write!(f, "model {model:?} is unknown: add it, or set a default for models that are not listed")
            }
            ModelCause::TooManyModels(most) => {
                write!(
                    f,
                    "model {model:?} is not listed, and {most} such models are in use: retry later, add it, or raise `max_models`"
                )
            }
            ModelCause::ExceedsLimit(dimension, ExceedsLimit { estimate, most }) => {
                write!(
                    f,
                    "{model}.{dimension}: an estimate of {estimate} is above the {most} that are ever admitted at once"
                )
            }
            ModelCause::RateLimited(dimension, limited) => write!(f, "{model}.{dimension}: {limited}"),
            ModelCause::Paused(limited) => match limited.retry_after() {
                Some(wait) => write!(f, "{model}: paused: retry after {wait:?}"),
                None => write!(f, "{model}: paused beyond the clock's range"),
            },
            ModelCause::NoSlot(none) => {
                let (in_flight, limit) = (none.in_flight(), none.limit());
                write!(
                    f,
                    "{model}: no slot is free ({in_flight} of {limit} requests in flight): retry later, or wait by `acquire`"
                )
            }
            ModelCause::TooLate(dimension, late) => write!(f, "{model}.{dimension}: {late}"),
            ModelCause::TimedOut => write!(f, "{model}: no slot came free before the deadline: allow a longer wait"),
            ModelCause::DeadlinePassed => {
                write!(f, "{model}: the deadline had passed before the wait began: allow a longer wait")
            }
            ModelCause::QueueFull(full) => write!(f, "{model}: {full}"),
            ModelCause::ModelRemoved => write!(f, "model {model:?} was removed from the limiter"),
        }
    }
}

impl fmt::Debug for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelError").field("model", &self.model).field("cause", &self.cause).finish()
    }
}

// It says all that is within: it has no source.
impl Error for ModelError {}

/// The reason why a configuration of models is not valid: the model, the field, and the mistake.
#[derive(Clone, PartialEq)]
pub struct ModelConfigError {
    model: Box<str>,
    mistake: Mistake,
}

#[derive(Clone, PartialEq)]
enum Mistake {
    Reserved,
    NoModels,
    Field(Dimension, Fault),
}

impl ModelConfigError {
    pub(super) fn reserved(model: &str) -> Self {
        ModelConfigError { model: model.into(), mistake: Mistake::Reserved }
    }

    pub(super) fn no_models() -> Self {
        ModelConfigError { model: DEFAULT.into(), mistake: Mistake::NoModels }
    }

    pub(super) fn field(model: &str, dimension: Dimension, fault: Fault) -> Self {
        ModelConfigError { model: model.into(), mistake: Mistake::Field(dimension, fault) }
    }

    /// Returns the name of the model: `default` for models that are not listed.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Returns the dimension whose number is no limit; `None` if another thing is the mistake.
    #[must_use]
    pub fn dimension(&self) -> Option<Dimension> {
        match self.mistake {
            Mistake::Reserved | Mistake::NoModels => None,
            Mistake::Field(dimension, _) => Some(dimension),
        }
    }
}

impl fmt::Display for ModelConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = &self.model;
        match &self.mistake {
            Mistake::Reserved => {
                write!(f, "{model}: the name of the limits of models that are not listed: choose another name")
            }
            Mistake::NoModels => {
                write!(
                    f,
                    "{model}: `max_models` is 0, so no model that is not listed exists: permit one, or set no default"
                )
            }
            Mistake::Field(dimension, fault) => write!(f, "{model}.{dimension}: {fault}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Zero => f.write_str("0 is not a limit; leave it out for no limit"),
            Fault::TooManySlots(most) => {
                write!(f, "{most} is above the {} that can be counted; leave it out for no limit", PermitWord::MOST)
            }
            Fault::Quota(error) => error.fmt(f),
        }
    }
}

impl fmt::Debug for ModelConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ModelConfigError").field(&format_args!("\"{self}\"")).finish()
    }
}

impl Error for ModelConfigError {}

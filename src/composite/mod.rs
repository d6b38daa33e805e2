//! Several limits in one decision: all of them are charged, or none.

mod acquire;
mod ahead;
mod all_of;
mod bucket;
mod builder;
mod change;
mod decision;
mod error;
mod highest;
mod holder;
mod hook;
mod joint_wait;
mod key_queues;
mod keyed;
mod keyed_builder;
mod limiter;
mod limits;
mod order;
mod owned;
mod queue;
mod queued;
mod reservation;
mod stats;
mod together;
mod wait;

pub use acquire::{CompositeAcquire, CompositeReserve};
pub use all_of::{AllOf, Charge, Held, PermitCharge};
pub use bucket::{CompositeBucket, CompositeBucketAt};
pub use builder::CompositeLimiterBuilder;
pub use decision::CompositeDecision;
pub use error::{AcquireCause, CompositeAcquireError, LimitCause, LimitError};
pub use joint_wait::AcquireAll;
pub use keyed::KeyedCompositeLimiter;
pub use keyed_builder::KeyedCompositeLimiterBuilder;
pub use limiter::CompositeLimiter;
pub use owned::{OwnedCompositeAcquire, OwnedCompositeReservation, OwnedCompositeReserve};
pub use reservation::CompositeReservation;

// For the limits of models.
pub(crate) use queue::CompositeQueue;
pub(crate) use queued::{CompositeRequest, Effect, Entered, NotServed, QueuedLimits, Waiters};
pub(crate) use together::{Part, Parts, Refused, look, take, take_all};

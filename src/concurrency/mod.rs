//! Limits of the calls in flight.

mod acquire;
mod builder;
mod keyed;
mod permit;
mod state;
mod target;
mod verbs;
mod wait;

pub use acquire::{AcquirePermit, OwnedAcquirePermit};
pub use builder::{ConcurrencyLimitBuilder, KeyedConcurrencyLimitBuilder};
pub use keyed::KeyedConcurrencyLimit;
pub use permit::{OwnedPermit, Permit};
pub use state::ConcurrencyLimit;
pub(crate) use target::BorrowedTarget;

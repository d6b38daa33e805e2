//! Waiting until the tokens are there.

mod acquire;
mod future;
mod uncounted;
mod wrap;

pub(crate) use acquire::wait;
pub use acquire::{Acquire, OwnedAcquire, Reserve};
pub use future::Granted;
pub(crate) use uncounted::UncountedAcquire;
pub use wrap::WrapFuture;

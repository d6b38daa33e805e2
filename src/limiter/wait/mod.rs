//! Waiting until the tokens are there.

mod acquire;
mod future;
mod wrap;

pub(crate) use acquire::wait;
pub use acquire::{Acquire, OwnedAcquire, Reserve};
pub use future::Granted;
pub use wrap::WrapFuture;

//! Waiting until the tokens are there.

mod acquire;
mod future;
mod granted;
mod target;
mod wrap;

pub use acquire::{Acquire, OwnedAcquire, Reserve};
pub use granted::Granted;
pub use wrap::WrapFuture;

//! The limiters that the middleware can use, and the calls that it makes to them.

mod calls;
mod classes;
mod limiter;
mod permits;
mod rates;
#[cfg(feature = "redis")]
mod shared;

pub(crate) use calls::{Begun, Calls, Held, Longest, Never, Numbers, Vain};
pub use classes::Classes;
pub use limiter::Limiter;

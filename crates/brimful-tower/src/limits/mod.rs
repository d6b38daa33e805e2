//! The limiters that the middleware can use, and the calls that it makes to them.

mod calls;
mod classes;
mod limiter;
mod permits;
mod rates;

pub(crate) use calls::{Calls, Held, Vain};
pub use classes::Classes;
pub use limiter::Limiter;

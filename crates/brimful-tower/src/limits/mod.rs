//! The limiters that the middleware can use, and the calls that it makes to them.

mod calls;
mod limiter;
mod rates;

pub(crate) use calls::{Calls, Held, Vain};
pub use limiter::Limiter;

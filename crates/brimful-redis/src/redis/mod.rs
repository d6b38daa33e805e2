//! The engine Redis.

mod calls;
mod link;
mod run;
mod script;
mod store;

pub use link::{Connect, Given, Link, Sign};
pub(crate) use run::Script;
pub use store::RedisStore;

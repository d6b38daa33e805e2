//! The engine Redis.

mod calls;
mod link;
mod script;
mod store;

pub use link::{Connect, Given, Link, Sign};
pub use store::RedisStore;

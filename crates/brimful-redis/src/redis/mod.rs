//! The engine Redis.

mod script;
mod store;

pub use store::RedisStore;

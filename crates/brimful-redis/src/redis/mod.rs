//! The engine Redis.

mod calls;
#[cfg(feature = "cluster")]
mod cluster;
mod eval;
mod link;
mod run;
mod script;
#[cfg(feature = "sentinel")]
mod sentinel;
mod server;
#[cfg(feature = "cluster")]
mod slots;
mod store;

#[cfg(feature = "cluster")]
pub use cluster::{Cluster, Routed};
pub(crate) use eval::Script;
pub use link::{Connect, Given, Lent, Link, Sign};
pub use store::RedisStore;

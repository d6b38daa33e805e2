//! The engine PostgreSQL.
//!
//! A decision is one call of a function in the database, which is one transaction. Limiters take a [`PostgresStore`] in
//! place of a [`RedisStore`](crate::RedisStore), and all their verbs are the same.

mod link;
mod request;
mod store;

pub use store::{PostgresStore, PostgresStoreBuilder};

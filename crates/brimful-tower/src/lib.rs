//! Rate limits for HTTP, by `brimful`, on tower's conventions.
//!
//! - [`address`] finds the address of a client behind proxies, and makes a key of it.
//!
//! None of it needs tower.

pub mod address;

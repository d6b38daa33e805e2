//! Rate limits for HTTP, by [`brimful`], on tower's conventions.
//!
//! - [`address`] finds the address of a client behind proxies, and makes a key of it.
//! - [`headers()`] makes response headers of a decision.
//!
//! None of it needs tower.

pub mod address;
pub mod headers;

pub use headers::headers;

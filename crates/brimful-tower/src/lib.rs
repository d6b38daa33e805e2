//! Rate limits for HTTP, by [`brimful`], on tower's conventions.
//!
//! - [`key`] is the key of a request: by which clients a limit distinguishes.
//! - [`address`] finds the address of a client behind proxies, and makes a key of it.
//! - [`headers()`] makes response headers of a decision.
//! - [`FromHeaders`] reads the limits of a server from the headers of its responses.
//!
//! None of it needs tower.

pub mod address;
pub mod headers;
pub mod hints;
pub mod key;

pub use headers::headers;
pub use hints::FromHeaders;

//! Tests against real servers, which they start on loopback. Without `redis-server` they report that they were skipped.

mod chaos;
#[cfg(all(feature = "metrics", feature = "tracing"))]
mod emitting;
mod leases;
mod limiter;
mod proxy;
mod script;
mod server;

//! Tests against real servers, which they start on loopback. Without `redis-server` or PostgreSQL they
//! report that they were skipped.

mod calls;
mod chaos;
#[cfg(all(feature = "metrics", feature = "tracing"))]
mod emitting;
mod leases;
mod limiter;
mod models;
mod permit_script;
mod permits;
#[cfg(all(unix, feature = "postgres"))]
mod pg_server;
#[cfg(all(unix, feature = "postgres"))]
mod postgres;
#[cfg(all(unix, feature = "postgres"))]
mod postgres_failures;
mod proxy;
mod script;
mod server;
mod windows;

//! Tests against real servers, which they start on loopback. Without `redis-server` or PostgreSQL they
//! report that they were skipped.

mod calls;
mod chaos;
mod chaos_leased;
#[cfg(target_os = "linux")]
mod clocks;
#[cfg(feature = "cluster")]
mod cluster;
#[cfg(all(feature = "metrics", feature = "tracing"))]
mod emitting;
mod failover;
mod leases;
mod limiter;
mod model_slots;
mod models;
#[cfg(feature = "cluster")]
mod nodes;
mod permit_script;
mod permits;
#[cfg(all(unix, feature = "postgres"))]
mod pg_server;
#[cfg(all(unix, feature = "postgres"))]
mod postgres;
#[cfg(all(unix, feature = "postgres"))]
mod postgres_failures;
mod processes;
mod proxy;
mod script;
#[cfg(feature = "sentinel")]
mod sentinel;
#[cfg(feature = "sentinel")]
mod sentinels;
mod server;
mod windows;

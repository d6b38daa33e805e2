//! Tests against real servers, which they start on loopback. Without `redis-server` they report that they were skipped.

mod calls;
mod chaos;
mod chaos_leased;
#[cfg(target_os = "linux")]
mod clocks;
#[cfg(feature = "cluster")]
mod cluster;
mod failover;
mod leases;
mod limiter;
mod models;
#[cfg(feature = "cluster")]
mod nodes;
mod permit_script;
mod permits;
mod processes;
mod proxy;
mod script;
#[cfg(feature = "sentinel")]
mod sentinel;
#[cfg(feature = "sentinel")]
mod sentinels;
mod server;
mod windows;

//! Tests against real servers, which they start on loopback. Without `redis-server` they report that they were skipped.

mod calls;
mod chaos;
mod leases;
mod limiter;
mod models;
mod permit_script;
mod permits;
mod proxy;
mod script;
mod server;
mod windows;

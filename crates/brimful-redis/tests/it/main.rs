//! Tests against real servers, which they start on loopback. Without `redis-server` they report that they were skipped.

mod chaos;
mod leases;
mod limiter;
mod models;
mod proxy;
mod script;
mod server;

//! Limiters that many processes share, on real Redis servers, which the tests start. Without `redis-server` they report
//! that they were skipped.

#![cfg(feature = "redis")]

mod bound;
mod client;
mod example;
mod failures;
mod gone;
#[allow(dead_code, reason = "shared with other tests")]
#[path = "../sockets/client.rs"]
mod http_client;
#[allow(dead_code, reason = "shared with other tests")]
#[path = "../sockets/server.rs"]
mod http_server;
#[allow(dead_code, reason = "shared with other tests")]
#[path = "../../../brimful-redis/tests/it/proxy.rs"]
mod proxy;
#[allow(dead_code, reason = "shared with other tests")]
#[path = "../../../brimful-redis/tests/it/server.rs"]
mod server;
mod settings;
mod support;

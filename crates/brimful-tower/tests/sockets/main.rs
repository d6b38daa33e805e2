//! The middleware in servers of axum, over real sockets.

mod bodies;
mod bound;
mod client;
mod examples;
mod forwarded;
mod gone;
mod keys;
mod raw;
mod server;
mod shutdown;

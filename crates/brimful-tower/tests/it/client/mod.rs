//! The client side, against a server in the time of a mock clock.

mod keyed;
mod models;
mod readiness;
mod retries;
mod world;

//! The crate from outside.

mod addresses;
mod client;
mod headers;
mod hints;
mod keys;
mod service;

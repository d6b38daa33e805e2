//! The crate from outside.

mod addresses;
mod client;
mod fuzz;
mod headers;
mod hints;
mod keys;
mod service;

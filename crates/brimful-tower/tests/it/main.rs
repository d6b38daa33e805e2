//! The crate from outside.

mod addresses;
mod headers;
mod hints;
mod keys;
mod service;
mod service_settle;
mod support;

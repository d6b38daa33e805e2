//! The crate from outside.

mod addresses;

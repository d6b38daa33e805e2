//! One model per hazard of the table of keys. Nothing without `--cfg brimful_loom`.
//!
//! A set has two slots here, and a key is named with the two sets that it may be in. Keys that are
//! to meet are in set 0, as all are while there is one set.
#![cfg(brimful_loom)]

mod full;
mod inserts;
mod moves;
mod overflow;
mod refunds;
mod removal;
mod reuse;
mod splits;

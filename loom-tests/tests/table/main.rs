//! One model per hazard of the table of keys. Nothing without `--cfg brimful_loom`.
//!
//! A line has one slot here, and a group two: lines 2n and 2n + 1 are group n. A key is made of its
//! home line and of its line in the second group. Keys that are to meet have both in group 0, which
//! is the only one as long as there is one key.
#![cfg(brimful_loom)]

mod first;
mod full;
mod inserts;
mod moves;
mod overflow;
mod refunds;
mod removal;
mod reuse;
mod same_word;
mod splits;
mod sweeps;

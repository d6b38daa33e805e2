//! Models of the keyed table, one for each hazard. Empty without `--cfg brimful_loom`.
//!
//! A line has one slot here, and a group has two: lines 2n and 2n + 1 are group n. A key is made of
//! its home line and of its line in the second group. Keys that are to meet have both lines in
//! group 0, which is the only group while the table has one key.
//!
//! An outcome has the calls of each thread in order, and a bar between threads:
//!
//! | letter | the call |
//! |---|---|
//! | `+` | granted |
//! | `-` | denied |
//! | `g` | gave tokens back |
//! | `aN` | added N tokens: the number that fitted |
//! | `dN` | charged a late cost, and left N tokens of it uncharged |
//! | `r` | reset |
//! | `f` | refused: the table is full |
//! | `x` | removed the key |
//! | `o` | found no key to remove |
//! | `c` | removed all keys (`clear`) |
//! | `s` | removed all full buckets (`retain_recent`) |
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

//! Models of a limiter of one bucket, one for each hazard. Empty without `--cfg brimful_loom`.
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
#![cfg(brimful_loom)]

mod ordering;
mod refill;
mod reservations;
mod reset;
mod second_look;
mod skew;
mod takers;
mod unborn;

//! One model per hazard. Nothing without `--cfg brimful_loom`.
#![cfg(brimful_loom)]

mod ordering;
mod refill;
mod reservations;
mod reset;
mod second_look;
mod skew;
mod takers;
mod unborn;

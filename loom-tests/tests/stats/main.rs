//! Models of the counters of statistics, one for each hazard. Empty without `--cfg brimful_loom`.
//!
//! One thread at a time owns a place of the counters; the others share one. After the threads have ended, each
//! call was read exactly once, and the counts of keys are within their error bound.
//!
//! An outcome has the calls of each thread in order, and a bar between threads: `d` is a call, and a digit is the
//! number of calls that a `take_stats` returned.
#![cfg(brimful_loom)]

mod calls;
mod keys;

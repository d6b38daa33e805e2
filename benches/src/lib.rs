//! The harness of the benches: contenders run in turns on pinned threads, and what counts is
//! the median.

pub mod contenders;
pub mod harness;
pub mod keyed;
pub mod scenarios;
pub mod table;

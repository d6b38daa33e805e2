//! The harness of the benches: contenders run in turns on pinned threads, and what counts is
//! the median.

pub mod bench;
mod child;
pub mod contenders;
pub mod contention;
pub mod harness;
mod histogram;
pub mod keyed;
mod limit;
mod plot;
pub mod report;
mod resident;
mod table;
pub mod waiting;

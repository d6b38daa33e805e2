//! The harness of the benches. Contenders run in turns on pinned threads, and the median of the
//! runs counts.

pub mod bench;
mod child;
pub mod contenders;
pub mod contention;
pub mod harness;
mod histogram;
pub mod http;
pub mod keyed;
mod limit;
mod plot;
pub mod redis;
pub mod report;
mod resident;
mod table;
pub mod waiting;

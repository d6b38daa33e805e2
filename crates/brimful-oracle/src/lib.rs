//! The reference for brimful's tests: a token bucket in exact integers, slow and simple, and
//! oracles for the window bound and for windows of one length. It shares no code with brimful.

pub mod bucket;
pub mod strict;
pub mod window;

pub use bucket::ExactBucket;

//! What brimful is held against: a token bucket in exact integers, as slow and as plain as it
//! can be, and an oracle for the window bound. Nothing here knows how brimful counts.

pub mod bucket;
pub mod window;

pub use bucket::ExactBucket;

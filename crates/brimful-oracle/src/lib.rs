//! The reference for brimful's tests: a token bucket in exact integers, slow and simple, and an
//! oracle for the window bound. It shares no code with brimful.

pub mod bucket;
pub mod window;

pub use bucket::ExactBucket;

//! Several limits in one decision: all of them are charged, or none.

mod all_of;
mod bucket;
mod builder;
mod decision;
mod error;
mod keyed;
mod keyed_builder;
mod limiter;
mod limits;
mod name;
mod reservation;
mod together;

pub use all_of::{AllOf, Charge};
pub use bucket::{CompositeBucket, CompositeBucketAt};
pub use builder::CompositeLimiterBuilder;
pub use decision::CompositeDecision;
pub use error::LimitError;
pub use keyed::KeyedCompositeLimiter;
pub use keyed_builder::KeyedCompositeLimiterBuilder;
pub use limiter::CompositeLimiter;
pub use reservation::CompositeReservation;

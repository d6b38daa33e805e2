//! The limiters, their views, and what their verbs return.

mod bucket;
#[cfg(feature = "std")]
mod composite;
mod decision;
#[cfg(feature = "std")]
mod keyed;
mod reservation;
mod single;
mod state;
mod target;
#[cfg(feature = "std")]
mod wait;

pub use bucket::{Bucket, BucketAt};
#[cfg(feature = "std")]
pub use composite::{
    AllOf, Charge, CompositeAcquire, CompositeAcquireError, CompositeBucket, CompositeBucketAt, CompositeDecision,
    CompositeLimiter, CompositeLimiterBuilder, CompositeReservation, CompositeReserve, KeyedCompositeLimiter,
    KeyedCompositeLimiterBuilder, LimitError,
};
pub use decision::Decision;
#[cfg(feature = "std")]
pub use keyed::{KeyedRateLimiter, KeyedRateLimiterBuilder, SipHasher, SipState};
#[cfg(feature = "std")]
pub use reservation::OwnedReservation;
pub use reservation::Reservation;
#[cfg(feature = "std")]
pub use single::RateLimiterBuilder;
pub use state::RateLimiter;
#[cfg(feature = "std")]
pub use wait::{Acquire, Granted, OwnedAcquire, Reserve, WrapFuture};

//! The limiters, their views, and what their verbs return.

mod bucket;
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

// For limiters that are made of these.
#[cfg(feature = "std")]
pub(crate) use state::{BACKGROUND, Buckets};
#[cfg(feature = "std")]
pub(crate) use target::{Found, Target};
#[cfg(feature = "std")]
pub(crate) use wait::{UncountedAcquire, wait};

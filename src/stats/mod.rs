//! The statistics of a limiter: counters that its verbs raise, and the numbers that are read from them.
//!
//! **Each call is counted once**, when its outcome is known: by the verb that takes, or by the wait that ends.
//! A [`Recording`] of a limiter without statistics does nothing, and costs a load and a branch that is not
//! taken.
//!
//! **The counters are apart from the bucket**, and each of eight threads has its own: see `Counters`.

#[cfg(feature = "std")]
mod counters;
#[cfg(feature = "std")]
mod display;
#[cfg(feature = "std")]
mod recorder;
mod recording;
#[cfg(feature = "std")]
mod snapshot;

pub(crate) use recording::Recording;
#[cfg(feature = "std")]
pub use snapshot::{KeyStats, Stats};

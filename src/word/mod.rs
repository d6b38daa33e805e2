//! The packed word and its arithmetic: pure functions without atomics, floats or clocks.
//!
//! [`internals::word`](crate::internals::word) derives the layout, and proves the guarantees for one bucket.

mod derivation;
mod earned;
#[cfg(feature = "std")]
mod exact;
mod layout;
#[cfg(feature = "std")]
mod pace;
mod reading;
#[cfg(test)]
mod tests;
#[cfg(feature = "std")]
mod wide;

pub(crate) use earned::Due;
#[cfg(feature = "std")]
pub(crate) use exact::Exact;
pub(crate) use layout::{Earned, Layout, Product, Word};
#[cfg(feature = "std")]
pub(crate) use pace::Pace;
pub(crate) use reading::{Intercept, Level, Moment, Reading, Snapshot, Units};
#[cfg(feature = "std")]
pub(crate) use wide::Wide;

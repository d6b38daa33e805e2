//! The packed word and its arithmetic: pure functions without atomics, floats or clocks.
//!
//! [`internals::word`](crate::internals::word) derives the layout, and proves the guarantees for one bucket.

mod derivation;
mod earned;
mod layout;
#[cfg(feature = "std")]
mod pace;
mod reading;
#[cfg(test)]
mod tests;

pub(crate) use earned::Due;
pub(crate) use layout::{Earned, Layout, Product, Word};
#[cfg(feature = "std")]
pub(crate) use pace::Pace;
pub(crate) use reading::{Intercept, Level, Moment, Reading, Snapshot, Units};

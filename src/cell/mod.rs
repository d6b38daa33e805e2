//! The atomic word of a bucket, and its compare-exchange loops.

mod read_order;
mod word_cell;

pub(crate) use read_order::ReadOrderHint;
#[cfg(feature = "std")]
pub(crate) use word_cell::MixedWord;
pub(crate) use word_cell::{Cell, FixedTime, Location, Resolved, Seen, Taken, TimeSource};

//! The cell of a bucket's word, and its compare-exchange loops.
//!
//! [`internals::word`](crate::internals::word#two-readings-at-most) explains the order of load and clock, and
//! the [memory ordering](crate::internals::word#memory-ordering).

mod cold;
mod word_cell;

#[cfg(feature = "std")]
pub(crate) use cold::take_exact;
pub(crate) use cold::{change, take_cold};
#[cfg(feature = "std")]
pub(crate) use word_cell::take_once;
pub(crate) use word_cell::{Cell, ReadOrderHint, Resolved, Seen, Taken, TimeSource, WordCell, take};

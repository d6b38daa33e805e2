//! The cell of a bucket's word, and its compare-exchange loops.
//!
//! [`internals::word`](crate::internals::word#two-readings-at-most) explains the order of load and clock, and
//! the [memory ordering](crate::internals::word#memory-ordering).

mod cells;
mod cold;
#[cfg(feature = "std")]
mod published;
#[cfg(feature = "std")]
mod published_eras;
#[cfg(feature = "std")]
mod quota_cell;
mod terms_source;
mod word_cell;

pub(crate) use cells::Cells;
pub(crate) use cold::{change, take_cold};
#[cfg(feature = "std")]
pub(crate) use cold::{take_changed, take_exact};
#[cfg(feature = "std")]
pub(crate) use quota_cell::{LazyQuota, QuotaCell};
pub(crate) use terms_source::TermsSource;
#[cfg(feature = "std")]
pub(crate) use word_cell::Cell;
#[cfg(feature = "std")]
pub(crate) use word_cell::take_once;
pub(crate) use word_cell::{ReadOrderHint, Resolved, Seen, Taken, TimeSource, WordCell, take};

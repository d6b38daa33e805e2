//! What the models in `tests/` are made of. Empty without `--cfg brimful_loom`.
//!
//! A [`Model`] is a limiter of one bucket or of many keys (a [`Subject`]), a few threads with a
//! [`Hand`] of readings each, and the exact set of outcomes that are to be seen. loom runs it
//! through every interleaving, in every order of starting its threads. After each execution the recorded calls must be explained by *some*
//! order of them on an exact sequential bucket (`history`), one for each key, down to the last
//! unit of the final balance, and must meet the window bound by their own readings.
#![cfg(brimful_loom)]

mod actor;
mod alarms;
mod bucket;
mod clock;
mod explain;
mod history;
mod line;
mod model;
mod subject;
mod waits;

pub use actor::Actor;
pub use clock::{Hand, ModelClock};
pub use history::Call;
pub use model::Model;
pub use subject::{AsIs, Copied, Key, Pledge, Subject, Table, key};
pub use waits::{Ask, Waited, Waiting};

use std::time::Duration;

use brimful::Quota;

/// The time that earns a token of [`quota`], in nanoseconds; a power of two, as ticks are.
pub const T: u64 = 1 << 30;

/// A 64th of [`T`].
pub const STEP: u64 = T / 64;

/// Parts of a token in which models count: 10⁻¹², the finest that the limiter's verbs tell.
pub(crate) const PICO: i64 = 1_000_000_000_000;

/// One token per [`T`], and a unit a nanosecond: nothing is ever rounded.
#[must_use]
pub fn quota(burst: u32) -> Quota {
    Quota::new(1, Duration::from_nanos(T)).burst(burst)
}

/// Three tokens per 2 [`T`]: what a nanosecond earns is no whole number of units.
#[must_use]
pub fn uneven_quota(burst: u32) -> Quota {
    Quota::new(3, Duration::from_nanos(2 * T)).burst(burst)
}

//! The framework of the models in `tests/`. Empty without `--cfg brimful_loom`.
//!
//! A [`Model`] is a limiter of one bucket or of many keys (a [`Subject`]), a few threads with their
//! [`Readings`], and the exact set of outcomes that loom must find. loom runs the model through
//! every interleaving, and the model starts its threads in every order. After each execution,
//! *some* order of the recorded calls must explain every answer and the final balance to the last
//! unit, on an exact sequential bucket for each key (`history`, `bucket`). The readings of the
//! calls must also meet the window bound.
#![cfg(brimful_loom)]

mod actor;
mod bucket;
mod clock;
mod composites;
mod explain;
mod history;
mod llm;
mod model;
mod permits;
mod queue;
mod stats;
mod subject;
mod timers;
mod waits;

pub use actor::Actor;
pub use clock::{ModelClock, Readings};
pub use composites::{CompositeActor, CompositeModel, PendingComposite};
pub use history::Call;
pub use llm::{LlmActor, LlmCall, LlmModel, PendingLlm};
pub use model::Model;
pub use permits::{Held, PendingPermit, PermitActor, PermitModel};
pub use stats::{StatsActor, StatsModel};
pub use subject::{IdentityHasher, IdentityState, Key, ReservationOps, Subject, Table, key};
pub use waits::{PendingWait, WaitRequest, Waitable};

use std::time::Duration;

use brimful::Quota;

/// The time that earns a token of [`quota`], in nanoseconds; a power of two, as ticks are.
pub const T: u64 = 1 << 30;

/// A 64th of [`T`].
pub const STEP: u64 = T / 64;

/// The number of parts of a token in which models count: 10⁻¹² token, the finest amount that the
/// limiter's methods return.
pub(crate) const PICO: i64 = 1_000_000_000_000;

/// One token per [`T`], so a nanosecond earns one unit and nothing is ever rounded.
#[must_use]
pub fn quota(burst: u32) -> Quota {
    Quota::new(1, Duration::from_nanos(T)).burst(burst)
}

/// Three tokens per 2 [`T`], so a nanosecond does not earn a whole number of units.
#[must_use]
pub fn uneven_quota(burst: u32) -> Quota {
    Quota::new(3, Duration::from_nanos(2 * T)).burst(burst)
}

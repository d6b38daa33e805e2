//! The statistics of a limiter: counters that its verbs raise, and the numbers that are read from them.
//!
//! **Each call is counted once**, when its outcome is known: by the verb that takes, or by the wait that ends.
//! A [`Recording`] of a limiter without statistics does nothing, and costs a load and a branch that is not
//! taken.
//!
//! **The counters are apart from the bucket**, and up to eight threads have their own, which others share: see `Counters`. No read
//! changes them. `take_stats` and the emission of statistics are two readers, each with the numbers at its last
//! read, so neither takes counts from the other.

#[cfg(feature = "std")]
mod counters;
#[cfg(feature = "std")]
mod display;
#[cfg(any(feature = "metrics", feature = "tracing"))]
mod emit;
#[cfg(feature = "std")]
mod limit_stats;
#[cfg(feature = "std")]
mod lines;
#[cfg(feature = "std")]
mod options;
#[cfg(feature = "std")]
mod permit_stats;
#[cfg(feature = "std")]
mod reader;
#[cfg(feature = "std")]
mod recorder;
mod recording;
#[cfg(feature = "std")]
mod snapshot;
#[cfg(feature = "std")]
mod top;
#[cfg(feature = "std")]
mod top_denied;

#[cfg(feature = "std")]
pub use limit_stats::{CompositeStats, LimitStats};
#[cfg(feature = "std")]
pub(crate) use options::StatsOptions;
#[cfg(feature = "std")]
pub use permit_stats::PermitStats;
pub(crate) use recording::Recording;
#[cfg(feature = "std")]
pub use snapshot::{KeyStats, Stats};
#[cfg(feature = "std")]
pub use top_denied::{DeniedKey, KeyId, TopDenied};

//! [`StatsOptions`]: the statistics that a builder was asked for.

use std::borrow::Cow;

/// The statistics that a limiter keeps.
#[derive(Clone)]
pub(crate) struct StatsOptions {
    /// Set if calls are counted.
    pub(crate) on: bool,
    /// The policy's name, by which statistics are emitted.
    #[cfg_attr(not(any(feature = "metrics", feature = "tracing")), allow(dead_code))]
    pub(crate) name: Option<Cow<'static, str>>,
    /// The number of keys with the most denials that are named.
    pub(crate) top_denied: Option<usize>,
}

impl StatsOptions {
    /// No statistics.
    pub(crate) const OFF: StatsOptions = StatsOptions { on: false, name: None, top_denied: None };

    /// The same, with calls counted.
    pub(crate) fn on(self) -> Self {
        StatsOptions { on: true, ..self }
    }

    /// The same, with this name.
    pub(crate) fn named(self, name: Cow<'static, str>) -> Self {
        StatsOptions { name: Some(name), ..self }
    }
}

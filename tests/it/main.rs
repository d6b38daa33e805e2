//! The promises, one module each, and what else a user relies on.

mod capacity;
mod charge_once;
mod clocks;
mod coarse_clock;
mod conformance;
mod decisions;
mod errors;
mod exact_waits;
mod field_bugs;
mod first_use;
mod keyed_bounded;
mod keyed_oracle;
mod keyed_support;
mod keyed_verbs;
mod keyed_window;
mod load_and_clock;
mod no_lost_tokens;
mod oracle;
mod quotas;
mod sharing;
mod support;
mod text;
mod total;
mod waiting;
mod waiting_edges;
mod waiting_oracle;
mod waiting_panics;
mod waiting_shared_timer;
mod waiting_slack;
mod waiting_storm;
#[cfg(feature = "tokio")]
mod waiting_tokio;
mod window_bound;

//! Middleware for HTTP, keyed by the address of the client, beside `tower_governor` and axum-governor.
//!
//! | section | the bar that it measures |
//! |---|---|
//! | `admitted` | the time that an admitted request takes beyond the bare service |
//! | `refused` | a request that is refused, by the form of the answer |
//! | `whole` | a refused request beside an admitted one, each through axum's router |
//! | `loopback` | the throughput of axum over sockets, with and without the layer |

mod contenders;
mod heap;
mod in_process;
mod loopback;
mod requests;
mod whole;

use crate::bench::Bench;

pub use heap::allocations;

/// All sections, in turn.
pub const BENCH: Bench = Bench {
    sections: &[in_process::admitted, in_process::refused, whole::section, loopback::section],
    child: |_| Ok(None),
    runs: [31, 5],
    operations: 50_000,
};

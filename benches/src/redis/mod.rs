//! Limits that processes share on a Redis server.
//!
//! | section | the bar that it measures |
//! |---|---|
//! | `direct` | decisions by the script, beside `redis-benchmark` of a script that only returns |
//! | `leased` | decisions of a hot key by leases, and their round trips |
//! | `postgres` | none: decisions in PostgreSQL, beside a statement that only returns |

mod direct;
mod leased;
mod postgres;
mod server;

use crate::bench::Bench;

/// All sections, in turn.
pub const BENCH: Bench = Bench {
    sections: &[direct::section, leased::section, postgres::section],
    child: |_| Ok(None),
    runs: [9, 3],
    operations: 200_000,
};

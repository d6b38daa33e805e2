//! Limiters of many keys: every quota, at every size, in every state of a bucket.
//!
//! | section | the bar that it measures |
//! |---|---|
//! | `hit` | a hit on a bucket in use, and on the real clock as it comes: throughput and latency |
//! | `healthy`, `denied` | a hit on a bucket that is full again, or that is exhausted |
//! | `zipf` | skewed traffic; no bar |
//! | `strings` | keys on the heap, pairs, IPv6 addresses |
//! | `threads` | two threads on one table |
//! | `batch` | many keys in one call |
//! | `composite` | three limits for each key, in one decision |
//! | `insert` | new keys: on average, and the tail of single calls |
//! | `full` | a new key at a full table, by policy |
//! | `growth` | hits while another thread makes the table grow |
//! | `change` | a change of the quota, and hits before and after |
//! | `memory` | resident bytes for each live key |
//! | `flood` | many more new keys than there is room |

mod batch;
mod change;
mod clock;
mod composite;
mod contenders;
mod counting;
mod flood;
mod floor;
mod growth;
mod keys;
mod matrix;
mod memory;
mod new_keys;
mod quotas;
mod ranking;
mod tails;
mod traffic;

use std::io;

use crate::bench::Bench;
use crate::child::number;

pub use counting::count;
pub use matrix::in_use;

/// All sections, in turn.
pub const BENCH: Bench = Bench {
    sections: &[
        matrix::sections,
        batch::section,
        composite::section,
        new_keys::insert,
        new_keys::full,
        growth::section,
        change::section,
        memory::section,
        flood::section,
    ],
    child: answer,
    runs: [15, 3],
    operations: 120_000,
};

/// Measures in a process of its own.
fn answer(words: &[&str]) -> io::Result<Option<Vec<f64>>> {
    Ok(match *words {
        ["insert", name, kind, quota, keys] => new_keys::insert_child(name, kind, quota, number(keys)?),
        ["tail", name, quota, keys] => new_keys::tail_child(name, quota, number(keys)?),
        ["full", name, policy, quota, keys] => new_keys::full_child(name, policy, quota, number(keys)?),
        ["growth", name, quota, keys] => growth::answer(name, quota, number(keys)?),
        ["change", keys] => change::answer(number(keys)?),
        ["memory", name, kind, quota, keys] => memory::answer(name, kind, quota, number(keys)?),
        ["flood", quota, keys] => flood::answer(quota, number(keys)?),
        _ => None,
    })
}

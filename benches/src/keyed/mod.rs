//! Limiters of many keys: what a hit costs, a new key, memory, a flood of keys, growth.

mod child;
mod churn;
mod contenders;
mod flood;
mod floor;
mod growth;
pub mod hits;
mod insert;
mod keys;
mod memory;
mod plot;

use crate::bench::{Bench, Scale};

/// Every section, in turn.
pub const BENCH: Bench = Bench {
    sections: &[
        hits::hit,
        hits::batch,
        hits::threads,
        insert::section,
        memory::section,
        flood::section,
        churn::section,
        growth::section,
    ],
    child: child::answer,
    runs: [51, 5],
    operations: 400_000,
};

/// The keys of the largest tables.
fn most_keys(scale: &Scale) -> u64 {
    if scale.quick { 1_000_000 } else { 10_000_000 }
}

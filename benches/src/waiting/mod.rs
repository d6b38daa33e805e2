//! Waiting: crowds of tasks and of threads, a lone waiter, many keys, memory, the fast path.

mod alone;
mod child;
mod contenders;
mod crowd;
mod early;
mod fast;
mod floors;
mod keys;
mod memory;
mod plot;
mod records;
mod threads;
mod turns;

use crate::bench::Bench;

/// All sections, in turn.
pub const BENCH: Bench = Bench {
    sections: &[
        crowd::section,
        crowd::two_limits,
        crowd::reads,
        threads::section,
        alone::section,
        keys::section,
        memory::section,
        fast::section,
        early::section,
    ],
    child: child::answer,
    runs: [5, 1],
    operations: 200_000,
};

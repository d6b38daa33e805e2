//! Limiters of many keys: what a hit costs, a new key, memory, a flood of keys, growth.

pub mod child;
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

use std::io;
use std::path::PathBuf;

use crate::options::Filter;
use crate::report::Report;

/// What is measured, and how much of it.
#[derive(Clone, Debug)]
pub struct Scale {
    /// Only what has a name that contains this.
    pub filter: Filter,
    /// Runs of every contender; the median counts.
    pub runs: usize,
    /// Accesses in a run, after half as many that are not timed.
    pub accesses: u64,
    /// The largest tables.
    pub most_keys: u64,
    /// The keys of a flood.
    pub flood: u64,
    /// Where the plots go.
    pub svg: Option<PathBuf>,
}

impl Scale {
    fn wants(&self, name: &str) -> bool {
        self.filter.wants(name)
    }
}

/// Every section that is asked for, in turn.
///
/// # Errors
///
/// Where a part that needs a process of its own had none, or a plot cannot be written.
pub fn run(scale: &Scale) -> io::Result<Report> {
    let mut report = Report::default();
    hits::hit(scale, &mut report)?;
    hits::batch(scale, &mut report);
    hits::threads(scale, &mut report);
    insert::section(scale, &mut report)?;
    memory::section(scale, &mut report)?;
    flood::section(scale, &mut report)?;
    churn::section(scale, &mut report);
    growth::section(scale, &mut report)?;
    Ok(report)
}

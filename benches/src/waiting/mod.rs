//! Waiting: crowds of tasks and of threads, one alone, many keys, memory, the fast path.

mod alone;
pub mod child;
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

use std::io;
use std::path::PathBuf;

use crate::options::Filter;
use crate::report::Report;

/// Whoever has not served a crowd after so many seconds, and so many times the ideal time, is
/// stopped; its figures are of those whom it served.
pub const PATIENCE_S: f64 = 10.0;
/// See [`PATIENCE_S`].
pub const PATIENCE: f64 = 4.0;

/// What is measured, and how much of it.
#[derive(Clone, Debug)]
pub struct Scale {
    /// Only what has a name that contains this.
    pub filter: Filter,
    /// Runs of every contender, each in a process of its own; the median counts.
    pub runs: usize,
    /// Smaller crowds, to see that it works.
    pub quick: bool,
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
    crowd::section(scale, &mut report)?;
    crowd::reads(scale, &mut report)?;
    threads::section(scale, &mut report)?;
    alone::section(scale, &mut report)?;
    keys::section(scale, &mut report)?;
    memory::section(scale, &mut report)?;
    fast::section(scale, &mut report);
    early::section(scale, &mut report)?;
    Ok(report)
}

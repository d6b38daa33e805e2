//! `cargo xtask bench keyed`: limiters of many keys, beside the machine's floor and the peers.

use std::path::PathBuf;

use brimful_benches::keyed::{self, Scale, child};
use clap::Parser;

/// Limiters of many keys, beside the machine's floor and the peers.
///
/// The sections: hit, batch, threads, insert, memory, flood, churn, growth. Each ends with the
/// bars that it is held to.
#[derive(Parser)]
struct Options {
    /// Only what has a name that contains this: a section's, or more of it ("hit: u64").
    filter: Option<String>,
    /// Runs of every contender; the median counts. 51 without this, 5 where it is quick.
    #[arg(long)]
    runs: Option<usize>,
    /// Accesses in a run, after half as many that are not timed.
    #[arg(long, default_value_t = 400_000)]
    accesses: u64,
    /// Tables of 10^6 keys at most, a shorter flood, and few runs: to see that it works.
    #[arg(long)]
    quick: bool,
    /// Also writes all figures to this file, as CSV.
    #[arg(long)]
    csv: Option<PathBuf>,
    /// Also draws plots into this folder.
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Measures for the process that started this one.
    #[arg(long, hide = true)]
    child: Vec<String>,
}

fn main() -> std::io::Result<()> {
    let options = Options::parse();
    if !options.child.is_empty() {
        return child::answer(&options.child);
    }
    if let Some(folder) = &options.svg {
        std::fs::create_dir_all(folder)?;
    }
    let quick = options.quick;
    let scale = Scale {
        filter: options.filter,
        runs: options.runs.unwrap_or(if quick { 5 } else { 51 }),
        accesses: options.accesses,
        most_keys: if quick { 1_000_000 } else { 10_000_000 },
        flood: if quick { 5_000_000 } else { 100_000_000 },
        svg: options.svg,
    };
    println!("{}; {} runs of {} accesses in turns", brimful::clock_health(), scale.runs, scale.accesses);
    let report = keyed::run(&scale)?;
    match options.csv {
        Some(path) => report.csv(&path),
        None => Ok(()),
    }
}

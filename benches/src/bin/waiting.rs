//! `cargo xtask bench waiting`: those who wait, beside what one writes by hand and the peers.

use std::path::PathBuf;

use brimful_benches::waiting::{self, PATIENCE, PATIENCE_S, Scale, child};
use clap::Parser;

/// Those who wait, beside what one writes by hand and the peers.
///
/// The sections: crowd (a: a thousand tasks; b: many; c1 and c2: many at 10^6/s), reads, threads,
/// alone, keys, memory, fast, early. Each ends with the bars that it is held to. A run is a process
/// of its own, with tokio's runtime on two threads. Whoever takes too long for a crowd is stopped,
/// which is said below the table.
#[derive(Parser)]
struct Options {
    /// Only what has a name that contains this: a section's, or more of it ("crowd b").
    filter: Option<String>,
    /// Runs of every contender, in turns; the median counts. 5 without this, 1 where it is quick.
    #[arg(long)]
    runs: Option<usize>,
    /// Smaller crowds, and few runs: to see that it works.
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
    let scale = Scale {
        filter: options.filter,
        runs: options.runs.unwrap_or(if options.quick { 1 } else { 5 }),
        quick: options.quick,
        svg: options.svg,
    };
    println!(
        "{}; {} runs in turns; a crowd is stopped after {PATIENCE_S} s and {PATIENCE} times the ideal time",
        brimful::clock_health(),
        scale.runs
    );
    let report = waiting::run(&scale)?;
    match options.csv {
        Some(path) => report.csv(&path),
        None => Ok(()),
    }
}

//! `cargo xtask bench waiting`: those who wait, beside what one writes by hand and the peers.

use brimful_benches::options::Output;
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
    #[command(flatten)]
    output: Output,
    /// Runs of every contender, in turns; the median counts. 5 without this, 1 where it is quick.
    #[arg(long)]
    runs: Option<usize>,
    /// Smaller crowds, and few runs: to see that it works.
    #[arg(long)]
    quick: bool,
}

fn main() -> std::io::Result<()> {
    let Options { output, runs, quick } = Options::parse();
    output.measure(child::answer, |filter, svg| {
        let scale = Scale { filter, runs: runs.unwrap_or(if quick { 1 } else { 5 }), quick, svg };
        println!(
            "{}; {} runs in turns; a crowd is stopped after {PATIENCE_S} s and {PATIENCE} times the ideal time",
            brimful::clock_health(),
            scale.runs
        );
        waiting::run(&scale)
    })
}

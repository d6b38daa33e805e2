//! `cargo xtask bench keyed`: limiters of many keys, beside the machine's floor and the peers.

use brimful_benches::keyed::{self, Scale, child};
use brimful_benches::options::Output;
use clap::Parser;

/// Limiters of many keys, beside the machine's floor and the peers.
///
/// The sections: hit, batch, threads, insert, memory, flood, churn, growth. Each ends with the
/// bars that it is held to.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    output: Output,
    /// Runs of every contender; the median counts. 51 without this, 5 where it is quick.
    #[arg(long)]
    runs: Option<usize>,
    /// Accesses in a run, after half as many that are not timed.
    #[arg(long, default_value_t = 400_000)]
    accesses: u64,
    /// Tables of 10^6 keys at most, a shorter flood, and few runs: to see that it works.
    #[arg(long)]
    quick: bool,
}

fn main() -> std::io::Result<()> {
    let Options { output, runs, accesses, quick } = Options::parse();
    output.measure(child::answer, |filter, svg| {
        let scale = Scale {
            filter,
            runs: runs.unwrap_or(if quick { 5 } else { 51 }),
            accesses,
            most_keys: if quick { 1_000_000 } else { 10_000_000 },
            flood: if quick { 5_000_000 } else { 100_000_000 },
            svg,
        };
        println!("{}; {} runs of {} accesses in turns", brimful::clock_health(), scale.runs, scale.accesses);
        keyed::run(&scale)
    })
}

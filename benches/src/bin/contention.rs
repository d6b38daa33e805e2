//! `cargo xtask bench contention`: limiters of one bucket, beside the machine's floor and the
//! peers.

use brimful_benches::bench::Options;
use brimful_benches::contention;
use clap::Parser;

/// Limiters of one bucket, beside the machine's floor and the peers.
///
/// The sections: admitted, denied, several, decide, work, construction, memory, threads, apart,
/// composite, coarse, permits, model, stats, exact. Each section ends with its bars, the limits that brimful has to meet.
/// Figures are medians of runs taken in turns on pinned threads: quote the ratios, not the nanoseconds.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

fn main() -> std::io::Result<()> {
    contention::BENCH.run(Arguments::parse().options)
}

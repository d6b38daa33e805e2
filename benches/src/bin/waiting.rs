//! `cargo xtask bench waiting`: those who wait, beside what one writes by hand and the peers.

use brimful_benches::bench::Options;
use brimful_benches::waiting;
use clap::Parser;

/// Those who wait, beside what one writes by hand and the peers.
///
/// The sections: crowd (a: a thousand tasks; b: many; c1 and c2: many at 10^6/s), reads, threads,
/// alone, keys, memory, fast, early. Each ends with the bars that it is held to. A run is a process
/// of its own, with tokio's runtime on two threads. Whoever takes too long for a crowd is stopped,
/// which is said below the table.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

fn main() -> std::io::Result<()> {
    waiting::BENCH.run(Arguments::parse().options)
}

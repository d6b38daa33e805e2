//! `cargo xtask bench waiting`: waiters, beside hand-written limiters and the peers.

use brimful_benches::bench::Options;
use brimful_benches::waiting;
use clap::Parser;

/// Waiters, beside hand-written limiters and the peers.
///
/// The sections: crowd (a: a thousand tasks; b: many; c1 and c2: many at 10^6/s), reads, threads,
/// alone, keys, memory, fast, early. Each section ends with its bars, the limits that brimful has
/// to meet. A run is a process of its own, with tokio's runtime on two threads. A contender that
/// takes too long for a crowd is stopped, and a line below the table reports it.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

fn main() -> std::io::Result<()> {
    waiting::BENCH.run(Arguments::parse().options)
}

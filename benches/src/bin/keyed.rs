//! `cargo xtask bench keyed`: limiters of many keys, beside the machine's floor and the peers.

use brimful_benches::bench::Options;
use brimful_benches::keyed;
use clap::Parser;

/// Limiters of many keys, beside the machine's floor and the peers.
///
/// The sections: hit, batch, threads, insert, memory, flood, churn, growth. Each ends with the
/// bars that it is held to. Where it is quick, tables have 10^6 keys at most.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

fn main() -> std::io::Result<()> {
    keyed::BENCH.run(Arguments::parse().options)
}

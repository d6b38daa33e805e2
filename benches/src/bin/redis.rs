//! `cargo xtask bench redis`: limits that processes share on a Redis server, beside redis-benchmark.

use brimful_benches::bench::Options;
use brimful_benches::redis;
use clap::Parser;

/// Limits that processes share on a Redis server, beside `redis-benchmark`.
///
/// The sections: direct, leased. They start a server of their own: `redis-server` and `redis-benchmark` have to be on the path.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

fn main() -> std::io::Result<()> {
    redis::BENCH.run(Arguments::parse().options)
}

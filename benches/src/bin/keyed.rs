//! `cargo xtask bench keyed`: limiters of many keys, beside governor, rate-net and a floor.
//!
//! Instructions per hit, by callgrind: two runs that differ by a million hits, subtracted.
//!
//! ```text
//! cargo build --release -p brimful-benches --bin keyed
//! for hits in 1000000 2000000; do
//!     valgrind --tool=callgrind --callgrind-out-file=/dev/null \
//!         target/release/keyed count brimful-sip 1000 $hits 2>&1 | awk '/Collected/ { print $4 }'
//! done | awk 'NR == 1 { first = $1 } NR == 2 { print ($1 - first) / 1e6 }'
//! ```
//!
//! The figure includes the loop and a clock that is one load: `count clock 1000` counts both alone,
//! and is subtracted. A reading of the counter takes about ten instructions more.

use brimful_benches::bench::{Narrow, Options};
use brimful_benches::keyed;
use clap::{Parser, Subcommand};

/// Limiters of many keys, beside governor, rate-net and a floor.
///
/// The sections: hit, healthy, denied, zipf, strings, threads, batch, insert, full, growth, memory,
/// flood. Each measures every quota, prints the worst ratio to governor first, and ends with the bars
/// that it is held to. A filter is part of the title of a table, such as "hit: u64, 10^3 keys".
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    narrow: Narrow,
}

#[derive(Subcommand)]
enum Command {
    /// Makes hits for an instruction counter, and prints nothing.
    Count {
        /// Such as brimful-sip or governor-ahash.
        contender: String,
        /// The keys of the table.
        keys: u64,
        /// The hits after it is filled.
        #[arg(default_value_t = 1_000_000)]
        hits: u64,
    },
}

fn main() -> std::io::Result<()> {
    let Arguments { command, mut options, narrow } = Arguments::parse();
    match command {
        Some(Command::Count { contender, keys, hits }) => {
            keyed::count(&contender, keys, hits).map_err(std::io::Error::other)
        }
        None => {
            options.narrow = narrow;
            keyed::BENCH.run(options)
        }
    }
}

//! `cargo xtask bench keyed`: limiters of many keys, beside governor, rate-net and a floor.
//!
//! Instructions per hit, by callgrind: the difference of two runs that differ by a million hits.

use brimful_benches::bench::{Narrow, Options};
use brimful_benches::keyed;
use clap::{Parser, Subcommand};

/// Limiters of many keys, beside governor, rate-net and a floor.
///
/// The sections: hit, healthy, denied, zipf, strings, threads, batch, composite, insert, full, growth, change,
/// memory, flood. Each section measures every quota, prints the worst ratio to governor first, and ends
/// with its bars, the limits that brimful has to meet. A filter is part of the title of a table,
/// such as "hit: u64, 10^3 keys".
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
        /// The name of a contender, such as brimful-sip or governor-ahash.
        contender: String,
        /// The number of keys in the table.
        keys: u64,
        /// The number of hits after the table is filled.
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

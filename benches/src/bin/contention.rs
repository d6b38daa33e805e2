//! `cargo xtask bench contention`: brimful beside the machine's floor and its peers, in turns.

use std::path::PathBuf;

use brimful_benches::harness::{Contender, alone, together};
use brimful_benches::scenarios::{self, Scenario, Sharing};
use brimful_benches::table::{self, Row};
use clap::Parser;

/// brimful beside the machine's floor and its peers.
///
/// All figures are medians of runs taken in turns on pinned threads: quote the ratios, not the
/// nanoseconds.
#[derive(Parser)]
struct Options {
    /// Only the scenarios whose name contains this.
    filter: Option<String>,
    /// Runs of every contender; the median counts.
    #[arg(long, default_value_t = 51)]
    runs: usize,
    /// Operations in a run.
    #[arg(long, default_value_t = 100_000)]
    operations: u64,
    /// Numbers of threads that share a limiter.
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8")]
    threads: Vec<usize>,
    /// Also writes the table to this file, as CSV.
    #[arg(long)]
    csv: Option<PathBuf>,
}

fn main() -> std::io::Result<()> {
    let options = Options::parse();
    println!("{}; {} runs of {} operations in turns", brimful::clock_health(), options.runs, options.operations);
    let mut all = Vec::new();
    let wanted = |name: &str| options.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()));
    for Scenario { name, sharing, contenders } in scenarios::all() {
        match sharing {
            Sharing::Alone if wanted(name) => {
                report(name, &contenders, &mut all, |contenders| alone(contenders, options.runs, options.operations));
            }
            Sharing::Threads => {
                for &threads in &options.threads {
                    let name = format!("{name}, threads: {threads}");
                    if wanted(&name) {
                        report(&name, &contenders, &mut all, |contenders| {
                            together(contenders, threads, options.runs, options.operations)
                        });
                    }
                }
            }
            Sharing::Alone => {}
        }
    }
    match options.csv {
        Some(path) => table::csv(&path, &all),
        None => Ok(()),
    }
}

fn report(
    name: &str,
    contenders: &[Contender<'_>],
    all: &mut Vec<Row>,
    measure: impl Fn(&[Contender<'_>]) -> Vec<brimful_benches::harness::Timing>,
) {
    let names: Vec<_> = contenders.iter().map(|contender| contender.name.as_str()).collect();
    let rows = table::rows(name, &names, &measure(contenders));
    print!("{}", table::text(&rows));
    all.extend(rows);
}

//! The tasks of the repository. `cargo xtask help` lists them.

mod bench;
mod call;
mod ci;
mod loom;
mod suite;
mod tidy;
mod versions;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::call::{Call, root};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The tasks of the repository")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Runs every test: unit, integration and doc tests, the build without std, the models. With
    /// `BRIMFUL_NO_SKIPS=1`, a skipped test fails.
    Test,
    /// Runs the models. Arguments go to the test harness, such as the name of a model.
    Loom {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Runs all checks but the tests: formatting, clippy, documentation, tidy, versions, the benchmarks'
    /// build. Stops at the first failure.
    Check,
    /// Runs the checks and the tests, as a merge needs them. A skipped test fails.
    Ci,
    /// Runs a benchmark with its arguments; without a name, lists the benchmarks.
    Bench {
        name: Option<String>,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Checks the rules that the compiler does not: floors, circles, sizes of files, words, prose.
    Tidy,
    /// Builds the library with the oldest dependencies that its manifest states.
    Minimal,
    /// Runs the property tests against the exact oracle, and a tenth as many operations of real threads
    /// against the window oracle. Then reads a hundredth as many random headers in each test of `brimful-tower`'s readers.
    OracleLong {
        /// The number of operations.
        #[arg(default_value_t = 1_000_000_000)]
        ops: u64,
    },
    /// Runs the arithmetic and the cell under Miri. Arguments go to the test harness.
    Miri {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Runs a program, and stops it after a number of seconds. `test` runs the models so.
    #[command(hide = true)]
    Bounded {
        seconds: u64,
        program: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().verb {
        Verb::Test => suite::verb(false),
        Verb::Loom { args } => loom::call(&args).check(),
        Verb::Check => ci::check(),
        Verb::Ci => ci::verb(),
        Verb::Bench { name, args } => bench::verb(name.as_deref(), &args),
        Verb::Tidy => tidy::verb(&root()),
        Verb::Minimal => versions::minimal().and_then(|good| if good { Ok(()) } else { Err(call::Reported.into()) }),
        Verb::OracleLong { ops } => oracle_long(ops),
        Verb::Miri { args } => miri(&args),
        Verb::Bounded { seconds, program, args } => call::bounded(Duration::from_secs(seconds), &program, &args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<call::Reported>() => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn oracle_long(ops: u64) -> Result<()> {
    Call::cargo(["test", "--release", "-p", "brimful", "--test", "it", "--"])
        .args(&["oracle", "window_bound", "changing_window", "--nocapture", "--test-threads=1"])
        .env("BRIMFUL_ORACLE_OPS", &ops.to_string())
        .env("BRIMFUL_WINDOW_OPS", &(ops / 10).to_string())
        .check()?;
    Call::cargo(["test", "--release", "-p", "brimful-tower", "--test", "it", "--"])
        .args(&["fuzz::", "--nocapture"])
        .env("BRIMFUL_FUZZ_INPUTS", &(ops / 100).to_string())
        .check()
}

/// Runs the tests that Miri can run. The default clock reads the CPU's counter by an instruction that Miri
/// does not know, so the tests of the limiters are not among them.
fn miri(args: &[String]) -> Result<()> {
    const ABLE: [&str; 5] = ["word::", "algorithm::", "cell::", "tokens::", "decimal::"];
    let installed = call::output("cargo", &["+nightly", "miri", "--version"]);
    anyhow::ensure!(installed.is_some(), "Miri is not installed: `rustup toolchain install nightly --component miri`");
    let chosen = if args.is_empty() { ABLE.map(str::to_owned).to_vec() } else { args.to_vec() };
    Call::cargo(["+nightly", "miri", "test", "-p", "brimful", "--lib", "--"])
        .args(&chosen)
        .env("MIRIFLAGS", "-Zmiri-disable-isolation")
        .check()
}

//! The verbs of the repository, as `cargo xtask <verb>`. `cargo xtask help` lists them.

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
#[command(name = "cargo xtask", about = "The verbs of the repository")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Every test: unit, integration and doc tests, the build without std, the loom models.
    Test {
        /// Fail where anything was skipped or ignored.
        #[arg(long)]
        no_skips: bool,
    },
    /// The loom models. Arguments go to the test harness: a model's name, say.
    Loom {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// What has to pass before a change is merged; stops at the first failure.
    Ci,
    /// A benchmark by its name, with its arguments; without a name, what there is.
    Bench {
        name: Option<String>,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// The rules that the compiler does not check: floors, sizes of files, forbidden words, prose.
    Tidy,
    /// Builds the library with the oldest dependencies that its manifest states.
    Minimal,
    /// The property tests against the exact oracle, and a tenth as many operations of real
    /// threads against the window oracle, for long.
    OracleLong {
        /// How many operations.
        #[arg(default_value_t = 1_000_000_000)]
        ops: u64,
    },
    /// The arithmetic and the cell under Miri. Arguments go to the test harness.
    Miri {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Runs a program, and kills it after so many seconds. `test` runs the models by it.
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
        Verb::Test { no_skips } => suite::verb(no_skips),
        Verb::Loom { args } => loom::call(&args).check(),
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
        .args(&["oracle", "window_bound", "--nocapture", "--test-threads=1"])
        .env("BRIMFUL_ORACLE_OPS", &ops.to_string())
        .env("BRIMFUL_WINDOW_OPS", &(ops / 10).to_string())
        .check()
}

/// What Miri can run: the process's clock reads the CPU's counter by an instruction that it
/// does not know, so the default leaves the limiter's own tests out.
fn miri(args: &[String]) -> Result<()> {
    const ABLE: [&str; 5] = ["word::", "algorithm::", "cell::", "tokens::", "decimal::"];
    let installed = Call::cargo(["+nightly", "miri", "--version"]).quiet();
    anyhow::ensure!(installed, "Miri is not installed: `rustup toolchain install nightly --component miri`");
    let chosen = if args.is_empty() { ABLE.map(str::to_owned).to_vec() } else { args.to_vec() };
    Call::cargo(["+nightly", "miri", "test", "-p", "brimful", "--lib", "--"])
        .args(&chosen)
        .env("MIRIFLAGS", "-Zmiri-disable-isolation")
        .check()
}

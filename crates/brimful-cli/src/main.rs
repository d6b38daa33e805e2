//! The command line of brimful. It measures the limiter on this machine and checks the admitted
//! tokens against exact integers, replays logs through the limiter, and states the meaning of
//! quotas.

mod bench;
mod bound;
mod columns;
mod explain;
mod simulate;
mod text;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measure and simulate rate limits with brimful.
///
/// Without a command: `bench`.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    bench: bench::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure decisions on this machine, with and without contention, and check the admitted tokens
    Bench(bench::Args),
    /// Replay logs with their own time stamps: access logs (Apache or nginx, common or combined)
    /// and CSV
    Simulate(Box<simulate::Args>),
    /// State the meaning of a quota in words, and the most tokens that a window of it admits
    Explain(explain::Args),
}

/// Whether the admitted tokens kept to the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Held,
    Violated,
}

/// The reason for no verdict.
#[derive(Debug)]
enum Failure {
    /// The options or the logs cannot be used.
    Input(anyhow::Error),
    /// The results cannot be written.
    Output(io::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Input(error)
    }
}

/// A bare `io::Error` comes from writing: an error of reading names the file, in an
/// [`anyhow::Error`].
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Output(error)
    }
}

/// Exits with 0 if the bound held, with 1 if it did not or the output cannot be written, and with 2
/// if the options or the logs cannot be used. For options, clap does the same.
fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = io::stdout().lock();
    let done = match cli.command.unwrap_or(Command::Bench(cli.bench)) {
        Command::Bench(args) => bench::run(&args, &mut out),
        Command::Simulate(args) => simulate::run(&args, &mut out),
        Command::Explain(args) => explain::run(&args, &mut out),
    };
    match done.and_then(|verdict| out.flush().map(|()| verdict).map_err(Failure::Output)) {
        Ok(Verdict::Held) => ExitCode::SUCCESS,
        Ok(Verdict::Violated) => complain("VIOLATION: more was admitted than the bound allows", 1),
        // The reader of a pipe, such as `head`, closes it when it has seen enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Failure::Output(error)) => complain(&format!("cannot write: {error}"), 1),
        Err(Failure::Input(error)) => complain(&format!("{error:#}"), 2),
    }
}

fn complain(message: &str, code: u8) -> ExitCode {
    // Unlike `eprintln!`, this does not panic if stderr is closed.
    let _ = writeln!(io::stderr(), "brimful: {message}");
    ExitCode::from(code)
}

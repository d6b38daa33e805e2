//! The command line of brimful: measures the limiter on this machine and checks what it
//! admitted against exact integers, replays logs through it, and tells what quotas mean.

mod bench;
mod bound;
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
    /// Decide on this machine, with and without contention, and check what was admitted
    Bench(bench::Args),
    /// Replay logs with their own time stamps: access logs (Apache or nginx, common or combined)
    /// and CSV
    Simulate(simulate::Args),
    /// Tell in words what a quota means, and the most that any window of it admits
    Explain(explain::Args),
}

/// Whether what was admitted kept to the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Held,
    Violated,
}

/// Why there is no verdict.
#[derive(Debug)]
enum Failure {
    /// What was asked for cannot be done.
    Input(anyhow::Error),
    /// What was found cannot be written.
    Output(io::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Input(error)
    }
}

/// Only writing lets a bare `io::Error` through: reading says what it read, in an
/// [`anyhow::Error`].
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Output(error)
    }
}

/// 0 where the bound held, 1 where it did not or the output cannot be written, 2 for what is
/// wrong with the input (as clap has it for options).
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
        // Whoever closed the pipe, `head` for one, has seen enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Failure::Output(error)) => complain(&format!("cannot write: {error}"), 1),
        Err(Failure::Input(error)) => complain(&format!("{error:#}"), 2),
    }
}

fn complain(message: &str, code: u8) -> ExitCode {
    // Unlike `eprintln!`, this does not panic where stderr is closed.
    let _ = writeln!(io::stderr(), "brimful: {message}");
    ExitCode::from(code)
}

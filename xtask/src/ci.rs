//! `check` and `ci`: the steps in order, until one fails. Cheap steps come first.

use std::time::Instant;

use anyhow::Result;

use crate::call::{Call, Reported, output, root};
use crate::loom::under_loom;
use crate::versions::{FEATURES, minimal, oldest_rust};
use crate::{suite, tidy};

/// The result of a step.
pub(crate) enum Outcome {
    Good,
    Failed,
    /// Why the step was skipped, and how to enable it.
    Skipped(String),
}

impl From<bool> for Outcome {
    fn from(is_good: bool) -> Self {
        if is_good { Outcome::Good } else { Outcome::Failed }
    }
}

type Work = Box<dyn Fn() -> Result<Outcome>>;

struct Step {
    name: String,
    /// The command that repeats the step.
    again: String,
    work: Work,
}

impl Step {
    fn new(name: &str, again: &str, work: fn() -> Result<Outcome>) -> Self {
        Step { name: name.to_owned(), again: again.to_owned(), work: Box::new(work) }
    }

    /// A step that is one call of cargo.
    fn call(name: &str, call: Call) -> Self {
        Step { name: name.to_owned(), again: call.to_string(), work: Box::new(move || Ok(call.run()?.into())) }
    }

    fn run(&self) -> Outcome {
        println!("=== {}", self.name);
        let start = Instant::now();
        let outcome = (self.work)().unwrap_or_else(|error| {
            println!("error: {error:#}");
            Outcome::Failed
        });
        let shown = match &outcome {
            Outcome::Good => "good".to_owned(),
            Outcome::Failed => "FAILED".to_owned(),
            Outcome::Skipped(reason) => format!("SKIPPED ({reason})"),
        };
        println!("=== {}: {shown} in {:.1} s", self.name, start.elapsed().as_secs_f64());
        outcome
    }
}

/// Returns all steps but the tests.
fn steps() -> Vec<Step> {
    let doc = |call: Call| call.env("RUSTDOCFLAGS", "-D warnings");
    let strict = ["--", "-D", "warnings"];
    let mut steps = vec![
        Step::new("tidy", "cargo xtask tidy", || Ok(tidy::verb(&root()).is_ok().into())),
        Step::call("format", Call::cargo(["fmt", "--all", "--check"])),
    ];
    for features in FEATURES {
        let call = Call::cargo(["clippy", "-p", "brimful", "--lib", "--no-default-features", "--features", features]);
        steps.push(Step::call(&format!("clippy with the features \"{features}\""), call.args(&strict)));
    }
    steps.extend([
        Step::new("the oldest dependencies", "cargo xtask minimal", || Ok(minimal()?.into())),
        Step::new("the oldest Rust", "cargo xtask check", oldest_rust),
        Step::new("licences and advisories", "cargo deny check", deny),
        Step::call("clippy", Call::cargo(["clippy", "--workspace", "--all-targets", "--all-features"]).args(&strict)),
        Step::call(
            "clippy of the models",
            under_loom(["clippy", "-p", "brimful-loom-tests", "--all-targets"]).args(&strict),
        ),
        // The documentation of private items comes first, so that the folder keeps what users see.
        Step::call(
            "documentation, private",
            doc(Call::cargo(["doc", "-p", "brimful", "--all-features", "--no-deps", "--document-private-items"])),
        ),
        // Libraries only: the pages of the program `brimful` would overwrite those of the library. The
        // models are empty without their cfg, and rustdoc needs that cfg too.
        Step::call(
            "documentation",
            doc(Call::cargo(["doc", "--workspace", "--all-features", "--no-deps", "--lib"])
                .args(&["--exclude", "brimful-loom-tests"])),
        ),
        Step::call(
            "documentation of the models",
            under_loom(["doc", "-p", "brimful-loom-tests", "--no-deps"])
                .env("RUSTDOCFLAGS", "--cfg brimful_loom -D warnings"),
        ),
        Step::call("benchmarks build", Call::cargo(["bench", "-p", "brimful-benches", "--no-run"])),
    ]);
    steps
}

/// Checks the dependencies against deny.toml, if cargo-deny is installed.
fn deny() -> Result<Outcome> {
    if output("cargo", &["deny", "--version"]).is_none() {
        return Ok(Outcome::Skipped("cargo-deny is not installed: `cargo install --locked cargo-deny`".to_owned()));
    }
    Ok(Call::cargo(["deny", "check"]).run()?.into())
}

/// Runs all steps but the tests. If a step fails, the last line is `0 passed, 1 failed`.
pub(crate) fn check() -> Result<()> {
    let start = Instant::now();
    let mut skipped = Vec::new();
    for step in steps() {
        match step.run() {
            Outcome::Good => {}
            Outcome::Skipped(reason) => skipped.push(format!("SKIPPED: {}: {reason}", step.name)),
            Outcome::Failed => {
                println!("FAILED: {}. Repeat it with: {}", step.name, step.again);
                println!("0 passed, 1 failed");
                return Err(Reported.into());
            }
        }
    }
    skipped.iter().for_each(|line| println!("{line}"));
    println!("all checks but {} in {:.0} s", skipped.len(), start.elapsed().as_secs_f64());
    Ok(())
}

/// Runs the checks and the tests. A skipped test fails.
pub(crate) fn verb() -> Result<()> {
    check()?;
    suite::verb(true)
}

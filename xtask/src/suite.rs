//! `test`: everything, counted.

use std::fmt;
use std::path::Path;

use anyhow::Result;

use crate::call::{Call, Reported};
use crate::loom;

/// The models are small worlds; one that takes longer has grown out of hand.
const MODELS_SECONDS: u64 = 600;

/// What the tests on real traces read, from the folder in `BRIMFUL_TRACES`.
const TRACES: [&str; 2] = ["apache_access.log", "azure_llm_code.csv"];

/// How the tests went.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
    /// What was not run, and how to get it.
    pub(crate) skipped: Vec<String>,
    /// The commands that failed.
    pub(crate) broken: Vec<String>,
}

impl Tally {
    /// Adds what one of cargo's lines `test result: ok. 3 passed; 0 failed; 1 ignored; …` says.
    fn read(&mut self, line: &str) {
        let Some(numbers) = line.strip_prefix("test result: ") else { return };
        // The first part is `ok. 3 passed`.
        for part in numbers.split(['.', ';']) {
            let Some((count, what)) = part.trim().split_once(' ') else { continue };
            let Ok(count) = count.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }

    /// Runs `call` and counts its tests. What fails without a failed test (it did not build,
    /// or was stopped) counts as one.
    fn run(&mut self, what: &str, call: &Call) -> Result<()> {
        println!("--- {what}: {call}");
        let failed = self.failed;
        if !call.watch(|line| self.read(line))? {
            self.failed += u64::from(self.failed == failed);
            self.broken.push(format!("{what}: {call}"));
        }
        Ok(())
    }

    pub(crate) fn skips(&self) -> u64 {
        self.ignored + self.skipped.len() as u64
    }

    /// Whether it will do; with `no_skips`, only where nothing was left out.
    pub(crate) fn good(&self, no_skips: bool) -> bool {
        self.failed == 0 && !(no_skips && self.skips() > 0)
    }

    /// What failed and what was left out. The counts are the caller's to print, last.
    pub(crate) fn report(&self) {
        println!();
        for broken in &self.broken {
            println!("FAILED: {broken}");
        }
        for skipped in &self.skipped {
            println!("SKIPPED: {skipped}");
        }
        if self.ignored > 0 {
            println!(
                "SKIPPED: {} ignored tests: their reasons stand beside `ignored` above; run them with \
                 `cargo test --workspace -- --ignored`",
                self.ignored
            );
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skips())
    }
}

/// Runs all of it, failures or not.
pub(crate) fn run() -> Result<Tally> {
    let mut tally = Tally::default();
    // The README's examples are doc tests of the core, which `tidy` sees to.
    let workspace = Call::cargo(["test", "--workspace", "--all-features", "--no-fail-fast"])
        // These measure, or need a cfg of their own.
        .args(&["--exclude", "brimful-benches", "--exclude", "brimful-loom-tests"]);
    tally.run("unit, integration and doc tests", &workspace)?;
    let bare = Call::cargo(["check", "-p", "brimful", "--no-default-features", "--lib"]);
    tally.run("the core without std", &bare)?;
    tally.run("the models", &loom::bounded_call(MODELS_SECONDS))?;
    tally.skipped.extend(missing_traces(std::env::var_os("BRIMFUL_TRACES").as_deref().map(Path::new)));
    Ok(tally)
}

pub(crate) fn verb(no_skips: bool) -> Result<()> {
    let tally = run()?;
    tally.report();
    println!("{tally}");
    if tally.good(no_skips) { Ok(()) } else { Err(Reported.into()) }
}

/// Why the tests on real traces did not run. Cargo drops what a passing test prints, so that
/// they cannot tell themselves.
fn missing_traces(folder: Option<&Path>) -> Option<String> {
    let all = TRACES.join(" and ");
    let missing = match folder {
        None => "BRIMFUL_TRACES is not set".to_owned(),
        Some(folder) => {
            let missing = TRACES.iter().find(|name| !folder.join(name).is_file())?;
            format!("BRIMFUL_TRACES holds no {missing}")
        }
    };
    Some(format!("tests on real traces ({missing}): set BRIMFUL_TRACES to a folder that holds {all}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted() {
        let mut tally = Tally::default();
        for line in [
            "running 4 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 9 filtered out; finished in 0.61s",
            "test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 12.00s",
        ] {
            tally.read(line);
        }
        assert_eq!(tally.to_string(), "13 passed, 2 failed, 1 skipped");
        assert!(!tally.good(false));
    }

    #[test]
    fn skips_fail_only_where_they_must_not_be() {
        let skipping = Tally { skipped: vec!["a".to_owned()], ..Tally::default() };
        assert!(skipping.good(false) && !skipping.good(true));
        let ignoring = Tally { ignored: 1, ..Tally::default() };
        assert!(ignoring.good(false) && !ignoring.good(true));
        assert!(Tally::default().good(true));
    }

    #[test]
    fn traces_that_are_not_there_are_told() {
        assert!(missing_traces(None).unwrap().contains("is not set"));
        let nowhere = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(missing_traces(Some(nowhere)).unwrap().contains(TRACES[0]));
    }
}

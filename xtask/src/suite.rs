//! `test`: all tests, counted.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::call::{Call, Reported};
use crate::loom;

/// A test program of the models that takes longer is stopped, and fails. The models are small worlds.
const MODELS_SECONDS: u64 = 600;

/// The files that the tests on real traces read, from the folder in `BRIMFUL_TRACES`.
const TRACES: [&str; 2] = ["apache_access.log", "azure_llm_code.csv"];

/// If this variable is set, and is neither empty nor `0`, a skipped or ignored test fails the run.
const NO_SKIPS: &str = "BRIMFUL_NO_SKIPS";

/// The results of the tests.
#[derive(Debug, Default)]
struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// The tests that did not run, and how to enable them.
    skipped: Vec<String>,
    /// The commands that failed.
    broken: Vec<String>,
}

impl Tally {
    /// Adds the counts of one of cargo's lines `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
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

    /// Runs `call` and counts its tests. A call that fails without a failed test (it did not build, or was
    /// stopped) counts as one.
    fn run(&mut self, what: &str, call: &Call) -> Result<()> {
        println!("--- {what}: {call}");
        let failed = self.failed;
        if !call.watch(|line| self.read(line))? {
            self.failed += u64::from(self.failed == failed);
            self.broken.push(format!("{what}: {call}"));
        }
        Ok(())
    }

    fn skips(&self) -> u64 {
        self.ignored + self.skipped.len() as u64
    }

    /// Whether no test failed and, with `no_skips`, none was skipped.
    fn good(&self, no_skips: bool) -> bool {
        self.failed == 0 && !(no_skips && self.skips() > 0)
    }

    /// Prints the commands that failed and the tests that were skipped. The caller prints the counts.
    fn report(&self) {
        println!();
        for broken in &self.broken {
            println!("FAILED: {broken}");
        }
        for skipped in &self.skipped {
            println!("SKIPPED: {skipped}");
        }
        if self.ignored > 0 {
            println!(
                "SKIPPED: {} ignored tests: their reasons are beside `ignored` above; run them with \
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

/// Runs all tests, also after one failed.
fn run() -> Result<Tally> {
    let mut tally = Tally::default();
    // The README's examples are doc tests of the core; `tidy` checks that.
    let workspace = Call::cargo(["test", "--workspace", "--all-features", "--no-fail-fast"])
        // The benchmarks are no tests, and the models need a cfg of their own.
        .args(&["--exclude", "brimful-benches", "--exclude", "brimful-loom-tests"]);
    tally.run("unit, integration and doc tests", &workspace)?;
    let bare = Call::cargo(["check", "-p", "brimful", "--no-default-features", "--lib"]);
    tally.run("the core without std", &bare)?;
    tally.run("the models", &loom::bounded_call(MODELS_SECONDS))?;
    tally.skipped.extend(missing_traces(std::env::var_os("BRIMFUL_TRACES").as_deref().map(Path::new)));
    let (browser, path) = (std::env::var_os("BRIMFUL_CHROMIUM"), std::env::var_os("PATH").unwrap_or_default());
    tally.skipped.extend(missing_browser(browser.as_deref(), &path));
    tally.skipped.extend(missing_server(&path));
    tally.skipped.extend(missing_compiler(&path));
    tally.skipped.extend(missing_postgres(&path, Path::new("/usr/lib/postgresql")));
    Ok(tally)
}

/// Runs all tests. The last line is `N passed, N failed, N skipped`. With `no_skips`, or if
/// [`BRIMFUL_NO_SKIPS`](NO_SKIPS) is set, a skipped test fails.
pub(crate) fn verb(no_skips: bool) -> Result<()> {
    let no_skips = no_skips || is_set(std::env::var_os(NO_SKIPS).as_deref());
    let tally = run()?;
    tally.report();
    if no_skips && tally.skips() > 0 {
        println!("FAILED: tests were skipped: enable them, or unset {NO_SKIPS}");
    }
    println!("{tally}");
    if tally.good(no_skips) { Ok(()) } else { Err(Reported.into()) }
}

fn is_set(variable: Option<&OsStr>) -> bool {
    variable.is_some_and(|value| !value.is_empty() && value != "0")
}

/// Returns why the tests on real traces did not run. The tests cannot report it, because cargo drops the
/// output of a test that passes.
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

/// Returns why the test of a page did not run: it looks for the browser in the same places.
fn missing_browser(named: Option<&OsStr>, path: &OsStr) -> Option<String> {
    let is_named = named.is_some_and(|program| !program.is_empty());
    let is_there = is_named || is_on(path, "chromium");
    let how = "the test of the example's page (there is no `chromium` on the path): install Debian's package chromium, \
               or set BRIMFUL_CHROMIUM to the program";
    (!is_there).then(|| how.to_owned())
}

/// Returns why the tests of `brimful-redis` on Redis did not run.
fn missing_server(path: &OsStr) -> Option<String> {
    let how = "the tests of brimful-redis on real servers (there is no `redis-server` on the path): install Debian's \
               package redis-server";
    (!is_on(path, "redis-server")).then(|| how.to_owned())
}

/// Returns why the tests of `brimful-redis` with clocks that are wrong did not run: they build a library that shifts them.
fn missing_compiler(path: &OsStr) -> Option<String> {
    let how = "the tests of brimful-redis with wrong clocks (there is no `cc` on the path): install Debian's packages gcc \
               and libc6-dev";
    (!is_on(path, "cc")).then(|| how.to_owned())
}

/// Returns why the tests of `brimful-redis` on PostgreSQL did not run: they look for the server on the path and, because
/// Debian's package puts it there, in the folders of the versions.
fn missing_postgres(path: &OsStr, versions: &Path) -> Option<String> {
    let folders = fs::read_dir(versions).into_iter().flatten().flatten();
    let is_there =
        is_on(path, "initdb") || folders.into_iter().any(|folder| folder.path().join("bin/initdb").is_file());
    let how = "the tests of brimful-redis on PostgreSQL (there is no `initdb`): install Debian's package postgresql";
    (!is_there).then(|| how.to_owned())
}

fn is_on(path: &OsStr, program: &str) -> bool {
    std::env::split_paths(path).any(|folder| folder.join(program).is_file())
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
    fn skips_fail_only_if_asked() {
        let skipping = Tally { skipped: vec!["a".to_owned()], ..Tally::default() };
        assert!(skipping.good(false) && !skipping.good(true));
        let ignoring = Tally { ignored: 1, ..Tally::default() };
        assert!(ignoring.good(false) && !ignoring.good(true));
        assert!(Tally::default().good(true));
    }

    #[test]
    fn a_variable_is_set_unless_it_is_empty_or_zero() {
        let set = [None, Some(""), Some("0"), Some("1")].map(|value| is_set(value.map(OsStr::new)));
        assert_eq!(set, [false, false, false, true]);
    }

    #[test]
    fn missing_traces_are_reported() {
        assert!(missing_traces(None).unwrap().contains("is not set"));
        let nowhere = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(missing_traces(Some(nowhere)).unwrap().contains(TRACES[0]));
    }

    #[test]
    fn a_missing_program_is_reported() {
        let nowhere = OsStr::new(env!("CARGO_MANIFEST_DIR"));
        assert!(missing_server(nowhere).unwrap().contains("install"));
        assert!(missing_compiler(nowhere).unwrap().contains("install"));
        assert!(missing_postgres(nowhere, Path::new(nowhere)).unwrap().contains("install"));
        assert!(missing_browser(None, nowhere).unwrap().contains("install"));
        assert!(missing_browser(Some(OsStr::new("")), nowhere).is_some());
        assert_eq!(missing_browser(Some(OsStr::new("/opt/chromium")), nowhere), None);
    }
}

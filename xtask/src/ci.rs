//! `ci`: the steps in order, cheap ones first, until one fails.

use std::time::Instant;

use anyhow::Result;

use crate::call::{Call, Reported, root};
use crate::loom::under_loom;
use crate::versions::{FEATURES, minimal};
use crate::{suite, tidy};

/// A step that is one command.
fn steps() -> [(&'static str, Call); 7] {
    let doc = |call: Call| call.env("RUSTDOCFLAGS", "-D warnings");
    let strict = ["--", "-D", "warnings"];
    [
        ("format", Call::cargo(["fmt", "--all", "--check"])),
        ("clippy", Call::cargo(["clippy", "--workspace", "--all-targets", "--all-features"]).args(&strict)),
        ("clippy of the models", under_loom(["clippy", "-p", "brimful-loom-tests", "--all-targets"]).args(&strict)),
        // With the private items first, so that what stays in the folder is what users see.
        (
            "documentation, private",
            doc(Call::cargo(["doc", "-p", "brimful", "--all-features", "--no-deps", "--document-private-items"])),
        ),
        // Libraries: the program `brimful` would write over the library of that name. The models
        // are empty without their cfg, which rustdoc has to be told as well.
        (
            "documentation",
            doc(Call::cargo(["doc", "--workspace", "--all-features", "--no-deps", "--lib"])
                .args(&["--exclude", "brimful-loom-tests"])),
        ),
        (
            "documentation of the models",
            under_loom(["doc", "-p", "brimful-loom-tests", "--no-deps"])
                .env("RUSTDOCFLAGS", "--cfg brimful_loom -D warnings"),
        ),
        ("benchmarks build", Call::cargo(["bench", "-p", "brimful-benches", "--no-run"])),
    ]
}

/// The last line is `N passed, N failed`, whatever happens.
pub(crate) fn verb() -> Result<()> {
    let start = Instant::now();
    let fail = |step: &str, again: &str, passed: u64, failed: u64| {
        println!("FAILED: {step}. Repeat it with: {again}");
        println!("{passed} passed, {failed} failed");
        Err(Reported.into())
    };
    if timed("tidy", || Ok(tidy::verb(&root()).is_ok())).is_err() {
        return fail("tidy", "cargo xtask tidy", 0, 1);
    }
    for features in FEATURES {
        let call = Call::cargo(["clippy", "-p", "brimful", "--lib", "--no-default-features", "--features", features])
            .args(&["--", "-D", "warnings"]);
        if timed(&format!("clippy with the features \"{features}\""), || call.run()).is_err() {
            return fail("clippy of a set of features", &call.to_string(), 0, 1);
        }
    }
    if timed("the oldest dependencies", minimal).is_err() {
        return fail("the oldest dependencies", "cargo xtask minimal", 0, 1);
    }
    for (name, call) in steps() {
        if timed(name, || call.run()).is_err() {
            return fail(name, &call.to_string(), 0, 1);
        }
    }
    let mut tally = suite::Tally::default();
    let tested = timed("test", || {
        tally = suite::run()?;
        tally.report();
        Ok(tally.good(true))
    });
    if tested.is_err() {
        return fail("test", "cargo xtask test --no-skips", tally.passed, (tally.failed + tally.skips()).max(1));
    }
    println!("everything in {:.0} s", start.elapsed().as_secs_f64());
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(())
}

fn timed(name: &str, step: impl FnOnce() -> Result<bool>) -> Result<()> {
    println!("=== {name}");
    let start = Instant::now();
    let good = step().unwrap_or_else(|error| {
        println!("error: {error:#}");
        false
    });
    println!("=== {name}: {} in {:.1} s", if good { "good" } else { "FAILED" }, start.elapsed().as_secs_f64());
    if good { Ok(()) } else { Err(Reported.into()) }
}

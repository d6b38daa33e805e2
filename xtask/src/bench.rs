//! Benchmarks by name.

use anyhow::Result;

use crate::call::Call;

/// What there is. A name that is not here goes to cargo, which knows the programs of the
/// package.
const BENCHES: [(&str, &str); 4] = [
    ("contention", "limiters of one bucket, beside the peers, and the bars: a program with its own arguments"),
    ("keyed", "limiters of many keys, beside the peers, and the bars: a program with its own arguments"),
    ("waiting", "those who wait, beside the peers, and the bars: a program with its own arguments"),
    ("criterion", "one decision, beside the peers, by criterion: arguments filter by name"),
];

pub(crate) fn verb(name: Option<&str>, args: &[String]) -> Result<()> {
    match name {
        None => {
            for (name, what) in BENCHES {
                println!("cargo xtask bench {name:<12} {what}");
            }
            Ok(())
        }
        Some("criterion") => Call::cargo(["bench", "-p", "brimful-benches", "--benches", "--"]).args(args).check(),
        Some(name) => {
            Call::cargo(["run", "--release", "-p", "brimful-benches", "--bin", name, "--"]).args(args).check()
        }
    }
}

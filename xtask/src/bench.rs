//! `bench`: the benchmarks by name.

use anyhow::Result;

use crate::call::Call;

/// The names that are listed. Other names go to cargo, which has all programs of the package.
const BENCHES: [(&str, &str); 7] = [
    ("contention", "limiters of one bucket and the peers; takes arguments of its own"),
    ("http", "middleware for HTTP, in process and over loopback, and the peers; takes arguments of its own"),
    ("http-heap", "the allocations of middleware for HTTP, and those of the peers"),
    ("keyed", "limiters of many keys and the peers; takes arguments of its own"),
    ("redis", "limits on a Redis server, and redis-benchmark; takes arguments of its own"),
    ("waiting", "waiters, and the peers; takes arguments of its own"),
    ("criterion", "one decision and the peers, measured by criterion; arguments filter by name"),
];

pub(crate) fn verb(name: Option<&str>, args: &[String]) -> Result<()> {
    match name {
        None => {
            for (name, description) in BENCHES {
                println!("cargo xtask bench {name:<12} {description}");
            }
            Ok(())
        }
        Some("criterion") => Call::cargo(["bench", "-p", "brimful-benches", "--benches", "--"]).args(args).check(),
        Some(name) => {
            Call::cargo(["run", "--release", "-p", "brimful-benches", "--bin", name, "--"]).args(args).check()
        }
    }
}

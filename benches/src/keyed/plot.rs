//! What is drawn of many keys.

use std::io;
use std::path::Path;

use crate::plot::{Axis, draw, lines};
use crate::report::Report;

/// Nanoseconds of a hit, by the number of keys.
pub(super) fn hits(path: &Path, scenarios: &[(f64, &str)], report: &Report) -> io::Result<()> {
    let Some((_, first)) = scenarios.first() else { return Ok(()) };
    let line = |name: &str| {
        let point = |&(keys, scenario): &(f64, &str)| Some((keys, report.get(scenario, name, "median ns")?));
        (name.to_owned(), scenarios.iter().filter_map(point).collect())
    };
    let lines = lines(report.contenders(first).into_iter().map(line));
    let title = if path.to_string_lossy().contains("ahash") { "ahash" } else { "SipHash" };
    draw(path, &format!("A hit, u64, uniform, {title}"), ("keys", "ns per hit"), &lines, Axis::Counts, true)
}

/// Bytes per key, by the number of keys.
pub(super) fn memory(path: &Path, scenario: &str, names: &[String], counts: &[u64], report: &Report) -> io::Result<()> {
    let line = |name: &String| {
        let point = |&keys: &u64| Some((keys as f64, report.get(scenario, name, &format!("bytes at {keys}"))?));
        (name.clone(), counts.iter().filter_map(point).collect())
    };
    draw(path, "Resident memory", ("live keys", "bytes per key"), &lines(names.iter().map(line)), Axis::Counts, false)
}

/// Nanoseconds of single insertions, by percentile.
pub(super) fn insertions(
    path: &Path,
    scenario: &str,
    names: &[&str],
    measures: &[&'static str],
    report: &Report,
) -> io::Result<()> {
    let line = |name: &&str| {
        let point = |(place, measure): (usize, &&str)| {
            // A logarithm wants a distance from nothing.
            let value = report.get(scenario, name, &format!("{measure} ns"))?;
            Some((place as f64 + 1.0, value.max(1.0)))
        };
        ((*name).to_owned(), measures.iter().enumerate().filter_map(point).collect())
    };
    let lines = lines(names.iter().map(line));
    let title = "A new u64 key, while a limiter grows to 10^6";
    draw(path, title, ("percentile", "ns of CPU time"), &lines, Axis::Names(measures), true)
}

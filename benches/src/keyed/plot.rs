//! What is drawn of many keys.

use std::io;
use std::path::Path;

use crate::plot::{Axis, Words, draw_lines, lines};
use crate::report::Report;

/// Nanoseconds of a hit, by the number of keys.
pub(super) fn hits(folder: &Path, hasher: &str, scenarios: &[(f64, &str)], report: &Report) -> io::Result<()> {
    let Some((_, first)) = scenarios.first() else { return Ok(()) };
    let line = |name: &str| {
        let point = |&(keys, scenario): &(f64, &str)| Some((keys, report.get(scenario, name, "median ns")?));
        (name.to_owned(), scenarios.iter().filter_map(point).collect())
    };
    let lines = lines(report.contenders(first).into_iter().map(line));
    let title = format!("A hit, u64, uniform, {hasher}");
    let words = Words { title: &title, across: "keys", up: "ns per hit" };
    draw_lines(folder, &format!("hit-{}", hasher.to_lowercase()), &words, &lines, &Axis::Counts, true)
}

/// Bytes per key, by the number of keys.
pub(super) fn memory(
    folder: &Path,
    scenario: &str,
    names: &[String],
    counts: &[u64],
    report: &Report,
) -> io::Result<()> {
    let line = |name: &String| {
        let point = |&keys: &u64| Some((keys as f64, report.get(scenario, name, &format!("bytes at {keys}"))?));
        (name.clone(), counts.iter().filter_map(point).collect())
    };
    let words = Words { title: "Resident memory", across: "live keys", up: "bytes per key" };
    draw_lines(folder, "memory", &words, &lines(names.iter().map(line)), &Axis::Counts, false)
}

/// Nanoseconds of single insertions, by percentile.
pub(super) fn insertions(
    folder: &Path,
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
    let words = Words { title, across: "percentile", up: "ns of CPU time" };
    draw_lines(folder, "insert", &words, &lines, &Axis::Names(measures), true)
}

//! Plots of limiters of one bucket.

use std::io;

use super::limiters::FIELD;
use super::threads::THREADS;
use crate::bench::Scale;
use crate::plot::{Axis, Words, draw_bars, draw_lines, lines};
use crate::report::Report;

/// Draws the median of each contender.
pub(super) fn bars(scale: &Scale, scenario: &str, name: &str, title: &str, report: &Report) -> io::Result<()> {
    let Some(folder) = &scale.svg else { return Ok(()) };
    let bar = |name| Some((name, report.get(scenario, name, "median ns")?));
    let bars: Vec<(&str, f64)> = report.contenders(scenario).into_iter().filter_map(bar).collect();
    draw_bars(folder, name, title, "ns per decision", &bars)
}

/// Draws the throughput of all threads together, by the number of threads.
pub(super) fn threads(
    scale: &Scale,
    name: &str,
    title: &str,
    report: &Report,
    scenario: impl Fn(usize) -> String,
) -> io::Result<()> {
    let Some(folder) = &scale.svg else { return Ok(()) };
    let names = report.contenders(&scenario(1)).into_iter().filter(|name| name.starts_with("floor"));
    let line = |name: &str| {
        let point = |(place, &threads): (usize, &usize)| {
            Some((place as f64 + 1.0, 1e3 / report.get(&scenario(threads), name, "median ns")?))
        };
        (name.to_owned(), THREADS.iter().enumerate().filter_map(point).collect())
    };
    let lines = lines(names.chain(FIELD).map(line));
    let words = Words { title, across: "threads", up: "million decisions per second, together" };
    draw_lines(folder, name, &words, &lines, &Axis::Names(&["1", "2", "4", "8"]), true)
}

//! Plots of waiters.

use std::io;
use std::path::Path;

use crate::plot::{Axis, Words, draw_lines, lines};
use crate::report::Report;

/// Draws the CPU time per token, by crowd.
pub(super) fn cpu(folder: &Path, crowds: &[(&'static str, String)], names: &[&str], report: &Report) -> io::Result<()> {
    let letters: Vec<&'static str> = crowds.iter().map(|(letter, _)| *letter).collect();
    let line = |name: &&str| {
        let point = |(place, (_, scenario)): (usize, &(&str, String))| {
            Some((place as f64 + 1.0, report.get(scenario, name, "CPU µs/token")?))
        };
        ((*name).to_owned(), crowds.iter().enumerate().filter_map(point).collect())
    };
    let title = "CPU time of crowds of waiters";
    let words = Words { title, across: "crowd", up: "µs per token" };
    draw_lines(folder, "waiting-cpu", &words, &lines(names.iter().map(line)), &Axis::Names(&letters), true)
}

/// Draws the lateness of a lone waiter, by percentile.
pub(super) fn lateness(
    folder: &Path,
    scenario: &str,
    names: &[&str],
    measures: &[&'static str],
    report: &Report,
) -> io::Result<()> {
    let line = |name: &&str| {
        let point = |(place, measure): (usize, &&str)| {
            // A logarithmic axis needs a distance from zero.
            Some((place as f64 + 1.0, report.get(scenario, name, measure)?.max(1.0)))
        };
        ((*name).to_owned(), measures.iter().enumerate().filter_map(point).collect())
    };
    let title = "Lateness of a lone waiter";
    let words = Words { title, across: "percentile", up: "µs" };
    draw_lines(folder, "waiting-alone", &words, &lines(names.iter().map(line)), &Axis::Names(measures), true)
}

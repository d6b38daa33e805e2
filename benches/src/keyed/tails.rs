//! Tables of single calls, by their percentiles.

use std::io;

use crate::bench::Scale;
use crate::child;
use crate::histogram::Histogram;
use crate::report::{Bar, Report, figure};

/// The figures of single calls.
pub(super) struct Tail;

impl Tail {
    /// Returns the median, the 99.9th percentile and the worst, in nanoseconds.
    pub(super) fn of(times: &Histogram) -> Vec<f64> {
        [times.percentile(0.5), times.percentile(0.999), times.worst()].map(|nanos| nanos as f64).into()
    }
}

/// A table of the figures that children answered with. The third is the worst call.
pub(super) struct Tails {
    title: String,
    measures: &'static [&'static str],
    /// Measures of brimful, and the most microseconds that each may be.
    bars: &'static [(&'static str, f64)],
    rows: Vec<Line>,
}

struct Line {
    contender: String,
    quota: String,
    /// The median over the runs.
    figures: Vec<f64>,
    /// The worst call of all runs.
    worst: f64,
}

/// The measures that are not times.
const SHARES: [&str; 2] = ["held", "admitted"];

impl Tails {
    pub(super) fn new(title: String, measures: &'static [&'static str], bars: &'static [(&'static str, f64)]) -> Self {
        Tails { title, measures, bars, rows: Vec::new() }
    }

    /// Measures pairs of a contender and a quota in turns, each run in a process of its own.
    pub(super) fn ask(
        &mut self,
        scale: &Scale,
        pairs: &[(&str, &str)],
        words: impl Fn(&str, &str) -> Vec<String>,
    ) -> io::Result<()> {
        let words: Vec<Vec<String>> = pairs.iter().map(|(contender, quota)| words(contender, quota)).collect();
        let words: Vec<Vec<&str>> = words.iter().map(|words| words.iter().map(String::as_str).collect()).collect();
        let answers = child::ask_in_turns(scale.runs.min(5), &words)?;
        for ((contender, quota), answers) in pairs.iter().zip(answers) {
            let worst = answers.iter().filter_map(|answer| answer.get(2)).copied().fold(f64::NAN, f64::max);
            let figures = child::medians(&answers);
            self.rows.push(Line { contender: (*contender).to_owned(), quota: (*quota).to_owned(), figures, worst });
        }
        Ok(())
    }

    /// Prints the table, the worst call first, and compares the worst of brimful's rows with the
    /// bars.
    pub(super) fn publish(mut self, report: &mut Report) {
        let worst = |line: &Line| line.figures.get(2).copied().unwrap_or_default();
        self.rows.sort_by(|one, other| worst(other).total_cmp(&worst(one)));
        println!("\n{}: µs of the thread's CPU time, with a reading of it", self.title);
        let head: Vec<_> = self.measures.iter().map(|measure| format!("{measure:>10}")).collect();
        println!("  {:<22} {:<22} {} {:>14}", "", "", head.join(" "), "worst of all");
        for line in &self.rows {
            let figures = self.measures.iter().zip(&line.figures).map(|(measure, &value)| {
                let value = if SHARES.contains(measure) { value } else { value / 1e3 };
                format!("{:>10}", figure(value))
            });
            let figures: Vec<_> = figures.collect();
            println!(
                "  {:<22} {:<22} {} {:>14}",
                line.quota,
                line.contender,
                figures.join(" "),
                figure(line.worst / 1e3)
            );
            let scenario = format!("{}, {}", self.title, line.quota);
            for (measure, &value) in self.measures.iter().zip(&line.figures) {
                report.add(&scenario, &line.contender, measure, value);
            }
        }
        for &(measure, limit) in self.bars {
            let place = self.measures.iter().position(|known| *known == measure).unwrap_or_default();
            let ours = self.rows.iter().filter(|line| line.contender.starts_with("brimful"));
            let micros = |line: &&Line| line.figures.get(place).map_or(f64::INFINITY, |nanos| nanos / 1e3);
            if let Some(line) = ours.max_by(|one, other| micros(one).total_cmp(&micros(other))) {
                let what = format!("{}: {measure}, µs, worst of all quotas ({})", self.title, line.quota);
                report.bar(&what, Bar::AtMost(limit), Some(micros(&line)));
            }
        }
    }
}

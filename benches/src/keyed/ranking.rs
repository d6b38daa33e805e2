//! Tables whose first row is the worst.

use std::io;
use std::path::Path;

use crate::harness::Timing;
use crate::plot::{Axis, Words, draw_lines, lines};
use crate::report::{Bar, Report};

/// The measure of the row with the worst ratio.
const AT_WORST: &str = "ns at the worst ratio";

pub(super) const TO_GOVERNOR: &str = "/ governor";

/// One table: a row for each quota and traffic.
pub(super) struct Ranking {
    pub(super) title: String,
    pub(super) contenders: Vec<&'static str>,
    pub(super) rows: Vec<Row>,
    /// The name of the ratio.
    pub(super) ratio: &'static str,
    /// The most that the worst ratio may be.
    pub(super) bar: Option<f64>,
}

pub(super) struct Row {
    pub(super) quota: &'static str,
    pub(super) traffic: &'static str,
    /// In the order of the contenders; a gap if a library cannot express the quota.
    pub(super) timings: Vec<Option<Timing>>,
    /// The ratio of brimful's first contender to governor, unless the table states another.
    pub(super) ratio: Option<f64>,
    /// The shares that brimful and governor admitted.
    pub(super) admitted: [Option<f64>; 2],
    /// The contenders that admitted a share of the calls that is outside the traffic's bounds.
    pub(super) wrong: String,
}

impl Ranking {
    /// Prints the table, keeps its figures, and compares the worst ratio with the bar.
    pub(super) fn publish(mut self, report: &mut Report) {
        self.rows.sort_by(|one, other| {
            let key = |row: &Row| row.ratio.unwrap_or(f64::INFINITY);
            key(other).total_cmp(&key(one))
        });
        let head: Vec<_> = self.contenders.iter().map(|name| format!("{name:>17}")).collect();
        println!("\n{}, ns", self.title);
        println!("  {:<22} {:<10} {:>11} {}  {:>10}", "", "", "admitted", head.join(""), self.ratio);
        for row in &self.rows {
            println!("{}", self.line(row));
            self.keep(row, report);
        }
        let Some(worst) = self.rows.first() else { return };
        for (name, timing) in self.contenders.iter().zip(&worst.timings) {
            if let Some(timing) = timing {
                report.add(&self.title, name, AT_WORST, timing.median);
            }
        }
        if let Some(limit) = self.bar {
            let what = format!("{}: worst of {} ({}, {})", self.title, self.rows.len(), worst.quota, worst.traffic);
            report.bar(&what, Bar::AtMost(limit), worst.ratio);
        }
    }

    fn line(&self, row: &Row) -> String {
        let times = row.timings.iter().map(|timing| match timing {
            Some(timing) => format!("{:>17.1}", timing.median),
            None => format!("{:>17}", "not possible"),
        });
        let times: Vec<_> = times.collect();
        let verdict = match (row.ratio, self.bar) {
            (Some(ratio), Some(limit)) if ratio > limit => format!("MISSED {limit:.2}"),
            (Some(_), Some(limit)) => format!("met {limit:.2}"),
            _ => String::new(),
        };
        let ratio = row.ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.3}"));
        let wrong = if row.wrong.is_empty() { String::new() } else { format!("  not this traffic: {}", row.wrong) };
        let (quota, traffic, admitted) = (row.quota, row.traffic, shares(row.admitted));
        let line =
            format!("  {quota:<22} {traffic:<10} {admitted:>11} {}  {ratio:>10}  {verdict}{wrong}", times.join(""));
        line.trim_end().to_owned()
    }

    fn keep(&self, row: &Row, report: &mut Report) {
        let scenario = format!("{}, {}, {}", self.title, row.quota, row.traffic);
        for (name, timing) in self.contenders.iter().zip(&row.timings) {
            if let Some(timing) = timing {
                report.add(&scenario, name, "median ns", timing.median);
                report.add(&scenario, name, "least ns", timing.least);
            }
        }
        if let Some(ratio) = row.ratio {
            report.add(&scenario, "brimful", self.ratio, ratio);
        }
        for (name, share) in ["brimful", "governor"].iter().zip(row.admitted) {
            if let Some(share) = share {
                report.add(&scenario, name, "admitted", share);
            }
        }
    }
}

/// Formats both shares, as one percentage if they are alike.
fn shares([ours, theirs]: [Option<f64>; 2]) -> String {
    let text = |share: Option<f64>| share.map_or("–".to_owned(), |share| format!("{:.0}", share * 100.0));
    let (ours, theirs) = (text(ours), text(theirs));
    if ours == theirs { format!("{ours}%") } else { format!("{ours}, {theirs}%") }
}

/// Draws the rows with the worst ratio of some tables, by the number of keys.
pub(super) fn draw(
    folder: &Path,
    file: &str,
    title: &str,
    contenders: &[&str],
    tables: &[(u64, String)],
    report: &Report,
) -> io::Result<()> {
    let line = |name: &&str| {
        let point = |(keys, table): &(u64, String)| Some((*keys as f64, report.get(table, name, AT_WORST)?));
        ((*name).to_owned(), tables.iter().filter_map(point).collect())
    };
    let words = Words { title, across: "keys", up: "ns per call" };
    draw_lines(folder, file, &words, &lines(contenders.iter().map(line)), &Axis::Counts, true)
}

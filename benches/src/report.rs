//! The results: figures for readers and for plots, and the bars.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use crate::harness::Timing;
use crate::table;

/// One figure.
#[derive(Clone, Debug)]
pub struct Value {
    /// The scenario, beginning with the section.
    pub scenario: String,
    /// The contender.
    pub contender: String,
    /// The measure, with its unit.
    pub measure: String,
    /// The figure.
    pub value: f64,
}

/// All figures, and the verdicts.
#[derive(Debug, Default)]
pub struct Report {
    values: Vec<Value>,
    /// The bars of the section that is being measured.
    bars: Vec<String>,
}

/// The limit of a figure, and on which side of it the figure has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bar {
    AtMost(f64),
    AtLeast(f64),
}

impl Report {
    pub(crate) fn add(&mut self, scenario: &str, contender: &str, measure: &str, value: f64) {
        let (scenario, contender, measure) = (scenario.to_owned(), contender.to_owned(), measure.to_owned());
        self.values.push(Value { scenario, contender, measure, value });
    }

    /// Prints the table of a scenario whose contenders ran in turns.
    pub(crate) fn timings(&mut self, scenario: &str, names: &[&str], timings: &[Timing]) {
        let rows = table::rows(names, timings);
        print!("{}", table::text(scenario, &rows));
        for row in rows {
            let measured = [("median ns", Some(row.timing.median)), ("least ns", Some(row.timing.least))];
            let ratios = [("/ floor", row.to_floor), ("/ governor", row.to_governor)];
            for (measure, value) in measured.into_iter().chain(ratios) {
                if let Some(value) = value {
                    self.add(scenario, &row.contender, measure, value);
                }
            }
        }
    }

    /// Prints a table without its heading, with a line for each contender. A figure that is not a
    /// number was not measured.
    pub(crate) fn figures<N: AsRef<str>>(
        &mut self,
        scenario: &str,
        names: &[N],
        measures: &[&str],
        figures: &[Vec<f64>],
    ) {
        let width = |measure: &str| measure.chars().count().max(7);
        let heads: Vec<String> = measures.iter().map(|measure| format!("{measure:>0$}", width(measure))).collect();
        println!("  {:<30} {}", "", heads.join("  "));
        for (name, numbers) in names.iter().zip(figures) {
            let mut line = format!("  {:<30}", name.as_ref());
            for (measure, &number) in measures.iter().zip(numbers) {
                let text = if number.is_nan() { "–".to_owned() } else { figure(number) };
                line += &format!(" {text:>0$} ", width(measure));
                if !number.is_nan() {
                    self.add(scenario, name.as_ref(), measure, number);
                }
            }
            println!("{}", line.trim_end());
        }
    }

    /// Returns the figure that was added for this scenario, contender and measure.
    pub(crate) fn get(&self, scenario: &str, contender: &str, measure: &str) -> Option<f64> {
        let same =
            |value: &&Value| value.scenario == scenario && value.contender == contender && value.measure == measure;
        self.values.iter().find(same).map(|value| value.value)
    }

    /// Returns the median of one contender over the median of another.
    pub(crate) fn ratio(&self, scenario: &str, one: &str, other: &str) -> Option<f64> {
        let median = |contender| self.get(scenario, contender, "median ns");
        Some(median(one)? / median(other)?)
    }

    /// Returns the contenders that have figures of a scenario, in the order of its table.
    pub(crate) fn contenders(&self, scenario: &str) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for value in self.values.iter().filter(|value| value.scenario == scenario) {
            if names.last() != Some(&value.contender.as_str()) {
                names.push(&value.contender);
            }
        }
        names
    }

    /// Compares a figure with its limit. The result is printed with the verdicts.
    pub(crate) fn bar(&mut self, what: &str, bar: Bar, measured: Option<f64>) {
        let (sign, limit) = match bar {
            Bar::AtMost(limit) => ("<=", limit),
            Bar::AtLeast(limit) => (">=", limit),
        };
        let verdict = measured.map_or("not measured".to_owned(), |measured| {
            let holds = match bar {
                Bar::AtMost(limit) => measured <= limit,
                Bar::AtLeast(limit) => measured >= limit,
            };
            format!("{} {}", figure(measured), if holds { "met" } else { "MISSED" })
        });
        self.bars.push(format!("bar: {what} {sign} {}: {verdict}", figure(limit)));
    }

    /// Prints the verdicts of a part whose bars are complete.
    pub(crate) fn verdicts(&mut self) {
        if !self.bars.is_empty() {
            println!();
        }
        for bar in self.bars.drain(..) {
            println!("{bar}");
        }
    }

    /// Writes all figures as CSV.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be written.
    pub fn csv(&self, path: &Path) -> io::Result<()> {
        let mut text = String::from("scenario,contender,measure,value\n");
        for Value { scenario, contender, measure, value } in &self.values {
            let _ = writeln!(text, "\"{scenario}\",\"{contender}\",\"{measure}\",{value:.4}");
        }
        std::fs::write(path, text)
    }
}

/// Formats a figure with as many decimals as it needs.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        whole if whole >= 1_000.0 || value.fract() == 0.0 => format!("{value:.0}"),
        large if large >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// Formats a count as `3·10^5`.
pub(crate) fn count(n: u64) -> String {
    let power = n.max(1).ilog10();
    let digits = n as f64 / 10f64.powi(power as i32);
    if digits == 1.0 { format!("10^{power}") } else { format!("{digits}·10^{power}") }
}

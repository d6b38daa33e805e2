//! The common parts of the benches: sections that are measured in turn, the amount of work, and the
//! files for the figures.

use std::io;
use std::path::PathBuf;

use clap::Args;

use crate::child;
use crate::report::Report;

/// A part of a bench. It measures the scenarios that the filter selects.
pub(crate) type Section = fn(&Scale, &mut Report) -> io::Result<()>;

/// A bench.
pub struct Bench {
    pub(crate) sections: &'static [Section],
    /// Measures in a process of its own, as the words ask. Returns `None` if the words mean
    /// nothing.
    pub(crate) child: fn(&[&str]) -> io::Result<Option<Vec<f64>>>,
    /// The runs of every contender, in full and with `--quick`.
    pub(crate) runs: [usize; 2],
    /// The operations in a run that is timed as a whole.
    pub(crate) operations: u64,
}

/// The figures to measure, and the files to write.
#[derive(Args, Debug)]
pub struct Options {
    /// Measures only scenarios whose name contains this: a section, or more of the name ("crowd b",
    /// "hit: u64").
    filter: Option<String>,
    /// The runs of every contender, in turns; the median counts. Each bench has its own default.
    #[arg(long)]
    runs: Option<usize>,
    /// The operations in a run that is timed as a whole.
    #[arg(long)]
    operations: Option<u64>,
    /// Measures little of everything, in few runs, to check that the bench works.
    #[arg(long)]
    quick: bool,
    /// Also writes all figures to this file, as CSV.
    #[arg(long)]
    csv: Option<PathBuf>,
    /// Also draws plots into this folder, each for light and for dark pages.
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Measures for the process that started this one.
    #[arg(long, hide = true)]
    child: Vec<String>,
    /// The part of a matrix to measure, for a bench that has a matrix.
    #[arg(skip)]
    pub narrow: Narrow,
}

/// The part of a matrix to measure.
#[derive(Args, Clone, Debug, Default)]
pub struct Narrow {
    /// Measures only tables of these numbers of keys, such as 1000,1e6. By default each section has
    /// its own sizes.
    #[arg(long, value_delimiter = ',', value_parser = size)]
    pub sizes: Vec<u64>,
    /// Measures only quotas whose name contains one of these, such as 60/min,MB/s.
    #[arg(long, value_delimiter = ',')]
    pub quotas: Vec<String>,
}

/// Parses a count, which may be written as a power of ten.
fn size(text: &str) -> Result<u64, String> {
    let number: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if (1.0..1e9).contains(&number) { Ok(number as u64) } else { Err("not between 1 and 1e9".to_owned()) }
}

/// The scenarios to measure, and the amount of work.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    filter: Option<String>,
    /// The runs of every contender; the median counts.
    pub(crate) runs: usize,
    pub(crate) operations: u64,
    pub(crate) quick: bool,
    pub(crate) narrow: Narrow,
    /// The folder for the plots.
    pub(crate) svg: Option<PathBuf>,
}

impl Scale {
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()))
    }
}

impl Bench {
    /// Answers the process that started this one, if there is one. Otherwise measures the selected
    /// scenarios, and writes the figures.
    ///
    /// # Errors
    ///
    /// Fails if a part that needs a process of its own had none, or if a file cannot be written.
    pub fn run(&self, options: Options) -> io::Result<()> {
        let Options { filter, runs, operations, quick, csv, svg, child, narrow } = options;
        if !child.is_empty() {
            let words: Vec<&str> = child.iter().map(String::as_str).collect();
            return child::tell(&words, (self.child)(&words)?);
        }
        if let Some(folder) = &svg {
            std::fs::create_dir_all(folder)?;
        }
        let runs = runs.unwrap_or(self.runs[usize::from(quick)]);
        let operations = operations.unwrap_or(self.operations);
        let scale = Scale { filter, runs, operations, quick, narrow, svg };
        println!("{}; {runs} runs in turns; {operations} operations in a run", brimful::clock_health());
        let mut report = Report::default();
        for section in self.sections {
            section(&scale, &mut report)?;
            report.verdicts();
        }
        csv.map_or(Ok(()), |path| report.csv(&path))
    }
}

//! What the benches have in common: sections that are measured in turn, how much of everything,
//! and where the figures go.

use std::io;
use std::path::PathBuf;

use clap::Args;

use crate::child;
use crate::report::Report;

/// A part of a bench. It measures what is asked for of it, and nothing where nothing is.
pub(crate) type Section = fn(&Scale, &mut Report) -> io::Result<()>;

/// A bench.
pub struct Bench {
    pub(crate) sections: &'static [Section],
    /// What is measured in a process of its own, by its words; `None` where they mean nothing.
    pub(crate) child: fn(&[&str]) -> io::Result<Option<Vec<f64>>>,
    /// Runs of every contender, and where it is quick.
    pub(crate) runs: [usize; 2],
    /// Operations in a run that is timed as a whole.
    pub(crate) operations: u64,
}

/// Which figures, and where they go.
#[derive(Args, Debug)]
pub struct Options {
    /// Only what has a name that contains this: a section's, or more of it ("crowd b", "hit: u64").
    filter: Option<String>,
    /// Runs of every contender, in turns; the median counts. Each bench knows how many it wants.
    #[arg(long)]
    runs: Option<usize>,
    /// Operations in a run that is timed as a whole.
    #[arg(long)]
    operations: Option<u64>,
    /// Little of everything, and few runs: to see that it works.
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
    /// What a bench with a matrix is narrowed to; see its own options.
    #[arg(skip)]
    pub narrow: Narrow,
}

/// Which part of a matrix is measured.
#[derive(Args, Clone, Debug, Default)]
pub struct Narrow {
    /// Only tables of so many keys, such as 1000,1e6. Without it each section has its own sizes.
    #[arg(long, value_delimiter = ',', value_parser = size)]
    pub sizes: Vec<u64>,
    /// Only quotas whose name contains one of these, such as 60/min,MB/s.
    #[arg(long, value_delimiter = ',')]
    pub quotas: Vec<String>,
}

/// A count, also as a power of ten.
fn size(text: &str) -> Result<u64, String> {
    let number: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if (1.0..1e9).contains(&number) { Ok(number as u64) } else { Err("not between 1 and 1e9".to_owned()) }
}

/// What is measured, and how much of it.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    filter: Option<String>,
    /// Runs of every contender; the median counts.
    pub(crate) runs: usize,
    pub(crate) operations: u64,
    pub(crate) quick: bool,
    pub(crate) narrow: Narrow,
    /// Where the plots go.
    pub(crate) svg: Option<PathBuf>,
}

impl Scale {
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()))
    }
}

impl Bench {
    /// Answers the process that started this one, if one did, or else measures what is asked for,
    /// and writes what came out.
    ///
    /// # Errors
    ///
    /// Where a part that needs a process of its own had none, or something cannot be written.
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

//! What the programs that end in a report have in common.

use std::io;
use std::path::PathBuf;

use clap::Args;

use crate::report::Report;

/// Which figures, and where they go.
#[derive(Args, Debug)]
pub struct Output {
    /// Only what has a name that contains this: a section's, or more of it ("crowd b", "hit: u64").
    filter: Option<String>,
    /// Also writes all figures to this file, as CSV.
    #[arg(long)]
    csv: Option<PathBuf>,
    /// Also draws plots into this folder.
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Measures for the process that started this one.
    #[arg(long, hide = true)]
    child: Vec<String>,
}

/// What is asked for by name.
#[derive(Clone, Debug)]
pub struct Filter(Option<String>);

impl Filter {
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|filter| name.contains(filter.as_str()))
    }
}

impl Output {
    /// Answers the process that started this one, if one did, or else measures what is asked for,
    /// with a folder for plots, and writes what came out.
    ///
    /// # Errors
    ///
    /// Those of either, and where something cannot be written.
    pub fn measure(
        self,
        answer: impl FnOnce(&[String]) -> io::Result<()>,
        measure: impl FnOnce(Filter, Option<PathBuf>) -> io::Result<Report>,
    ) -> io::Result<()> {
        if !self.child.is_empty() {
            return answer(&self.child);
        }
        if let Some(folder) = &self.svg {
            std::fs::create_dir_all(folder)?;
        }
        let report = measure(Filter(self.filter), self.svg)?;
        match self.csv {
            Some(path) => report.csv(&path),
            None => Ok(()),
        }
    }
}

//! Tables: aligned text for people, CSV for plots.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use crate::harness::Timing;

/// One line of results.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was measured.
    pub scenario: String,
    /// Who was measured.
    pub contender: String,
    /// The result.
    pub timing: Timing,
    /// The median over the floor's of the same scenario, where it has one.
    pub to_floor: Option<f64>,
    /// The median over governor's of the same scenario, where it is there.
    pub to_governor: Option<f64>,
}

/// Ratios within one scenario. The floor is the contender whose name begins with `floor`, the
/// last of them.
#[must_use]
pub fn rows(scenario: &str, names: &[&str], timings: &[Timing]) -> Vec<Row> {
    let median_of = |prefix: &str| {
        let index = names.iter().rposition(|name| name.starts_with(prefix))?;
        Some(timings[index].median)
    };
    let (floor, governor) = (median_of("floor"), median_of("governor"));
    let row = |(name, timing): (&&str, &Timing)| Row {
        scenario: scenario.to_owned(),
        contender: (*name).to_owned(),
        timing: *timing,
        to_floor: floor.map(|floor| timing.median / floor),
        to_governor: governor.map(|governor| timing.median / governor),
    };
    names.iter().zip(timings).map(row).collect()
}

/// The rows of one scenario as text.
#[must_use]
pub fn text(rows: &[Row]) -> String {
    let mut text = String::new();
    let Some(first) = rows.first() else { return text };
    let _ = writeln!(text, "\n{}", first.scenario);
    let _ = writeln!(text, "  {:<34} {:>9} {:>9} {:>8} {:>11}", "", "ns", "least", "/ floor", "/ governor");
    for Row { contender, timing, to_floor, to_governor, .. } in rows {
        let ratio = |ratio: &Option<f64>| ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.3}"));
        let _ = writeln!(
            text,
            "  {contender:<34} {:>9.2} {:>9.2} {:>8} {:>11}",
            timing.median,
            timing.least,
            ratio(to_floor),
            ratio(to_governor)
        );
    }
    text
}

/// Writes all rows as CSV.
///
/// # Errors
///
/// Where the file cannot be written.
pub fn csv(path: &Path, rows: &[Row]) -> io::Result<()> {
    let mut text = String::from("scenario,contender,median_ns,least_ns,to_floor,to_governor\n");
    for Row { scenario, contender, timing, to_floor, to_governor } in rows {
        let ratio = |ratio: &Option<f64>| ratio.map_or(String::new(), |ratio| format!("{ratio:.4}"));
        let _ = writeln!(
            text,
            "\"{scenario}\",\"{contender}\",{:.3},{:.3},{},{}",
            timing.median,
            timing.least,
            ratio(to_floor),
            ratio(to_governor)
        );
    }
    std::fs::write(path, text)
}

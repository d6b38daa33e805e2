//! Tables of the times of contenders, in turns.

use std::fmt::Write as _;

use crate::harness::Timing;

/// One line of a table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) contender: String,
    pub(crate) timing: Timing,
    /// The median over the floor's median of the same scenario, if there is a floor.
    pub(crate) to_floor: Option<f64>,
    /// The median over governor's median of the same scenario, if governor was measured.
    pub(crate) to_governor: Option<f64>,
}

/// Returns the rows of one scenario, with the ratios within it. The floor is the last contender
/// whose name begins with `floor`.
pub(crate) fn rows(names: &[&str], timings: &[Timing]) -> Vec<Row> {
    let median_of = |prefix: &str| {
        let index = names.iter().rposition(|name| name.starts_with(prefix))?;
        Some(timings[index].median)
    };
    let (floor, governor) = (median_of("floor"), median_of("governor"));
    let row = |(name, timing): (&&str, &Timing)| Row {
        contender: (*name).to_owned(),
        timing: timing.clone(),
        to_floor: floor.map(|floor| timing.median / floor),
        to_governor: governor.map(|governor| timing.median / governor),
    };
    names.iter().zip(timings).map(row).collect()
}

/// Formats the rows of one scenario as text.
pub(crate) fn text(scenario: &str, rows: &[Row]) -> String {
    let mut text = format!("\n{scenario}\n");
    let _ = writeln!(text, "  {:<34} {:>9} {:>9} {:>8} {:>11}", "", "ns", "least", "/ floor", "/ governor");
    for Row { contender, timing, to_floor, to_governor } in rows {
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

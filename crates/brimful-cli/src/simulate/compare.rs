//! The results of replays of the same logs, side by side.

use std::io::{self, Write};

use serde_json::Value;

use super::report::{NAME, Report, counted, row};
use crate::columns::{aligned, left, right};
use crate::text;

/// The head of the table.
const HEAD: [&str; 7] = ["quota", "admitted", "share", "denied", "keys limited", "longest run", "violations"];

/// Prints the results of the logs, and a row for each replay.
pub(crate) fn print(reports: &[Report<'_>], out: &mut impl Write) -> io::Result<()> {
    let Some(first) = reports.first() else { return Ok(()) };
    let totals = first.replay.totals();
    let requests = row("requests", text::count(totals.requests), "");
    let keys = row("keys", text::count(first.replay.keys()), "");
    writeln!(out, "{}, {}\n", first.files(), first.each())?;
    writeln!(out, "{}", counted([requests, keys].into_iter().chain(first.lines())))?;
    writeln!(out, "{}\n", aligned([left(0, NAME), left(1, 0)], first.span()))?;
    let rows = reports.iter().map(|report| (report.replay.quotas().to_string(), report));
    writeln!(out, "{}", table(HEAD[0], rows))?;
    writeln!(out, "\nlongest run: the most requests in a row that one key was denied")
}

/// Returns a table with a row for each replay, after its name.
pub(super) fn table<'a>(head: &str, reports: impl IntoIterator<Item = (String, &'a Report<'a>)>) -> String {
    let mut first = HEAD.map(str::to_owned);
    first[0] = head.to_owned();
    let rows = reports.into_iter().flat_map(|(name, report)| rows(name, report));
    let columns = [left(0, 0), right(2, 10), right(2, 8), right(2, 8), right(2, 0), right(2, 0), right(2, 0)];
    aligned(columns, [first].into_iter().chain(rows))
}

/// Returns the row of a replay. If it has several quotas, a row follows for each of them.
fn rows(name: String, report: &Report<'_>) -> Vec<[String; 7]> {
    let (replay, totals) = (report.replay, report.replay.totals());
    let mut rows = vec![[
        name,
        text::count(totals.admitted),
        text::percent(totals.admitted, totals.requests),
        text::count(totals.denied()),
        text::count(replay.keys_limited()),
        text::count(totals.longest_run),
        text::count(report.violations),
    ]];
    if let quotas @ [_, _, ..] = &report.refused()[..] {
        rows.extend(quotas.iter().map(|(name, _, refused)| {
            let (name, refused, none) = (format!("  refused by {name}"), text::count(*refused), String::new);
            [name, none(), none(), refused, none(), none(), none()]
        }));
    }
    rows
}

/// Returns the results of the logs, and a list of the results of each replay.
pub(crate) fn as_json(reports: &[Report<'_>]) -> Value {
    let mut all = reports.first().map_or(Value::Null, Report::log_as_json);
    all["compared"] = reports.iter().map(Report::replay_as_json).collect();
    all
}

//! The results of a replay on a server.

use std::io::{self, Write};
use std::time::Duration;

use brimful::{Quota, Quotas};
use serde_json::json;

use super::pace::Pace;
use crate::columns::{aligned, left};
use crate::simulate::compare;
use crate::simulate::report::{NAME, Report, extend};
use crate::text::{self, span};

/// The results that a replay in this process does not have.
pub(super) struct Outcome {
    /// The quotas on the server.
    pub(super) faster: Quotas,
    pub(super) connections: u16,
    pub(super) pace: Pace,
    /// The requests that the server did not decide.
    pub(super) unanswered: u64,
    /// The requests that it decided otherwise than this process. Of requests that are alike, only the number counts.
    pub(super) otherwise: u64,
    pub(super) late: Lateness,
}

/// The times of the answers after those of the requests in the log, on the real clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lateness {
    median: Duration,
    p99: Duration,
    longest: Duration,
}

impl Lateness {
    pub(super) fn new(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        let nth = |share: usize| all.get(all.len().saturating_sub(1) * share / 100).copied().unwrap_or_default();
        let at = |share| Duration::from_micros(nth(share).as_micros() as u64);
        Lateness { median: at(50), p99: at(99), longest: at(100) }
    }

    fn each(self) -> [(&'static str, Duration); 3] {
        [("median", self.median), ("p99", self.p99), ("longest", self.longest)]
    }
}

impl Outcome {
    pub(super) fn new(faster: Quotas, pace: Pace) -> Self {
        Outcome { faster, connections: 0, pace, unanswered: 0, otherwise: 0, late: Lateness::default() }
    }

    /// Prints the report of the server, and then both side by side.
    pub(super) fn print(&self, reports: &[Report<'_>; 2], json: bool, out: &mut impl Write) -> io::Result<()> {
        let [there, here] = reports;
        if json {
            let mut all = there.as_json();
            extend(&mut all, self.as_json());
            extend(&mut all, json!({ "local": here.replay_as_json() }));
            return writeln!(out, "{all:#}");
        }
        there.print(out)?;
        writeln!(out, "\n{}", aligned([left(0, NAME), left(1, 0)], self.rows(there.replay.totals().requests)))?;
        let sides = [("the server", there), ("this process", here)].map(|(name, report)| (name.to_owned(), report));
        writeln!(out, "\n{}", compare::table("decided by", sides))
    }

    fn rows(&self, answered: u64) -> Vec<[String; 2]> {
        let row = |name: &str, text: String| [name.to_owned(), text];
        let late = self.late.each();
        let of =
            |of: &dyn Fn(Duration) -> f64| late.map(|(name, time)| format!("{name} {}", span(of(time)))).join(", ");
        let speed = self.pace.times();
        let mut rows = vec![
            row("speed", format!("{speed}: the quota on the server was {}", self.faster)),
            row("connections", text::count(self.connections.into())),
            row("late", format!("{} after the log's time", of(&|time| time.as_nanos() as f64))),
        ];
        if speed != 1.0 {
            rows.push(row("", format!("{} of the log", of(&|time| self.pace.of_log(time) as f64))));
        }
        rows.push(row("error", format!("a bucket earns {} tokens in the p99", text::amount(self.error()))));
        let share = text::percent(self.otherwise, answered);
        rows.push(row(
            "otherwise",
            format!("{} decided otherwise than in this process, {share}", text::count(self.otherwise)),
        ));
        if self.unanswered > 0 {
            rows.push(row(
                "unanswered",
                format!("{}, which are in no figure of the server", text::count(self.unanswered)),
            ));
        }
        rows
    }

    /// Returns the tokens that a bucket earns while 99 of 100 requests are on their way: the most by which it may hold more
    /// than on the log's time.
    fn error(&self) -> f64 {
        let fastest = self.faster.as_slice().iter().map(Quota::tokens_per_second).fold(0.0, f64::max);
        fastest * self.late.p99.as_secs_f64()
    }

    fn as_json(&self) -> serde_json::Value {
        let micros = self.late.each().map(|(name, time)| (name.to_owned(), json!(time.as_micros() as u64)));
        json!({
            "speed": self.pace.times(),
            "connections": self.connections,
            "quota_on_server": self.faster.to_string(),
            "late_us": serde_json::Map::from_iter(micros),
            "error_tokens": self.error(),
            "decided_otherwise": self.otherwise,
            "unanswered": self.unanswered,
        })
    }
}

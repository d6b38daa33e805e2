//! The results of a simulation, for people and as JSON.

use std::io::{self, Write};

use brimful::model::{Dimension, ModelQuota};
use brimful_oracle::window::Window;
use serde_json::{Value, json};

use super::ledger::Account;
use super::server::Refusals;
use super::sim::Outcome;
use super::trace::Trace;
use crate::bound::tokens;
use crate::columns::{aligned, left, right};
use crate::simulate::Args;
use crate::simulate::report::{NAME, Row, complaints, complaints_as_json, counted, extend, files, percent, row};
use crate::text;

/// The results of a simulation.
pub(super) struct Report<'a> {
    pub(super) args: &'a Args,
    pub(super) limits: ModelQuota,
    pub(super) trace: &'a Trace,
    pub(super) outcome: &'a Outcome,
    /// The calls that a server with the same limits refuses: of those that the limiter granted, and without a limiter.
    pub(super) with: Refusals,
    pub(super) without: Refusals,
}

/// The results of one dimension.
struct Of<'a> {
    dimension: Dimension,
    limit: u64,
    /// The requests or tokens that were used; the mean number in flight.
    used: f64,
    utilisation: Option<f64>,
    /// `None` for requests in flight.
    account: Option<&'a Account>,
}

/// The waits of the calls that were granted, in nanoseconds.
struct Waits {
    mean: u64,
    median: u64,
    p99: u64,
    max: u64,
}

impl Report<'_> {
    /// Returns the number of dimensions that were above their bound.
    pub(super) fn violations(&self) -> u64 {
        let windows = self.outcome.ledger.accounts.iter().filter_map(Account::worst);
        let slots = self.limits.max_parallel_requests.is_some_and(|most| self.outcome.most_in_flight as u64 > most);
        windows.filter(|window| window.margin.is_violation()).count() as u64 + u64::from(slots)
    }

    /// Writes the limits in one line.
    pub(super) fn limits(&self) -> String {
        let limit = |dimension| Some(format!("{dimension} {}", text::count(self.limits.limit(dimension)?)));
        let limits = Dimension::ALL.into_iter().filter_map(limit);
        limits.chain(self.limits.strict.then(|| "strict".to_owned())).collect::<Vec<_>>().join(", ")
    }

    fn waits(&self) -> Option<Waits> {
        let wait = |&(number, at): &(usize, u64)| at - self.trace.calls[number].at;
        let mut waits: Vec<u64> = self.outcome.grants.iter().map(wait).collect();
        waits.sort_unstable();
        let count = waits.len();
        // The least wait that is at least as long as this part of the waits.
        let rank = |percent: usize| waits.get((count * percent).div_ceil(100).saturating_sub(1)).copied();
        let sum: u128 = waits.iter().copied().map(u128::from).sum();
        let mean = sum.checked_div(count as u128)?;
        Some(Waits { mean: mean as u64, median: rank(50)?, p99: rank(99)?, max: rank(100)? })
    }

    /// Returns the number of calls that were granted later than they arrived.
    fn waited(&self) -> u64 {
        let waited = |&&(number, at): &&(usize, u64)| at > self.trace.calls[number].at;
        self.outcome.grants.iter().filter(waited).count() as u64
    }

    fn dimensions(&self) -> Vec<Of<'_>> {
        let until = self.outcome.grants.last().map(|&(_, at)| at);
        let buckets = self.outcome.ledger.accounts.iter().map(|account| Of {
            dimension: account.dimension,
            limit: self.limits.limit(account.dimension).unwrap_or_default(),
            used: account.used as f64,
            utilisation: until.map(|until| account.utilisation(until)),
            account: Some(account),
        });
        let slots = self.limits.max_parallel_requests.map(|limit| {
            let takes = |&(number, _): &(usize, u64)| self.args.llm.takes(self.trace.calls[number].usage) as f64;
            let busy: f64 = self.outcome.grants.iter().map(takes).sum();
            let mean = (self.outcome.makespan > 0).then(|| busy / self.outcome.makespan as f64);
            Of {
                dimension: Dimension::MaxParallelRequests,
                limit,
                used: mean.unwrap_or(0.0),
                utilisation: mean.map(|mean| mean / limit as f64),
                account: None,
            }
        });
        buckets.chain(slots).collect()
    }

    pub(super) fn as_json(&self) -> Value {
        let (options, calls) = (&self.args.llm, &self.trace.calls);
        let seconds = |nanos: u64| nanos as f64 / 1e9;
        let mut all = json!({
            "files": files(self.args),
            "limits": self.limits,
            "first_token_seconds": seconds(options.first_token),
            "per_token_seconds": seconds(options.per_token),
            "estimate": options.estimate.to_string(),
            "learning": options.learning,
            "speed": self.args.speed,
            "calls": calls.len(),
            "granted": self.outcome.grants.len(),
            "waited": self.waited(),
            "refused": total(&self.outcome.never),
            "rate_limited": total(&self.with),
            "rate_limited_without": total(&self.without),
            "first": self.trace.span.map(|(first, _)| first.to_string()),
            "last": self.trace.span.map(|(_, last)| last.to_string()),
            "arrivals_seconds": calls.last().map(|call| seconds(call.at)),
            "makespan_seconds": seconds(self.outcome.makespan),
            "wait_seconds": self.waits().map(|Waits { mean, median, p99, max }| json!({
                "mean": seconds(mean), "p50": seconds(median), "p99": seconds(p99), "max": seconds(max),
            })),
            "most_in_flight": self.outcome.most_in_flight,
            "dimensions": self.dimensions().iter().map(|of| self.dimension_as_json(of)).collect::<Vec<_>>(),
            "violations": self.violations(),
        });
        extend(&mut all, complaints_as_json(&self.trace.intake));
        all
    }

    fn dimension_as_json(&self, of: &Of<'_>) -> Value {
        let refused = |by: &Refusals| by.get(&of.dimension).copied().unwrap_or(0);
        let worst = of.account.and_then(Account::worst);
        json!({
            "dimension": of.dimension.as_str(),
            "limit": of.limit,
            "used": of.used,
            "utilisation": of.utilisation,
            "refused": refused(&self.outcome.never),
            "rate_limited": refused(&self.with),
            "rate_limited_without": refused(&self.without),
            "worst_window": worst.map(|Window { start_ns, end_ns, granted, margin }| json!({
                "seconds": (end_ns - start_ns) as f64 / 1e9,
                "charged": granted as f64 / crate::bound::whole(1) as f64,
                "margin": tokens(&margin),
            })),
        })
    }

    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let options = &self.args.llm;
        let (first, each) = (text::nanos(options.first_token as f64), text::nanos(options.per_token as f64));
        writeln!(out, "{} at {}", files(self.args).join(", "), self.limits())?;
        writeln!(
            out,
            "a call takes {first} + {each} for each token of output; estimates: {}{}\n",
            options.estimate,
            if options.learning { ", scaled as learned" } else { "" }
        )?;
        let rows =
            self.calls().into_iter().chain(complaints(self.args, &self.trace.intake, self.trace.calls.len() as u64));
        writeln!(out, "{}", counted(rows))?;
        writeln!(out, "{}\n", aligned([left(0, NAME), left(1, 0)], self.times()))?;
        writeln!(out, "{}\n", self.table())?;
        let note = match self.violations() {
            0 => "no dimension was charged above its bound in any window",
            _ => "dimensions were charged above their bounds",
        };
        writeln!(out, "{}", counted([row("violations", text::count(self.violations()), note)]))
    }

    /// Returns the rows about calls.
    fn calls(&self) -> Vec<Row> {
        let (all, granted) = (self.trace.calls.len() as u64, self.outcome.grants.len() as u64);
        let share = |name, part, note: &str| row(name, text::count(part), percent(part, all, note));
        let waited = self.waited();
        let mut rows = vec![
            row("calls", text::count(all), ""),
            share("at once", granted - waited, ""),
            share("after a wait", waited, ""),
        ];
        let never = total(&self.outcome.never);
        if never > 0 {
            rows.push(share("refused", never, "their estimates are above a limit, and would never be granted"));
        }
        let note = "of the granted calls, by a server with these limits that knows their usage";
        rows.push(share("429", total(&self.with), note));
        rows.push(share("429 without", total(&self.without), "without a limiter, if no call is repeated"));
        rows
    }

    /// Returns the rows about times.
    fn times(&self) -> Vec<[String; 2]> {
        let row = |name: &str, text: String| [name.to_owned(), text];
        let span = |nanos: u64| text::span(nanos as f64);
        let (Some((first, last)), Some(arrived)) = (self.trace.span, self.trace.calls.last()) else {
            return Vec::new();
        };
        let speed = match self.args.speed {
            1.0 => String::new(),
            speed => format!(", {speed} times as fast as in the trace"),
        };
        let arrivals = format!("within {}{speed}", span(arrived.at));
        let makespan = format!("{} from the first arrival to the last answer", span(self.outcome.makespan));
        let mut rows = vec![
            row("first", first.to_string()),
            row("last", last.to_string()),
            row("arrivals", arrivals),
            row("makespan", makespan),
        ];
        if let Some(Waits { mean, median, p99, max }) = self.waits() {
            let [mean, median, p99, max] = [mean, median, p99, max].map(wait);
            rows.push(row("waits", format!("mean {mean}, median {median}, p99 {p99}, longest {max}")));
        }
        rows
    }

    /// Writes the table of the dimensions.
    fn table(&self) -> String {
        let head = ["", "limit", "used", "utilisation", "refused", "429", "429 without"].map(str::to_owned);
        let rows = self.dimensions().into_iter().map(|of| {
            let refused = |by: &Refusals| text::count(by.get(&of.dimension).copied().unwrap_or(0));
            let used = if of.account.is_some() { text::count(of.used as u64) } else { format!("{:.2}", of.used) };
            [
                of.dimension.to_string(),
                text::count(of.limit),
                used,
                of.utilisation.map_or_else(|| "-".to_owned(), |part| format!("{part:.4}")),
                refused(&self.outcome.never),
                refused(&self.with),
                refused(&self.without),
            ]
        });
        let columns = [left(0, NAME), right(1, 12), right(2, 12), right(2, 0), right(2, 0), right(2, 0), right(2, 0)];
        let mut table = aligned(columns, [head].into_iter().chain(rows));
        table.push_str("\nutilisation: used, of burst + rate × the time up to the last grant");
        if self.limits.max_parallel_requests.is_some() {
            table.push_str("; of parallel requests: the mean");
        }
        table
    }
}

fn total(refusals: &Refusals) -> u64 {
    refusals.values().sum()
}

/// Writes a wait, to the millisecond if it is below a minute.
fn wait(nanos: u64) -> String {
    if nanos < 60_000_000_000 { format!("{:.3} s", nanos as f64 / 1e9) } else { text::span(nanos as f64) }
}

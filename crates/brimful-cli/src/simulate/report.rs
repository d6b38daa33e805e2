//! The results of a replay, for people and as JSON.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::Args;
use super::intake::{Complaint, Intake, Place};
use super::key::{self, Show};
use super::limits::Limits;
use super::replay::{Account, Replay, Worst};
use super::time::Stamp;
use crate::bound::{number, tokens, whole};
use crate::columns::{aligned, left, right};
use crate::text;

/// The results of a replay.
pub(crate) struct Report<'a> {
    args: &'a Args,
    intake: &'a Intake,
    pub(super) replay: &'a Replay,
    worst: Option<Worst>,
    /// The number of keys whose worst window breaks the bound.
    pub(crate) violations: u64,
}

impl<'a> Report<'a> {
    pub(crate) fn new(args: &'a Args, intake: &'a Intake, replay: &'a Replay) -> Self {
        let (worst, violations) = replay.windows();
        Report { args, intake, replay, worst, violations }
    }

    /// Returns the name and the text of each quota, and the number of requests that it refused.
    pub(super) fn refused(&self) -> Vec<(&'a str, String, u64)> {
        let quotas = self.replay.quotas().iter().zip(self.replay.refused());
        quotas.map(|((name, quota), &refused)| (name, quota.to_string(), refused)).collect()
    }

    /// Returns the keys that were denied most often, with their accounts.
    fn top(&self, show: Show) -> Vec<(Vec<String>, &'a Account)> {
        let (numbers, accounts): (Vec<u32>, Vec<_>) = self.replay.most_denied(self.args.top).into_iter().unzip();
        self.intake.keys.values(&numbers, show).into_iter().zip(accounts).collect()
    }

    /// Returns the values of a key, or `None` if all requests share one bucket.
    fn whose(&self, key: u32, show: Show) -> Option<Vec<String>> {
        let keys = &self.intake.keys;
        keys.have_fields().then(|| keys.values(&[key], show).concat())
    }

    /// Returns all results.
    pub(crate) fn as_json(&self) -> Value {
        let mut all = self.log_as_json();
        extend(&mut all, self.replay_as_json());
        all
    }

    /// Returns the results that do not depend on the quotas.
    pub(super) fn log_as_json(&self) -> Value {
        let replay = self.replay;
        let mut all = json!({
            "files": files(self.args),
            "key": self.args.key,
            "requests": replay.totals().requests,
            "cost": number(replay.totals().cost),
            "first": replay.span().map(|(first, _)| first.to_string()),
            "last": replay.span().map(|(_, last)| last.to_string()),
            "keys": replay.keys(),
        });
        extend(&mut all, complaints_as_json(self.intake));
        all
    }

    /// Returns the results that depend on the quotas.
    pub(super) fn replay_as_json(&self) -> Value {
        let replay = self.replay;
        let totals = replay.totals();
        let stamp = |reading| replay.stamp(reading).to_string();
        let quotas = self.refused();
        let quota =
            |(name, quota, refused): &(&str, String, u64)| json!({ "name": name, "quota": quota, "refused": refused });
        json!({
            "quota": replay.quotas().to_string(),
            "quotas": quotas.iter().map(quota).collect::<Vec<_>>(),
            "admitted": totals.admitted,
            "denied": totals.denied(),
            "above_burst": totals.above_burst,
            "no_room": totals.no_room,
            "admitted_share": (totals.requests > 0).then(|| totals.admitted as f64 / totals.requests as f64),
            "keys_limited": replay.keys_limited(),
            "longest_run": totals.longest_run,
            "cost_admitted": number(totals.cost_admitted),
            "cost_denied": number(totals.cost - totals.cost_admitted),
            "evictions": replay.limits().map(Limits::evictions),
            "limiter_bytes": replay.limits().map(Limits::bytes),
            "worst_window": self.worst.as_ref().map(|Worst { window, key, quota }| json!({
                "key": self.whose(*key, key::whole).map(|key| key_as_json(&key)),
                "quota": replay.quotas().name(*quota),
                "start": stamp(window.start_ns),
                "end": stamp(window.end_ns),
                "seconds": (window.end_ns - window.start_ns) as f64 / 1e9,
                "granted": number(window.granted.unsigned_abs()),
                "margin_tokens": tokens(&window.margin),
            })),
            "violations": self.violations,
            "top": self.top(key::whole).iter().map(|(key, account)| json!({
                "key": key_as_json(key),
                "requests": account.requests,
                "denied": account.denied,
                "cost_denied": number(account.cost_denied),
            })).collect::<Vec<_>>(),
        })
    }

    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{} at {}, {}\n", self.files(), self.replay.quotas(), self.each())?;
        writeln!(out, "{}", counted(self.requests().into_iter().chain(self.lines())))?;
        writeln!(out, "{}", aligned([left(0, NAME), left(1, 0)], self.times()))?;
        if self.worst.is_some() {
            writeln!(out, "{}", counted([self.broken()]))?;
        }
        let top = self.top(key::excerpt);
        if top.is_empty() { Ok(()) } else { writeln!(out, "\n{}", most_denied(&top)) }
    }

    pub(super) fn files(&self) -> String {
        files(self.args).join(", ")
    }

    pub(super) fn each(&self) -> String {
        match self.args.key.as_str() {
            "none" => "for all together".to_owned(),
            "ip" => "for each client address".to_owned(),
            fields => format!("for each {}", fields.replace('+', " + ")),
        }
    }

    /// Returns the rows about requests, tokens and keys.
    fn requests(&self) -> Vec<Row> {
        let replay = self.replay;
        let totals = replay.totals();
        let share = |name, part, note: &str| row(name, text::count(part), percent(part, totals.requests, note));
        let mut rows = vec![
            row("requests", text::count(totals.requests), ""),
            share("admitted", totals.admitted, ""),
            share("denied", totals.denied(), ""),
        ];
        if let quotas @ [_, _, ..] = &self.refused()[..] {
            rows.extend(
                quotas.iter().map(|(name, _, refused)| share("refused", *refused, &format!("of all; by {name}"))),
            );
        }
        if totals.above_burst > 0 {
            rows.push(share(
                "above burst",
                totals.above_burst,
                "of all; they cost more than the burst, and are never admitted",
            ));
        }
        if totals.no_room > 0 {
            rows.push(share("no room", totals.no_room, "of all; new keys while --max-keys keys were in use"));
        }
        if totals.cost != whole(totals.requests).unsigned_abs() {
            let share = |name, part| row(name, text::tokens(part), percent(part, totals.cost, ""));
            rows.push(row("tokens", text::tokens(totals.cost), ""));
            rows.push(share("admitted", totals.cost_admitted));
            rows.push(share("denied", totals.cost - totals.cost_admitted));
        }
        let bytes = |limits: &Limits| format!("in {} bytes of the limiter", text::count(limits.bytes()));
        rows.push(row("keys", text::count(replay.keys()), replay.limits().map_or(String::new(), bytes)));
        if let Some(evictions) = replay.limits().map(Limits::evictions).filter(|&evictions| evictions > 0) {
            let note = "keys in use were evicted for new ones: raise --max-keys";
            rows.push(row("evicted", text::count(evictions), note));
        }
        rows
    }

    /// Returns the rows about the order of the lines, and about lines that are not requests.
    pub(super) fn lines(&self) -> Vec<Row> {
        complaints(self.args, self.intake, self.replay.totals().requests)
    }

    /// Returns the rows about the first and last instant, and the worst window of all.
    fn times(&self) -> Vec<[String; 2]> {
        let row = |name: &str, text| [name.to_owned(), text];
        let mut rows = self.span();
        let worst = self.worst.as_ref().map_or_else(|| "none: nothing was admitted".to_owned(), |it| self.window(it));
        rows.push(row("worst window", worst));
        rows
    }

    /// Returns the rows about the first and last instant.
    pub(super) fn span(&self) -> Vec<[String; 2]> {
        let row = |(name, stamp): (&str, Stamp)| [name.to_owned(), stamp.to_string()];
        self.replay.span().map_or(Vec::new(), |(first, last)| [("first", first), ("last", last)].map(row).into())
    }

    /// Writes a window in two lines.
    fn window(&self, Worst { window, key, quota }: &Worst) -> String {
        let replay = self.replay;
        let margin = tokens(&window.margin);
        let granted = window.granted.unsigned_abs();
        let whose = self.whose(*key, key::excerpt).map_or(String::new(), |key| format!(", {}", joined(&key)));
        let quota = match replay.quotas().as_slice() {
            [_] => String::new(),
            _ => replay.quotas().name(*quota).map_or(String::new(), |name| format!(", of {name}")),
        };
        format!(
            "{} granted within {} (burst + rate × time = {}), margin {} tokens{quota}\n{} to {}{whose}",
            text::tokens(granted),
            text::span((window.end_ns - window.start_ns) as f64),
            text::amount(granted as f64 / whole(1) as f64 + margin),
            text::amount(margin),
            replay.stamp(window.start_ns),
            replay.stamp(window.end_ns),
        )
    }

    /// Returns the row about keys that were admitted more than the bound.
    fn broken(&self) -> Row {
        let note = match self.violations {
            0 => "no window of any key is above burst + rate × its length",
            _ => "keys were admitted more than the bound",
        };
        row("violations", text::count(self.violations), note)
    }
}

/// Returns the names of the logs.
pub(super) fn files(args: &Args) -> Vec<String> {
    args.files.iter().map(|file| file.display().to_string()).collect()
}

/// Returns the rows about the order of the lines of all requests, and about lines that are not requests.
pub(super) fn complaints(args: &Args, intake: &Intake, requests: u64) -> Vec<Row> {
    let Intake { out_of_order, late, first_late, malformed, first_malformed, .. } = intake;
    let first = |Complaint { place: Place { file, line, text, .. }, reason }: &Complaint| {
        let file = if args.files.len() > 1 { format!(" of {file}") } else { String::new() };
        format!("the first is line {line}{file}: {reason}: {text}")
    };
    let note = "earlier than the line before; replayed in order of their stamps";
    let mut rows = vec![row("out of order", text::count(*out_of_order), percent(*out_of_order, requests, note))];
    if let Some(late_one) = first_late {
        let note = format!(
            "of all; earlier than the {} held lines reach, replayed at the instant that was reached\n{}",
            text::count(args.reorder as u64),
            first(late_one)
        );
        rows.push(row("late", text::count(*late), percent(*late, requests, &note)));
    }
    rows.push(row("malformed", text::count(*malformed), first_malformed.as_ref().map_or(String::new(), first)));
    rows
}

/// Returns the order of the lines, and the lines that are not requests, for JSON.
pub(super) fn complaints_as_json(intake: &Intake) -> Value {
    json!({
        "out_of_order": intake.out_of_order,
        "late": intake.late,
        "first_late": intake.first_late.as_ref().map(Complaint::as_json),
        "malformed": intake.malformed,
        "first_malformed": intake.first_malformed.as_ref().map(Complaint::as_json),
    })
}

/// Adds the fields of `more` to an object.
pub(super) fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

/// A name, a number, and a note.
pub(super) type Row = [String; 3];

/// The least width of the names.
pub(super) const NAME: u16 = 13;

pub(super) fn row(name: &str, number: String, note: impl Into<String>) -> Row {
    [name.to_owned(), number, note.into()]
}

pub(super) fn counted(rows: impl IntoIterator<Item = Row>) -> String {
    aligned([left(0, NAME), right(1, 12), left(2, 0)], rows)
}

/// Writes a share of a whole, and a note about it.
pub(super) fn percent(part: impl Into<u128>, of: impl Into<u128>, note: &str) -> String {
    format!("{:>9}  {note}", text::percent(part, of))
}

/// Writes a table of the keys that were denied most often.
fn most_denied(top: &[(Vec<String>, &Account)]) -> String {
    let head = ["denied", "of requests", "tokens denied", "key"].map(str::to_owned);
    let rows = top.iter().map(|(key, Account { requests, denied, cost_denied, .. })| {
        [text::count(*denied), text::count(*requests), text::tokens(*cost_denied), joined(key)]
    });
    aligned([right(0, 12), right(2, 12), right(2, 14), left(2, 0)], [head].into_iter().chain(rows))
}

fn joined(key: &[String]) -> String {
    key.join(" + ")
}

/// Returns a list if keys have several values: joined, two keys could look alike.
fn key_as_json(key: &[String]) -> Value {
    match key {
        [value] => json!(value),
        values => json!(values),
    }
}

impl Complaint {
    fn as_json(&self) -> Value {
        let Place { file, line, text, .. } = &self.place;
        json!({ "file": file, "line": line, "reason": self.reason, "text": text })
    }
}

//! What came of a replay, for people and as JSON.

use std::io::{self, Write};

use brimful::Quota;
use serde_json::{Value, json};

use super::key::{self, Show};
use super::replay::{Account, Worst};
use super::{Args, Complaint, Intake, Place};
use crate::bound::{number, tokens, whole};
use crate::text;

/// A replay's end.
pub(crate) struct Report<'a> {
    args: &'a Args,
    quota: &'a Quota,
    intake: &'a Intake,
    worst: Option<Worst>,
    /// Keys whose worst window breaks the bound.
    pub(crate) violations: u64,
}

impl<'a> Report<'a> {
    pub(crate) fn new(args: &'a Args, quota: &'a Quota, intake: &'a Intake) -> Self {
        let (worst, violations) = intake.replay.windows();
        Report { args, quota, intake, worst, violations }
    }

    /// The keys that were denied most often, and what came of them.
    fn top(&self, show: Show) -> Vec<(Vec<String>, &'a Account)> {
        let (numbers, accounts): (Vec<u32>, Vec<_>) = self.intake.replay.most_denied(self.args.top).into_iter().unzip();
        self.intake.keys.values(&numbers, show).into_iter().zip(accounts).collect()
    }

    /// The values of a key; `None` where all requests share one bucket.
    fn whose(&self, key: u32, show: Show) -> Option<Vec<String>> {
        let keys = &self.intake.keys;
        keys.are_told().then(|| keys.values(&[key], show).concat())
    }

    pub(crate) fn as_json(&self) -> Value {
        let replay = &self.intake.replay;
        let totals = replay.totals();
        let stamp = |reading| replay.stamp(reading).to_string();
        json!({
            "files": self.args.files.iter().map(|file| file.to_string_lossy()).collect::<Vec<_>>(),
            "quota": self.quota.to_string(),
            "key": self.args.key,
            "requests": totals.requests,
            "admitted": totals.admitted,
            "denied": totals.denied(),
            "above_burst": totals.above_burst,
            "no_room": totals.no_room,
            "admitted_share": (totals.requests > 0).then(|| totals.admitted as f64 / totals.requests as f64),
            "cost": number(totals.cost),
            "cost_admitted": number(totals.cost_admitted),
            "cost_denied": number(totals.cost - totals.cost_admitted),
            "first": replay.span().map(|(first, _)| first.to_string()),
            "last": replay.span().map(|(_, last)| last.to_string()),
            "keys": replay.keys(),
            "evictions": replay.evictions(),
            "limiter_bytes": replay.limiter_bytes(),
            "out_of_order": self.intake.out_of_order,
            "late": self.intake.late,
            "first_late": self.intake.first_late.as_ref().map(Complaint::as_json),
            "malformed": self.intake.malformed,
            "first_malformed": self.intake.first_malformed.as_ref().map(Complaint::as_json),
            "worst_window": self.worst.as_ref().map(|Worst { window, key }| json!({
                "key": self.whose(*key, key::whole).map(|key| key_as_json(&key)),
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
        let files: Vec<String> = self.args.files.iter().map(|file| file.display().to_string()).collect();
        writeln!(out, "{} at {}, {}\n", files.join(", "), self.quota, self.each())?;
        self.print_requests(out)?;
        self.print_lines(out)?;
        if let Some((first, last)) = self.intake.replay.span() {
            writeln!(out, "first         {first}\nlast          {last}")?;
        }
        self.print_windows(out)?;
        self.print_top(out)
    }

    fn each(&self) -> String {
        match self.args.key.as_str() {
            "none" => "for all together".to_owned(),
            "ip" => "for each client address".to_owned(),
            fields => format!("for each {}", fields.replace('+', " + ")),
        }
    }

    fn print_requests(&self, out: &mut impl Write) -> io::Result<()> {
        let replay = &self.intake.replay;
        let totals = replay.totals();
        let share =
            |name: &str, part: u64, note: &str| row(name, &text::count(part), &percent(part, totals.requests, note));
        writeln!(out, "{}", row("requests", &text::count(totals.requests), ""))?;
        writeln!(out, "{}", share("admitted", totals.admitted, ""))?;
        writeln!(out, "{}", share("denied", totals.denied(), ""))?;
        if totals.above_burst > 0 {
            writeln!(
                out,
                "{}",
                share("above burst", totals.above_burst, "of all; they cost more than the burst, for ever")
            )?;
        }
        if totals.no_room > 0 {
            writeln!(out, "{}", share("no room", totals.no_room, "of all; new keys while --max-keys were in use"))?;
        }
        if totals.cost != whole(totals.requests).unsigned_abs() {
            writeln!(out, "{}", row("tokens", &text::tokens(totals.cost), ""))?;
            let tokens = |name: &str, part: u128| row(name, &text::tokens(part), &percent(part, totals.cost, ""));
            writeln!(out, "{}", tokens("admitted", totals.cost_admitted))?;
            writeln!(out, "{}", tokens("denied", totals.cost - totals.cost_admitted))?;
        }
        let bytes = format!("  in {} bytes of the limiter's", text::count(replay.limiter_bytes()));
        writeln!(out, "{}", row("keys", &text::count(replay.keys()), &bytes))?;
        if replay.evictions() > 0 {
            let note = "  keys in use were forgotten for new ones: there were more than --max-keys";
            writeln!(out, "{}", row("evicted", &text::count(replay.evictions()), note))?;
        }
        Ok(())
    }

    fn print_lines(&self, out: &mut impl Write) -> io::Result<()> {
        let Intake { replay, out_of_order, late, first_late, malformed, first_malformed, .. } = self.intake;
        let requests = replay.totals().requests;
        let note = "earlier than the line before; replayed in order of their stamps";
        writeln!(out, "{}", row("out of order", &text::count(*out_of_order), &percent(*out_of_order, requests, note)))?;
        if let Some(first) = first_late {
            let note = format!(
                "of all; earlier than {} lines reach, replayed at the latest instant by then\n{:28}{}",
                text::count(self.args.reorder as u64),
                "",
                self.complaint(first)
            );
            writeln!(out, "{}", row("late", &text::count(*late), &percent(*late, requests, &note)))?;
        }
        let first = first_malformed.as_ref().map_or(String::new(), |first| format!("  {}", self.complaint(first)));
        writeln!(out, "{}", row("malformed", &text::count(*malformed), &first))
    }

    fn complaint(&self, Complaint { place: Place { file, line, text, .. }, reason }: &Complaint) -> String {
        let file = if self.args.files.len() > 1 { format!(" of {file}") } else { String::new() };
        format!("the first is line {line}{file}: {reason}: {text}")
    }

    fn print_windows(&self, out: &mut impl Write) -> io::Result<()> {
        let replay = &self.intake.replay;
        let Some(Worst { window, key }) = &self.worst else {
            return writeln!(out, "worst window  none: nothing was admitted");
        };
        let margin = tokens(&window.margin);
        let granted = window.granted.unsigned_abs();
        writeln!(
            out,
            "worst window  {} granted within {} (burst + rate × time = {}), margin {} tokens",
            text::tokens(granted),
            text::span((window.end_ns - window.start_ns) as f64),
            text::amount(granted as f64 / whole(1) as f64 + margin),
            text::amount(margin)
        )?;
        let whose = self.whose(*key, key::excerpt).map_or(String::new(), |key| format!(", {}", joined(&key)));
        writeln!(out, "              {} to {}{whose}", replay.stamp(window.start_ns), replay.stamp(window.end_ns))?;
        let note = match self.violations {
            0 => "  no window of any key is above burst + rate × its length",
            _ => "  keys were admitted more than the bound",
        };
        writeln!(out, "{}", row("violations", &text::count(self.violations), note))
    }

    fn print_top(&self, out: &mut impl Write) -> io::Result<()> {
        let top = self.top(key::excerpt);
        if top.is_empty() {
            return Ok(());
        }
        writeln!(out, "\n{:>12}  {:>12}  {:>14}  key", "denied", "of requests", "tokens denied")?;
        for (key, Account { requests, denied, cost_denied, .. }) in top {
            let (denied, requests, cost) = (text::count(*denied), text::count(*requests), text::tokens(*cost_denied));
            writeln!(out, "{denied:>12}  {requests:>12}  {cost:>14}  {}", joined(&key))?;
        }
        Ok(())
    }
}

fn joined(key: &[String]) -> String {
    key.join(" + ")
}

/// A list, where keys have several values: joined, two keys could look alike.
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

fn row(name: &str, number: &str, note: &str) -> String {
    format!("{name:<13} {number:>12}{note}")
}

/// A share of a whole, and what is to be said of it.
fn percent(part: impl Into<u128>, of: impl Into<u128>, note: &str) -> String {
    let percent = format!("  {:>9}  {note}", text::percent(part, of));
    percent.trim_end().to_owned()
}

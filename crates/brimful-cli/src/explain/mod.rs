//! `brimful explain`: states the meaning of a quota in words.

mod facts;

use std::io::{self, Write};

use brimful::{Quota, Quotas, Tokens};
use serde_json::{Value, json};

use crate::bound::{number, parse_quotas, pico};
use crate::columns::{Column, aligned, left, right};
use crate::{Failure, Verdict, text};
use facts::{LENGTHS, earned_in, lengths, most, rate_in};

/// The options of `explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// The quota, such as "100/s burst 200" or "at most 100 in 1min", or several that hold at once:
    /// "100/s burst 200; daily: 50000/day"
    #[arg(required = true)]
    quota: Vec<String>,
}

/// Explains each quota, and several together.
pub(crate) fn run(args: &Args, out: &mut impl Write) -> Result<Verdict, Failure> {
    let quotas = parse_quotas(&args.quota.join("; "))?;
    if args.json {
        writeln!(out, "{:#}", as_json(&quotas))?;
        return Ok(Verdict::Held);
    }
    for (number, (name, quota)) in quotas.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        print(name, &quota, out)?;
    }
    print_together(&quotas, out)?;
    Ok(Verdict::Held)
}

fn print(name: &str, quota: &Quota, out: &mut impl Write) -> io::Result<()> {
    let text = quota.to_string();
    // A quota without a name is called by its text.
    let heading = if name == text { text } else { format!("{name}: {text}") };
    writeln!(out, "{heading}\n\n{}", named(meaning(quota)))?;
    writeln!(out, "\nworst windows: the most whole tokens that any time so long admits, burst + rate × length")?;
    let windows = lengths(quota).into_iter().map(|length| {
        let earned = match quota.rate().0 {
            _ if LENGTHS.contains(&length) => String::new(),
            1 => "in which a token is earned".to_owned(),
            tokens => format!("in which {} tokens are earned", text::count(tokens)),
        };
        window(length, most(quota, length), earned)
    });
    writeln!(out, "{}", aligned(WINDOW, windows))?;
    writeln!(out, "\nlayout of a lone bucket's word, as chosen for this quota\n{}", named(layout(quota)))
}

/// Returns rows about the rate, the burst, the start and the debt.
fn meaning(quota: &Quota) -> [(&'static str, String); 4] {
    let full_after = |amount| text::span(earned_in(quota, amount) as f64);
    let (full, initial) = (quota.capacity(), quota.initial_tokens());
    let [second, minute, hour, day] = LENGTHS.map(|length| rate(quota, length));
    let every = text::span(token_nanos(quota));
    let rate = format!("{second} tokens a second, {minute} a minute, {hour} an hour, {day} a day");
    let burst = tokens(full);
    let burst = format!("{burst} at once from a full bucket; an empty one is full after {}", full_after(full));
    let start = if initial == full {
        "full".to_owned()
    } else {
        format!("with {}; full after {}", tokens(initial), full_after(full.saturating_sub(initial)))
    };
    let debt = format!("a commit of more than was reserved may take it down to -{}", tokens(quota.debt_limit()));
    let rate = format!("{rate}\none token every {every}");
    [("rate", rate), ("burst", burst), ("start", start), ("debt", debt)]
}

/// Returns rows about the bucket's word.
fn layout(quota: &Quota) -> [(&'static str, String); 2] {
    let unit = quota.resolution();
    let nanos = (token_nanos(quota) * unit.as_f64() * 10.0).round() / 10.0;
    [
        ("unit", format!("what is earned in about {}: a bucket counts in these", text::span(nanos))),
        ("resolution", format!("{}, which is a unit: costs are rounded up to it, bursts down", tokens(unit))),
    ]
}

fn named<const N: usize>(rows: [(&str, String); N]) -> String {
    aligned([left(0, 11), left(1, 0)], rows.map(|(name, text)| [name.to_owned(), text]))
}

/// The columns of windows: a length, the most tokens, and a note.
const WINDOW: [Column; 3] = [left(0, 11), right(1, 15), left(2, 0)];

fn window(length: u64, most: u64, note: String) -> [String; 3] {
    [text::span(length as f64), text::count(most), note]
}

/// Prints the quota that admits the least in each window, if there are several.
fn print_together(quotas: &Quotas, out: &mut impl Write) -> io::Result<()> {
    let windows = together(quotas);
    if windows.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nall together: the most whole tokens that any time so long admits, and by which quota")?;
    let rows = windows.into_iter().map(|(length, most, (name, _))| window(length, most, name.to_owned()));
    writeln!(out, "{}", aligned(WINDOW, rows))
}

/// Returns lengths, each with the least that a quota admits in it, and the first such quota and its name.
/// Returns none if there is only one quota.
fn together(quotas: &Quotas) -> Vec<(u64, u64, (&str, Quota))> {
    if quotas.as_slice().len() == 1 {
        return Vec::new();
    }
    let mut all: Vec<u64> = quotas.as_slice().iter().flat_map(lengths).collect();
    all.sort_unstable();
    all.dedup();
    let least = |length| {
        let most = quotas.iter().map(|(name, quota)| (most(&quota, length), (name, quota)));
        most.min_by_key(|&(most, _)| most).map(|(most, quota)| (length, most, quota))
    };
    all.into_iter().filter_map(least).collect()
}

/// Writes the tokens that are earned in a time, with at most six decimals.
fn rate(quota: &Quota, length: u64) -> String {
    match rate_in(quota, length) {
        (micro, true) => text::tokens(micro * 1_000_000),
        _ => {
            let (tokens, period) = quota.rate();
            format!("about {}", text::amount(tokens as f64 * length as f64 / period.as_nanos() as f64))
        }
    }
}

/// Returns about the nanoseconds in which a token is earned.
fn token_nanos(quota: &Quota) -> f64 {
    let (tokens, period) = quota.rate();
    period.as_nanos() as f64 / tokens as f64
}

fn tokens(amount: Tokens) -> String {
    let plural = if amount == Tokens::ONE { "" } else { "s" };
    format!("{} token{plural}", text::tokens(pico(amount)))
}

fn as_json(quotas: &Quotas) -> Value {
    let window = |(length, most, (name, quota)): (u64, u64, (&str, Quota))| json!({ "ns": length, "most": most, "name": name, "quota": quota.to_string() });
    json!({
        "quotas": quotas.iter().map(|(name, quota)| explained(name, &quota)).collect::<Vec<_>>(),
        "together": together(quotas).into_iter().map(window).collect::<Vec<_>>(),
    })
}

fn explained(name: &str, quota: &Quota) -> Value {
    let (rate_tokens, period) = quota.rate();
    let amount = |tokens| number(pico(tokens));
    // A time of more than 584 years is not exact.
    let nanos = |nanos: u128| u64::try_from(nanos).map_or_else(|_| Value::from(nanos as f64), Value::from);
    let windows = lengths(quota).into_iter().map(|length| json!({ "ns": length, "most": most(quota, length) }));
    json!({
        "name": name,
        "quota": quota.to_string(),
        "rate": { "tokens": rate_tokens, "ns": nanos(period.as_nanos()) },
        "tokens_per_second": quota.tokens_per_second(),
        "token_every_ns": token_nanos(quota),
        "burst": amount(quota.capacity()),
        "full_after_ns": nanos(earned_in(quota, quota.capacity())),
        "initial": amount(quota.initial_tokens()),
        "debt": amount(quota.debt_limit()),
        "windows": windows.collect::<Vec<_>>(),
        "resolution": amount(quota.resolution()),
    })
}

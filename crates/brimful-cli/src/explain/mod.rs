//! `brimful explain`: what a quota means, in words.

mod facts;

use std::io::{self, Write};

use brimful::{Quota, Quotas, Tokens};
use serde_json::{Value, json};

use crate::bound::{number, parse_quotas, pico};
use crate::{Failure, Verdict, text};
use facts::{LENGTHS, earned_in, lengths, most, rate_in};

/// The options of `explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// The quota, such as "100/s burst 200", or several that hold at once: "100/s burst 200; 5000/h"
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
    for (number, quota) in quotas.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        print(quota, out)?;
    }
    print_together(&quotas, out)?;
    Ok(Verdict::Held)
}

fn print(quota: &Quota, out: &mut impl Write) -> io::Result<()> {
    let span = |nanos: u128| text::span(nanos as f64);
    let (burst, initial, debt) = (quota.capacity(), quota.initial_tokens(), quota.debt_limit());
    writeln!(out, "{quota}\n")?;
    let [second, minute, hour, day] = LENGTHS.map(|length| rate(quota, length));
    writeln!(out, "rate        {second} tokens a second, {minute} a minute, {hour} an hour, {day} a day")?;
    writeln!(out, "            one token every {}", text::span(token_nanos(quota)))?;
    let full = span(earned_in(quota, burst));
    writeln!(out, "burst       {} at once from a full bucket; an empty one is full after {full}", tokens(burst))?;
    if initial == burst {
        writeln!(out, "start       full")?;
    } else {
        let full = span(earned_in(quota, burst.saturating_sub(initial)));
        writeln!(out, "start       with {}; full after {full}", tokens(initial))?;
    }
    writeln!(out, "debt        a commit of more than was reserved may take it down to -{}", tokens(debt))?;

    writeln!(out, "\nworst windows: the most whole tokens that any time so long admits, burst + rate × length")?;
    for length in lengths(quota) {
        let earned = match quota.rate().0 {
            _ if LENGTHS.contains(&length) => String::new(),
            1 => "  in which a token is earned".to_owned(),
            tokens => format!("  in which {} tokens are earned", text::count(tokens)),
        };
        writeln!(out, "{:<11} {:>15}{earned}", span(length.into()), text::count(most(quota, length)))?;
    }

    let unit = quota.resolution();
    let unit_nanos = (token_nanos(quota) * unit.as_f64() * 10.0).round() / 10.0;
    writeln!(out, "\nlayout of a lone bucket's word, as chosen for this quota")?;
    writeln!(out, "unit        what is earned in about {}: a bucket counts in these", text::span(unit_nanos))?;
    writeln!(out, "resolution  {}, which is a unit: costs are rounded up to it, bursts down", tokens(unit))
}

/// Which of several quotas admits the least in each window.
fn print_together(quotas: &Quotas, out: &mut impl Write) -> io::Result<()> {
    let windows = together(quotas);
    if windows.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nall together: the most whole tokens that any time so long admits, and by which quota")?;
    for (length, most, quota) in windows {
        writeln!(out, "{:<11} {:>15}  {quota}", text::span(length as f64), text::count(most))?;
    }
    Ok(())
}

/// Lengths, with the least that any of the quotas admits in them and the first to do so; none
/// where there is one quota only.
fn together(quotas: &Quotas) -> Vec<(u64, u64, &Quota)> {
    if quotas.len() == 1 {
        return Vec::new();
    }
    let mut all: Vec<u64> = quotas.iter().flat_map(lengths).collect();
    all.sort_unstable();
    all.dedup();
    let least = |length| {
        let most = quotas.iter().map(|quota| (most(quota, length), quota));
        most.min_by_key(|&(most, _)| most).map(|(most, quota)| (length, most, quota))
    };
    all.into_iter().filter_map(least).collect()
}

/// The tokens in a time, to six decimals.
fn rate(quota: &Quota, length: u64) -> String {
    match rate_in(quota, length) {
        (micro, true) => text::tokens(micro * 1_000_000),
        _ => {
            let (tokens, period) = quota.rate();
            format!("about {}", text::amount(tokens as f64 * length as f64 / period.as_nanos() as f64))
        }
    }
}

/// The nanoseconds in which a token is earned, nearly.
fn token_nanos(quota: &Quota) -> f64 {
    let (tokens, period) = quota.rate();
    period.as_nanos() as f64 / tokens as f64
}

fn tokens(amount: Tokens) -> String {
    let plural = if amount == Tokens::ONE { "" } else { "s" };
    format!("{} token{plural}", text::tokens(pico(amount)))
}

fn as_json(quotas: &Quotas) -> Value {
    let window =
        |(length, most, quota): (u64, u64, &Quota)| json!({ "ns": length, "most": most, "quota": quota.to_string() });
    json!({
        "quotas": quotas.iter().map(explained).collect::<Vec<_>>(),
        "together": together(quotas).into_iter().map(window).collect::<Vec<_>>(),
    })
}

fn explained(quota: &Quota) -> Value {
    let (rate_tokens, period) = quota.rate();
    let amount = |tokens| number(pico(tokens));
    // Beyond 584 years, a time is nearly so many nanoseconds.
    let nanos = |nanos: u128| u64::try_from(nanos).map_or_else(|_| Value::from(nanos as f64), Value::from);
    let windows = lengths(quota).into_iter().map(|length| json!({ "ns": length, "most": most(quota, length) }));
    json!({
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

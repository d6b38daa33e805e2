//! `brimful bench`: measures the limiter on this machine. The cost of a decision is shown beside
//! its floor (reading the clock, changing one word). The tokens that all threads were admitted are
//! compared with `burst + rate × time` in exact integers.

mod contention;
mod single;
mod windows;

use std::io::{self, Write};
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::Duration;

use anyhow::anyhow;
use brimful::{QuantaClock, Quota, clock_health};
use clap::value_parser;
use serde_json::json;

use crate::bound::{bound, parse_quota, tokens};
use crate::columns::{aligned, left};
use crate::{Failure, Verdict};

/// The options of `bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The number of threads on one limiter; without it, the number of cores
    #[arg(long, value_parser = value_parser!(u16).range(1..=1_024))]
    threads: Option<u16>,
    /// The seconds of the main phase; each other phase takes as long, or half of it
    #[arg(long, default_value = "2", value_parser = seconds)]
    seconds: Duration,
    /// The quota of the limiter, such as "1/min burst 5"; without it, 1000000/s burst 100000
    #[arg(long, value_name = "QUOTA")]
    quota: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) if (0.05..=3_600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("a number of seconds from 0.05 to 3600".to_owned()),
    }
}

/// A word in cache lines of its own, as a limiter has it. The floor is measured on it.
#[repr(align(128))]
struct Padded(AtomicU64);

/// More than the threads can ask for, so that every call is admitted.
const ENDLESS: Quota = Quota::per_second(1_000_000_000).burst(u32::MAX);
/// A full bucket earns nothing. So the burst is the tokens of a tenth of a second, which is longer
/// than the system suspends the threads.
const DEFAULT: Quota = Quota::per_second(1_000_000).burst(100_000);

/// Runs the phases and prints each as it ends.
pub(crate) fn run(args: &Args, out: &mut impl Write) -> Result<Verdict, Failure> {
    let quota = args.quota.as_deref().map_or(Ok(DEFAULT), parse_quota)?;
    if quota.capacity().whole() == 0 {
        return Err(anyhow!("--quota: the threads ask for whole tokens, so the burst must be at least 1").into());
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = args.threads.map_or(cores, usize::from);
    // The calibration of the clock must not be part of a measurement.
    let _ = clock_health();
    let mut lines = Lines { out, silent: args.json };

    lines.write(&format!("{threads} threads on {cores} cores; the clock is the {}\n", clock_health()))?;
    let single = single::measure();
    lines.write(&single.text())?;
    let sweep = contention::sweep(threads, args.seconds, quota);
    lines.write(&contention::text(&sweep))?;
    let main = contention::hold(quota, threads, args.seconds);
    let windows = windows::check(quota, threads, args.seconds / 2);

    let margin = bound(&quota).margin(main.span_ns, crate::bound::whole(main.admitted));
    let violated = margin.is_violation() || windows.violated();
    let health = clock_health();
    if args.json {
        let object = json!({
            "cores": cores,
            "threads": threads,
            "clock": health.to_string(),
            "clock_rate_uncertainty": health.rate_uncertainty,
            "clock_drift": health.drift,
            "quota": quota.to_string(),
            "single_thread": single.as_json(),
            "contention": sweep.iter().map(contention::Row::as_json).collect::<Vec<_>>(),
            "decisions": main.decisions,
            "decisions_per_second": main.per_second(),
            "ns_per_decision_per_thread": main.ns_each(),
            "seconds": main.span_ns as f64 / 1e9,
            "admitted": main.admitted,
            "bound": main.admitted as f64 + tokens(&margin),
            "bound_margin_tokens": tokens(&margin),
            "windows": windows.as_json(),
            "violated": violated,
        });
        writeln!(lines.out, "{object:#}")?;
    } else {
        let verdict = if violated {
            "VIOLATED: more was admitted than burst + rate × time"
        } else {
            "the bound held: in the whole run, and in every window of the logged one"
        };
        let clock = format!("{health}{}", drift(health.drift));
        let rest = [("worst window", windows.text()), ("clock", clock), ("verdict", verdict.to_owned())];
        let rows = main.rows(&quota, &single, &margin).into_iter().chain(rest);
        lines.write(&aligned([left(0, 13), left(1, 0)], rows.map(|(name, text)| [name.to_owned(), text])))?;
    }
    Ok(if violated { Verdict::Violated } else { Verdict::Held })
}

fn drift(drift: Option<f64>) -> String {
    drift.map_or(String::new(), |drift| format!("; {:+.2} ppm off the system's since the start", drift * 1e6))
}

/// Writes lines for people, or none if one JSON object is printed in their place.
struct Lines<'a, W> {
    out: &'a mut W,
    silent: bool,
}

impl<W: Write> Lines<'_, W> {
    fn write(&mut self, text: &str) -> io::Result<()> {
        if self.silent {
            return Ok(());
        }
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }
}

/// The limiter's own clock.
const CLOCK: QuantaClock = QuantaClock::new();

/// Returns the middle value, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 0 => (values[n / 2 - 1] + values[n / 2]) / 2.0,
        n => values[n / 2],
    }
}

/// Writes nanoseconds.
fn ns(value: f64) -> String {
    format!("{value:.2} ns")
}

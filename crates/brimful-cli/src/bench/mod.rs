//! `brimful bench`: the limiter on this machine. What a decision costs beside what nobody can
//! do without (reading the clock, changing one word), and what was admitted beside
//! `burst + rate × time`, from all threads at once, in exact integers.

mod contention;
mod single;
mod windows;

use std::io::Write;
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::Duration;

use anyhow::anyhow;
use brimful::{QuantaClock, Quota, clock_health};
use serde_json::json;

use crate::bound::{bound, parse_quota, tokens};
use crate::{Failure, Verdict, text};

/// The options of `bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Threads on one limiter; as many as there are cores where it is not given
    #[arg(long, value_parser = threads)]
    threads: Option<NonZeroUsize>,
    /// How long the main phase takes; the others take half of it, or as long
    #[arg(long, default_value = "2", value_parser = seconds)]
    seconds: Duration,
    /// The quota that the threads are held to, such as "1/min burst 5"; 1000000/s burst 100000
    /// where it is not given
    #[arg(long, value_name = "QUOTA")]
    quota: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn threads(text: &str) -> Result<NonZeroUsize, String> {
    match text.parse() {
        Ok(threads) if (1..=1_024).contains(&threads) => Ok(NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN)),
        _ => Err("a number of threads from 1 to 1024".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) if (0.05..=3_600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("a number of seconds from 0.05 to 3600".to_owned()),
    }
}

/// A word with its cache lines for itself, as a limiter's is: what the floor is measured on.
#[repr(align(128))]
struct Padded(AtomicU64);

/// More than any thread can ask for, so that everything is admitted.
const ENDLESS: Quota = Quota::per_second(1_000_000_000).burst(u32::MAX);
/// A bucket that stands full earns nothing, so the burst is more than the threads miss while
/// the system runs something else: a tenth of a second.
const DEFAULT: Quota = Quota::per_second(1_000_000).burst(100_000);

/// Runs the phases and prints each as it ends.
pub(crate) fn run(args: &Args, out: &mut impl Write) -> Result<Verdict, Failure> {
    let quota = args.quota.as_deref().map_or(Ok(DEFAULT), parse_quota)?;
    if quota.capacity().whole() == 0 {
        return Err(anyhow!("--quota: the threads ask for whole tokens, so the burst must be at least 1").into());
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = args.threads.map_or(cores, usize::from);
    // The calibration of the clock must not be in anybody's measurement.
    let _ = clock_health();
    let mut table = Table { out, silent: args.json };

    table.line(&format!("{threads} threads on {cores} cores; the clock is the {}\n", clock_health()))?;
    let single = single::measure();
    single.print(&mut table)?;
    let sweep = contention::sweep(threads, args.seconds, quota);
    contention::print(&sweep, &mut table)?;
    let main = contention::hold(quota, threads, args.seconds);
    let windows = windows::check(quota, threads, args.seconds / 2);

    let margin = bound(&quota).margin(main.span_ns, crate::bound::whole(main.admitted));
    let worst = windows.worst.map(|window| window.margin);
    let violated = margin.is_violation() || windows.worst.is_some_and(|window| window.margin.is_violation());
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
        writeln!(table.out, "{object:#}")?;
    } else {
        main.print(&quota, &single, &margin, &mut table)?;
        windows.print(worst, &mut table)?;
        table.line(&format!("clock         {health}{}", drift(health.drift)))?;
        let verdict = if violated {
            "VIOLATED: more was admitted than burst + rate × time"
        } else {
            "the bound held: in the whole run, and in every window of the logged one"
        };
        table.line(&format!("verdict       {verdict}"))?;
    }
    Ok(if violated { Verdict::Violated } else { Verdict::Held })
}

fn drift(drift: Option<f64>) -> String {
    drift.map_or(String::new(), |drift| format!("; {:+.2} ppm off the system's since the start", drift * 1e6))
}

/// Where the lines for people go: nowhere, where an object is asked for.
struct Table<'a, W> {
    out: &'a mut W,
    silent: bool,
}

impl<W: Write> Table<'_, W> {
    fn line(&mut self, line: &str) -> std::io::Result<()> {
        if self.silent {
            return Ok(());
        }
        writeln!(self.out, "{line}")?;
        self.out.flush()
    }
}

/// The limiter's own clock.
const CLOCK: QuantaClock = QuantaClock::new();

/// The middle one, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 0 => (values[n / 2 - 1] + values[n / 2]) / 2.0,
        n => values[n / 2],
    }
}

/// A number of nanoseconds in a column.
fn ns(value: f64) -> String {
    format!("{value:.2} ns")
}

/// The part of the whole that is told in tokens.
fn in_tokens(margin: Option<brimful_oracle::window::Margin>) -> String {
    margin.map_or_else(|| "none".to_owned(), |margin| format!("{} tokens", text::amount(tokens(&margin))))
}

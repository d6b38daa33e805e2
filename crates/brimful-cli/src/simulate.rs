//! `brimful simulate`: an access log, replayed through the limiter on the log's own clock.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use brimful::{KeyedRateLimiter, Quota};
use brimful_oracle::window::{Bound, Window, WindowScan};
use clap::ValueEnum;
use serde_json::json;

use crate::bound::{bound, parse_quota, tokens, whole};
use crate::{Failure, Verdict, log, text};

/// The options of `simulate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The quota, such as "1/min burst 5" or "100/s"
    #[arg(long, value_name = "QUOTA")]
    quota: String,
    /// What has a bucket of its own
    #[arg(long, value_enum, default_value_t = Key::None)]
    key: Key,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// The log; - is the standard input
    file: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Key {
    /// All requests share one bucket
    None,
    /// Each client address has its own
    Ip,
}

/// Replays the log and prints what became of it.
pub(crate) fn run(args: &Args, out: &mut impl Write) -> Result<Verdict, Failure> {
    let quota = parse_quota(&args.quota)?;
    let mut trace = read(&args.file, args.key)?;
    let replay = replay(&mut trace, &quota)?;
    if args.json {
        writeln!(out, "{:#}", as_json(args, &quota, &trace, &replay))?;
    } else {
        print(out, args, &quota, &trace, &replay)?;
    }
    Ok(if replay.violations == 0 { Verdict::Held } else { Verdict::Violated })
}

/// A log as read.
#[derive(Default)]
struct Trace {
    /// In order of their stamps; those with the same stamp in the log's order.
    requests: Vec<Request>,
    /// The keys, and their numbers in the order in which they come.
    keys: HashMap<Box<[u8]>, u32>,
    /// Requests whose stamp is earlier than that of the request before.
    out_of_order: u64,
    malformed: u64,
    first_malformed: Option<Complaint>,
}

struct Request {
    unix: i64,
    key: u32,
    admitted: bool,
}

impl Trace {
    /// The earliest stamp.
    fn first(&self) -> Option<i64> {
        self.requests.first().map(|request| request.unix)
    }

    /// The latest stamp.
    fn last(&self) -> Option<i64> {
        self.requests.last().map(|request| request.unix)
    }

    /// A key as the log has it.
    fn name(&self, number: u32) -> &[u8] {
        self.keys.iter().find(|&(_, &key)| key == number).map_or(b"", |(name, _)| name)
    }
}

/// What was wrong with a line.
struct Complaint {
    line: u64,
    reason: String,
    text: String,
}

fn read(path: &Path, key: Key) -> anyhow::Result<Trace> {
    let input: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path).with_context(|| format!("cannot open {}", path.display()))?)
    };
    let trace = parse(input, key).with_context(|| format!("cannot read {}", path.display()))?;
    if let (true, Some(first)) = (trace.requests.is_empty(), &trace.first_malformed) {
        bail!(
            "{} is not an access log: none of its {} lines is in the common or combined format (line {}: {})",
            path.display(),
            text::count(trace.malformed),
            first.line,
            first.reason
        );
    }
    Ok(trace)
}

fn parse(input: impl Read, key: Key) -> io::Result<Trace> {
    let mut trace = Trace::default();
    let mut before = i64::MIN;
    let mut reader = log::Reader::new(input);
    while let Some(line) = reader.next()? {
        match line.entry {
            Ok(entry) => {
                let name = if key == Key::Ip { entry.host } else { b"" };
                let key = trace.keys.get(name).copied().unwrap_or_else(|| {
                    let number = trace.keys.len() as u32;
                    trace.keys.insert(name.into(), number);
                    number
                });
                trace.out_of_order += u64::from(entry.unix < before);
                before = entry.unix;
                trace.requests.push(Request { unix: entry.unix, key, admitted: false });
            }
            Err(reason) => {
                trace.malformed += 1;
                trace.first_malformed.get_or_insert_with(|| Complaint {
                    line: line.number,
                    reason: reason.to_string(),
                    text: text::excerpt(line.text, 60),
                });
            }
        }
    }
    // Stable: ties stay in the log's order.
    trace.requests.sort_by_key(|request| request.unix);
    Ok(trace)
}

/// What the limiter made of a log.
#[derive(Default)]
struct Replay {
    admitted: u64,
    denied: u64,
    /// Over all keys, with the key's number.
    worst: Option<(Window, u32)>,
    /// Keys whose worst window breaks the bound.
    violations: u64,
    /// What the limiter took for its keys.
    bytes: u64,
}

/// A limiter's time begins a second before the first request.
const EARLIER: i64 = 1;

/// A limiter is exact for 2⁵⁹ ns and earns nothing after.
const LONGEST: i64 = (1 << 59) / 1_000_000_000 - EARLIER;

/// The reading of a stamp, where the log begins at `first`.
fn reading(unix: i64, first: i64) -> u64 {
    (unix - first + EARLIER) as u64 * 1_000_000_000
}

fn replay(trace: &mut Trace, quota: &Quota) -> anyhow::Result<Replay> {
    let (Some(first), Some(last)) = (trace.first(), trace.last()) else { return Ok(Replay::default()) };
    if last - first > LONGEST {
        bail!(
            "the log spans more than 18 years, from {} to {}: a limiter's time ends there",
            log::utc(first),
            log::utc(last)
        );
    }
    let limiter = KeyedRateLimiter::<u32>::builder().quota(*quota).max_keys(trace.keys.len() as u64).build();
    let limiter = limiter.context("too many keys")?;
    let mut replay = Replay::default();
    for request in &mut trace.requests {
        request.admitted = limiter.allow_at(reading(request.unix, first), &request.key);
        *(if request.admitted { &mut replay.admitted } else { &mut replay.denied }) += 1;
    }
    replay.bytes = limiter.memory_usage();
    check(trace, bound(quota), first, &mut replay);
    Ok(replay)
}

/// Holds what each key was granted against the exact bound, key by key, so that one scan is in
/// memory at a time.
fn check(trace: &Trace, bound: Bound, first: i64, replay: &mut Replay) {
    let mut order: Vec<u32> = (0..trace.requests.len() as u32).collect();
    // Stable: each key's requests stay in the order of their stamps.
    order.sort_by_key(|&at| trace.requests[at as usize].key);
    for of_key in order.chunk_by(|&a, &b| trace.requests[a as usize].key == trace.requests[b as usize].key) {
        let mut scan = WindowScan::new(bound);
        let requests = of_key.iter().map(|&at| &trace.requests[at as usize]);
        let key = trace.requests[of_key[0] as usize].key;
        requests
            .filter(|request| request.admitted)
            .for_each(|request| scan.push(reading(request.unix, first), whole(1)));
        let Some(window) = scan.worst() else { continue };
        replay.violations += u64::from(window.margin.is_violation());
        if replay.worst.is_none_or(|(worst, _)| window.margin < worst.margin) {
            replay.worst = Some((window, key));
        }
    }
}

/// The stamp that a reading was made from.
fn stamp(trace: &Trace, reading_ns: u64) -> String {
    let first = trace.first().unwrap_or(0);
    log::utc(first + (reading_ns / 1_000_000_000) as i64 - EARLIER)
}

/// Whole tokens were granted.
fn granted(window: &Window) -> u64 {
    (window.granted / whole(1)) as u64
}

fn as_json(args: &Args, quota: &Quota, trace: &Trace, replay: &Replay) -> serde_json::Value {
    let requests = trace.requests.len() as u64;
    json!({
        "file": args.file.to_string_lossy(),
        "quota": quota.to_string(),
        "key": if args.key == Key::Ip { "ip" } else { "none" },
        "requests": requests,
        "admitted": replay.admitted,
        "denied": replay.denied,
        "admitted_share": (requests > 0).then(|| replay.admitted as f64 / requests as f64),
        "first": trace.first().map(log::utc),
        "last": trace.last().map(log::utc),
        "keys": trace.keys.len(),
        "limiter_bytes": replay.bytes,
        "out_of_order": trace.out_of_order,
        "malformed": trace.malformed,
        "first_malformed": trace.first_malformed.as_ref().map(|first| json!({
            "line": first.line,
            "reason": first.reason,
            "text": first.text,
        })),
        "worst_window": replay.worst.as_ref().map(|(window, key)| json!({
            "key": (args.key == Key::Ip).then(|| text::excerpt(trace.name(*key), usize::MAX)),
            "start": stamp(trace, window.start_ns),
            "end": stamp(trace, window.end_ns),
            "seconds": (window.end_ns - window.start_ns) / 1_000_000_000,
            "granted": granted(window),
            "margin_tokens": tokens(&window.margin),
        })),
        "violations": replay.violations,
    })
}

fn print(out: &mut impl Write, args: &Args, quota: &Quota, trace: &Trace, replay: &Replay) -> io::Result<()> {
    let requests = trace.requests.len() as u64;
    let each = if args.key == Key::Ip { "for each client address" } else { "for all together" };
    writeln!(out, "{} at {quota}, {each}\n", args.file.display())?;
    writeln!(out, "requests      {:>12}", text::count(requests))?;
    for (name, part) in [("admitted", replay.admitted), ("denied", replay.denied)] {
        writeln!(out, "{name:<13} {:>12}  {:>9}", text::count(part), text::percent(part, requests))?;
    }
    let keys = text::count(trace.keys.len() as u64);
    writeln!(out, "keys          {keys:>12}  in {} bytes of the limiter's", text::count(replay.bytes))?;
    writeln!(
        out,
        "out of order  {:>12}  {:>9}  earlier than the line before; replayed in order of their stamps",
        text::count(trace.out_of_order),
        text::percent(trace.out_of_order, requests)
    )?;
    write!(out, "malformed     {:>12}", text::count(trace.malformed))?;
    match &trace.first_malformed {
        Some(Complaint { line, reason, text }) => writeln!(out, "  the first is line {line}: {reason}: {text}")?,
        None => writeln!(out)?,
    }
    if let (Some(first), Some(last)) = (trace.first(), trace.last()) {
        writeln!(out, "first         {}\nlast          {}", log::utc(first), log::utc(last))?;
    }
    match &replay.worst {
        Some((window, key)) => {
            let granted = granted(window);
            let margin = tokens(&window.margin);
            writeln!(
                out,
                "worst window  {} granted within {} s (burst + rate × time = {}), margin {} tokens",
                text::count(granted),
                (window.end_ns - window.start_ns) / 1_000_000_000,
                text::amount(granted as f64 + margin),
                text::amount(margin)
            )?;
            write!(out, "              {} to {}", stamp(trace, window.start_ns), stamp(trace, window.end_ns))?;
            match args.key {
                Key::Ip => writeln!(out, ", {}", text::excerpt(trace.name(*key), 60))?,
                Key::None => writeln!(out)?,
            }
        }
        None => writeln!(out, "worst window  none: nothing was admitted")?,
    }
    match replay.violations {
        0 => writeln!(out, "violations               0  no window of any key is above burst + rate × its length"),
        broken => writeln!(out, "violations    {:>12}  keys were admitted more than the bound", text::count(broken)),
    }
}

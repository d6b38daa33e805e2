//! Real traces, if `BRIMFUL_TRACES` names their folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::{assert_fields, found, name, simulate};

/// Returns the path of a trace. Without a folder of traces, reports the skipped test and returns
/// `None`.
pub(crate) fn trace(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("BRIMFUL_TRACES");
    if folder.is_none() {
        println!("SKIPPED: BRIMFUL_TRACES is not set, so {name} was not replayed");
    }
    Some(Path::new(&folder?).join(name))
}

/// A quota, its tokens per seconds, and its burst.
type Told = (&'static str, u64, u64, u64);

#[test]
fn the_apache_trace_is_admitted_to_the_request_as_exact_buckets_would() {
    the_apache_trace_is_exact_at(&[
        ("1/min burst 5", 1, 60, 5),
        ("1/min burst 1", 1, 60, 1),
        ("1/s burst 1", 1, 1, 1),
        ("1/s burst 5", 1, 1, 5),
        ("1/10s burst 3", 1, 10, 3),
        ("100/h burst 20", 100, 3_600, 20),
        ("10/s burst 100", 10, 1, 100),
        ("1/min burst 2", 1, 60, 2),
        ("5/min burst 2", 5, 60, 2),
        ("7/min burst 3", 7, 60, 3),
        ("10/min burst 10", 10, 60, 10),
        ("1/day burst 2", 1, 86_400, 2),
        ("1/7s burst 4", 1, 7, 4),
    ]);
}

/// Compares the real log with a computation that shares no code with the tool: it splits lines at
/// quotes and spaces, adds up days year by year, and keeps buckets in whole fractions of a token.
fn the_apache_trace_is_exact_at(quotas: &[Told]) {
    let Some(path) = trace("apache_access.log") else { return };
    let content = fs::read_to_string(&path).expect("the trace is there");
    let mut out_of_order = 0;
    let mut before = 0;
    let mut requests: Vec<(u64, usize, &str)> = Vec::new();
    for (number, line) in content.lines().enumerate() {
        let (host, stamp) = slow_entry(line);
        out_of_order += u64::from(stamp < before);
        before = stamp;
        requests.push((stamp, number, host));
    }
    requests.sort_unstable();
    let addresses: BTreeSet<&str> = requests.iter().map(|request| request.2).collect();

    for &(quota, tokens, seconds, burst) in quotas {
        for (key, keys) in [("ip", addresses.len()), ("none", 1)] {
            let admitted = slow_admitted(&requests, key == "ip", tokens, seconds, burst);
            let found = simulate(quota, key, &path);
            let expected = [
                ("requests", requests.len() as u64),
                ("admitted", admitted),
                ("denied", requests.len() as u64 - admitted),
                ("out_of_order", out_of_order),
                ("malformed", 0),
                ("keys", keys as u64),
                ("violations", 0),
            ];
            for (name, number) in expected {
                assert_eq!(found[name], number, "{name} of {quota} by {key}");
            }
        }
    }
}

/// Returns the requests that exact buckets admit. A bucket's level is in `1/seconds` token, so that a
/// second earns `tokens` of it.
fn slow_admitted(requests: &[(u64, usize, &str)], by_host: bool, tokens: u64, seconds: u64, burst: u64) -> u64 {
    let mut buckets: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut admitted = 0;
    for &(stamp, _, host) in requests {
        let key = if by_host { host } else { "" };
        let (level, last) = buckets.entry(key).or_insert((burst * seconds, stamp));
        *level = (*level + (stamp - *last) * tokens).min(burst * seconds);
        *last = stamp;
        if *level >= seconds {
            *level -= seconds;
            admitted += 1;
        }
    }
    admitted
}

/// Returns the host, and the seconds since 2000. The trace is in UTC.
fn slow_entry(line: &str) -> (&str, u64) {
    let host = line.split(' ').next().expect("a host");
    let stamp = line.split('[').nth(1).and_then(|rest| rest.split(']').next()).expect("a stamp");
    let parts: Vec<&str> = stamp.split(['/', ':', ' ']).collect();
    let [day, month, year, hour, minute, second, zone] = parts[..] else { panic!("{stamp}") };
    assert_eq!(zone, "+0000");
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let leap = |year: u64| year.is_multiple_of(4);
    let lengths = |year: u64| [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = names.iter().position(|name| *name == month).expect("a month");
    let years: u64 = (2000..number(year)).map(|year| if leap(year) { 366 } else { 365 }).sum();
    let months: u64 = lengths(number(year))[..month].iter().sum();
    let days = years + months + number(day) - 1;
    (host, ((days * 24 + number(hour)) * 60 + number(minute)) * 60 + number(second))
}

/// Tokens of calls to a language model, as large as tens of thousands and to the tenth of a
/// microsecond, against buckets in 1/1e7 token at instants in 1/1e7 second.
#[test]
fn the_azure_trace_is_admitted_to_the_token_as_exact_buckets_would() {
    let Some(path) = trace("azure_llm_code.csv") else { return };
    let content = fs::read_to_string(&path).expect("the trace is there");
    let calls: Vec<(u64, u64)> = content.lines().skip(1).map(slow_call).collect();
    assert!(calls.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    let asked: u64 = calls.iter().map(|call| call.1).sum();
    for (quota, per_second, burst) in [
        ("10000/s burst 20000", 10_000, 20_000),
        ("5000/s burst 5000", 5_000, 5_000),
        ("333/s burst 100000", 333, 100_000),
        ("1/s burst 4000", 1, 4_000),
        ("1000000/s burst 1000000", 1_000_000, 1_000_000),
    ] {
        let (mut level, mut last) = (burst * 10_000_000, calls[0].0);
        let (mut admitted, mut tokens, mut above) = (0, 0, 0);
        for &(at, cost) in &calls {
            level = (level + (at - last) * per_second).min(burst * 10_000_000);
            last = at;
            above += u64::from(cost > burst);
            if level >= cost * 10_000_000 {
                level -= cost * 10_000_000;
                admitted += 1;
                tokens += cost;
            }
        }
        let cost = "ContextTokens+GeneratedTokens";
        let found = found(&["--quota", quota, "--time", "TIMESTAMP", "--cost", cost, name(&path)]);
        let expected = [
            ("requests", calls.len() as u64),
            ("admitted", admitted),
            ("above_burst", above),
            ("cost", asked),
            ("cost_admitted", tokens),
            ("cost_denied", asked - tokens),
            ("malformed", 0),
            ("late", 0),
            ("violations", 0),
        ];
        assert_fields(&found, expected);
    }
}

/// Returns the time of day in tenths of a microsecond, and the tokens. The trace is of one day.
pub(crate) fn slow_call(row: &str) -> (u64, u64) {
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let [stamp, context, generated] = row.split(',').collect::<Vec<_>>()[..] else { panic!("{row}") };
    let clock = stamp.strip_prefix("2023-11-16 ").expect("that day");
    let [hour, minute, second, fraction] = clock.split([':', '.']).collect::<Vec<_>>()[..] else { panic!("{row}") };
    assert_eq!(fraction.len(), 7);
    let seconds = (number(hour) * 60 + number(minute)) * 60 + number(second);
    (seconds * 10_000_000 + number(fraction), number(context) + number(generated))
}

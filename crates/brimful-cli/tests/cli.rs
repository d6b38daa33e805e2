//! The binary, from outside: what it prints, and how it fails.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn brimful(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_brimful")).args(args).stdin(Stdio::null()).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the output is text")
}

/// A log of this test's own.
fn log(name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).expect("the target directory is writable");
    path
}

fn line(host: &str, stamp: &str) -> String {
    format!("{host} - - [{stamp}] \"GET / HTTP/1.1\" 200 12 \"-\" \"agent\"\n")
}

fn simulate(quota: &str, key: &str, path: &Path) -> Value {
    let path = path.to_str().expect("a path that is text");
    let output = brimful(&["simulate", "--json", "--quota", quota, "--key", key, path]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

/// Asserts that it fails with `code`, prints nothing and says why on one line.
fn refuses(args: &[&str], code: i32, reason: &str) {
    let output = brimful(args);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{args:?}: {err}");
    assert_eq!(out, "", "{args:?}");
    assert!(err.starts_with("brimful: ") && err.contains(reason), "{args:?}: {err}");
    assert!(!err.contains("panicked"), "{args:?}: {err}");
}

#[test]
fn requests_are_replayed_in_order_of_their_stamps() {
    // In the log's order the second line would be denied and the third come too early.
    let content = [line("a", "17/May/2015:10:00:10 +0000"), line("a", "17/May/2015:10:00:10 +0000")].concat()
        + &line("a", "17/May/2015:10:00:00 +0000")
        + &line("a", "17/May/2015:12:00:20 +0200")
        + &line("a", "17/May/2015:03:30:15 -0630");
    let found = simulate("1/10s burst 1", "none", &log("ordering.log", content));
    // In order: :00 admitted, :10 admitted, :10 denied, :15 denied, :20 admitted.
    assert_eq!(found["requests"], 5);
    assert_eq!(found["admitted"], 3);
    assert_eq!(found["denied"], 2);
    assert_eq!(found["out_of_order"], 2);
    assert_eq!(found["malformed"], 0);
    assert_eq!(found["keys"], 1);
    assert_eq!(found["first"], "2015-05-17T10:00:00Z");
    assert_eq!(found["last"], "2015-05-17T10:00:20Z");
    assert_eq!(found["violations"], 0);
    assert_eq!(found["worst_window"]["margin_tokens"], 0.0);
    assert_eq!(found["worst_window"]["key"], Value::Null);
}

#[test]
fn ties_are_replayed_in_the_logs_order_and_each_address_has_its_bucket() {
    let same = "17/May/2015:10:00:00 +0000";
    let content: String = ["a", "b", "a", "c", "a", "b"].iter().map(|host| line(host, same)).collect();
    let path = log("ties.log", content);
    let found = simulate("1/min burst 2", "ip", &path);
    assert_eq!((&found["admitted"], &found["denied"], &found["keys"]), (&5.into(), &1.into(), &3.into()));
    assert_eq!(found["worst_window"]["granted"], 2);
    assert_eq!(found["worst_window"]["key"], "a");
    let found = simulate("1/min burst 2", "none", &path);
    assert_eq!((&found["admitted"], &found["denied"], &found["keys"]), (&2.into(), &4.into(), &1.into()));
}

#[test]
fn malformed_lines_are_counted_and_the_first_is_shown() {
    let mut content = line("a", "17/May/2015:10:00:00 +0000").into_bytes();
    content.extend(b"\r\n\nnot a \x1b[31mline \xff\xfe\n");
    content.extend(line("a", "31/Jun/2015:10:00:00 +0000").bytes());
    content.extend(b"a - - [17/May/2015:10:00:01 +0000] \"GET /\xff\xfe HTTP/1.0\" 400 -\r\n");
    content.extend(b"a - - [17/May/2015:10:0");
    let path = log("malformed.log", content);
    let found = simulate("1/min burst 5", "ip", &path);
    assert_eq!((&found["requests"], &found["malformed"], &found["keys"]), (&2.into(), &3.into(), &1.into()));
    assert_eq!(found["first_malformed"]["line"], 4);

    let output = brimful(&["simulate", "--quota", "1/min burst 5", path.to_str().expect("text")]);
    let out = text(&output.stdout);
    assert!(out.contains("the first is line 4: ") && out.contains("not a \\x1b[31mline \\xff\\xfe"), "{out}");
}

#[test]
fn an_empty_log_is_a_log() {
    for content in ["", "\n \r\n"] {
        let path = log("empty.log", content);
        let found = simulate("1/s", "none", &path);
        assert_eq!((&found["requests"], &found["keys"], &found["malformed"]), (&0.into(), &0.into(), &0.into()));
        assert_eq!(found["worst_window"], Value::Null);
        assert!(brimful(&["simulate", "--quota", "1/s", path.to_str().expect("text")]).status.success());
    }
}

#[test]
fn the_standard_input_is_a_log_too() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_brimful"))
        .args(["simulate", "--quota", "1/s", "--json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let log = line("a", "17/May/2015:10:00:00 +0000");
    child.stdin.take().expect("piped").write_all(log.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let found: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(found["requests"], 1);
}

#[test]
fn bad_input_is_one_clear_line_and_exit_code_2() {
    let good = log("good.log", line("a", "17/May/2015:10:00:00 +0000"));
    let good = good.to_str().expect("text");
    let garbage: Vec<u8> = (0..300_000u32).map(|j| (j.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let garbage = log("garbage.log", garbage);
    let zeros = log("zeros.log", vec![0; 3 << 20]);
    let ages = log("ages.log", line("a", "17/May/1995:10:00:00 +0000") + &line("a", "17/May/2015:10:00:00 +0000"));
    let simulate = |quota: &str, path: &str, reason: &str| {
        refuses(&["simulate", "--quota", quota, path], 2, reason);
        refuses(&["simulate", "--json", "--key", "ip", "--quota", quota, path], 2, reason);
    };
    simulate("1/s", "/nonexistent/access.log", "cannot open /nonexistent/access.log: ");
    simulate("1/s", env!("CARGO_TARGET_TMPDIR"), "cannot read ");
    simulate("1/s", garbage.to_str().expect("text"), "is not an access log");
    simulate("1/s", zeros.to_str().expect("text"), "is not an access log");
    simulate("1/s", ages.to_str().expect("text"), "more than 18 years");
    for quota in ["", "five", "0/s", "1/s burst 0", "1/fortnight", "99999999999999999999/s"] {
        simulate(quota, good, "--quota: ");
    }
    refuses(&["bench", "--quota", "nothing"], 2, "--quota: ");
    refuses(&["--quota", "1/s burst 0.5"], 2, "burst must be at least 1");
}

#[test]
fn what_is_not_an_option_is_explained_with_exit_code_2() {
    for args in [
        &["simulate", "--key", "user", "--quota", "1/s", "x"][..],
        &["simulate", "x"],
        &["simulate", "--quota", "1/s"],
        &["--threads", "0"],
        &["--threads", "1025"],
        &["--seconds", "NaN"],
        &["--seconds", "-1"],
        &["--seconds", "1e30"],
        &["fly"],
    ] {
        let output = brimful(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).starts_with("error: "), "{args:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let content: String = (0..1_000).map(|_| line("a", "17/May/2015:10:00:00 +0000")).collect();
    let path = log("pipe.log", content);
    for args in [
        &["simulate", "--quota", "1/s", path.to_str().expect("text")][..],
        &["simulate", "--json", "--quota", "1/s", path.to_str().expect("text")],
        &["--seconds", "0.05", "--threads", "1"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = Command::new(env!("CARGO_BIN_EXE_brimful"))
            .args(args)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .expect("the binary runs");
        assert_eq!(text(&output.stderr), "", "{args:?}");
        assert!(output.status.code().is_some_and(|code| code <= 2), "{args:?}: {:?}", output.status);
    }
}

#[test]
fn without_arguments_it_measures_and_proves() {
    let output = brimful(&["--seconds", "0.1", "--threads", "3"]);
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{out}{}", text(&output.stderr));
    for expected in
        ["decisions ", "one thread ", "admitted ", "burst + rate ×", "worst window ", "0 violations", "clock "]
    {
        assert!(out.contains(expected), "{expected}: {out}");
    }

    let output = brimful(&["bench", "--seconds", "0.1", "--threads", "2", "--quota", "50/s burst 3", "--json"]);
    let found: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let number = |name: &str| found[name].as_f64().unwrap_or_else(|| panic!("{name}: {found}"));
    assert_eq!(found["violated"], false);
    assert_eq!(number("threads"), 2.0);
    assert!(number("admitted") >= 3.0);
    assert!(number("admitted") <= number("bound"));
    assert!((number("bound") - 3.0 - 50.0 * number("seconds")).abs() < 1e-6, "{found}");
    assert!(number("decisions") > number("admitted"));
}

/// A quota, and what it says: tokens per seconds, and the burst.
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

/// The real log, against a computation that shares nothing with the tool: lines split at their
/// quotes and spaces, days added up year by year, buckets in whole fractions of a token.
fn the_apache_trace_is_exact_at(quotas: &[Told]) {
    let Some(folder) = std::env::var_os("BRIMFUL_TRACES") else {
        println!("SKIPPED: BRIMFUL_TRACES is not set, so the Apache trace was not replayed");
        return;
    };
    let path = Path::new(&folder).join("apache_access.log");
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

/// What exact buckets admit. A bucket's level is in `1/seconds` token, so that a second earns
/// `tokens` of it.
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

/// The host, and the seconds since 2000; the trace is in UTC.
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

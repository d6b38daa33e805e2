//! `simulate --llm`: calls to a language model that wait for its limits.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::timeline::words;
use crate::traces::{slow_call, trace};
use crate::{assert_fields, brimful, found, log, name, refuses, text};

/// The time of a call: a second, and 10 ms for each token of output.
const SLOW: [&str; 4] = ["--first-token", "1s", "--per-token", "10ms"];

/// Writes a trace of calls: the second of each, its input and its output.
fn calls(name: &str, calls: &[(u64, u64, u64)]) -> PathBuf {
    let line = |(at, input, output): &(u64, u64, u64)| format!("2023-11-16 18:17:{at:02}.0,{input},{output}\n");
    let lines: String = calls.iter().map(line).collect();
    log(name, format!("TIMESTAMP,ContextTokens,GeneratedTokens\n{lines}"))
}

fn replayed(options: &[&str], trace: &Path) -> Value {
    let found = found(&[&["--llm"], &SLOW[..], options, &[name(trace)]].concat());
    assert_eq!(found["violations"], 0, "{found:#}");
    found
}

/// Returns the makespan, and the longest wait, in seconds.
fn times(found: &Value) -> (f64, f64) {
    let number = |value: &Value| value.as_f64().expect("a number");
    (number(&found["makespan_seconds"]), number(&found["wait_seconds"]["max"]))
}

fn dimension<'a>(found: &'a Value, name: &str) -> &'a Value {
    let dimensions = found["dimensions"].as_array().expect("a list");
    dimensions.iter().find(|of| of["dimension"] == name).expect("it has a limit")
}

/// At 100 tokens a second of 6000, the first two calls leave 100. The third needs 800 more than are there when it
/// arrives, and the fourth, which is behind it, its own 100.
const FOUR: [(u64, u64, u64); 4] = [(0, 3_000, 1_000), (1, 1_500, 500), (2, 600, 400), (3, 90, 10)];

#[test]
fn calls_wait_for_tokens_and_slots_in_order() {
    let path = calls("llm-four.csv", &FOUR);
    let found = replayed(&["--tpm", "6000"], &path);
    assert_fields(&found, [("calls", 4), ("granted", 4), ("waited", 2), ("refused", 0), ("most_in_flight", 2)]);
    assert_fields(&found, [("rate_limited", 0), ("rate_limited_without", 1), ("malformed", 0)]);
    assert_eq!(times(&found), (15.0, 8.0));
    let waits = &found["wait_seconds"];
    assert_eq!([&waits["mean"], &waits["p50"], &waits["p99"]], [4.0, 0.0, 8.0]);
    assert_eq!(dimension(&found, "tpm")["utilisation"], 1.0);
    // The same with two slots. Without a limiter, the third and the fourth call find none.
    let found = replayed(&["--tpm", "6000", "--parallel", "2"], &path);
    assert_eq!(times(&found), (15.0, 8.0));
    assert_fields(&found, [("most_in_flight", 2), ("rate_limited_without", 2)]);
    let slots = dimension(&found, "max_parallel_requests");
    assert_eq!([&slots["used"], &slots["utilisation"]], [1.54, 0.77]);
    assert_eq!(slots["rate_limited_without"], 2);
    for (options, expected) in [
        // One after the other: 11 s, 6 s, 5 s and 1.1 s.
        (&["--parallel", "1"][..], (23.1, 19.0)),
        // Input: the calls are granted at 0 s, 30 s, 42 s and 43.8 s.
        (&["--input-tpm", "3000", "--rpd", "9"], (47.0, 40.8)),
        // Output: at 0 s, 15 s, 35 s and 35.5 s.
        (&["--output-tpm", "1200", "--tpd", "9999"], (40.0, 33.0)),
        // A request in 30 s: at 0 s, 1 s, 30 s and 60 s.
        (&["--rpm", "2", "--tpm", "9999"], (61.1, 57.0)),
        // 0.08 tokens a second: the calls are granted at 0 s, 1 s, 1100 s and 2350 s.
        (&["--tpd", "6912"], (2_351.1, 2_347.0)),
        // The arrivals are at 0 s, 0.5 s, 1 s and 1.5 s.
        (&["--tpm", "6000", "--speed", "2"], (15.0, 9.5)),
        (&["--tpm", "6000", "--speed", "0.1"], (31.1, 0.0)),
    ] {
        assert_eq!(times(&replayed(options, &path)), expected, "{options:?}");
    }
}

#[test]
fn calls_above_a_limit_are_refused_and_hold_nobody_up() {
    let path = calls("llm-above.csv", &FOUR);
    let found = replayed(&["--tpm", "3000", "--input-tpm", "1000"], &path);
    assert_fields(&found, [("granted", 2), ("waited", 0), ("refused", 2), ("rate_limited_without", 2)]);
    // Both dimensions are below the first call: the one that is more often in the way is named for it.
    let refused: u64 = ["tpm", "input_tpm"].iter().map(|of| dimension(&found, of)["refused"].as_u64().unwrap()).sum();
    assert_eq!(refused, 2);
    // A strict limit has half of a minute's tokens at once.
    let strict = replayed(&["--tpm", "3000", "--strict"], &path);
    assert_fields(&strict, [("granted", 2), ("refused", 2)]);
    assert_eq!(times(&strict), (7.0, 0.0));
    // The usage would fit, but not what the client knows of it.
    let guessed = replayed(&["--tpm", "9999", "--estimate", "10000"], &path);
    assert_fields(&guessed, [("granted", 0), ("refused", 4), ("rate_limited_without", 0)]);
    let none = replayed(&["--tpm", "50"], &path);
    assert_fields(&none, [("granted", 0), ("refused", 4)]);
    assert_eq!(none["makespan_seconds"], 0.0);
    assert!(none["wait_seconds"].is_null() && dimension(&none, "tpm")["utilisation"].is_null());
}

#[test]
fn estimates_are_settled_and_learned() {
    // 5500 of output are estimated, and 500 used: when a call ends after 6 s, 5000 are given back to the 600 that were
    // refilled, and the next one waits for 400 more. The last call comes after the first has taught that the output is
    // shorter: its estimate fits in what the second gives back.
    let high = calls("llm-high.csv", &[(0, 500, 500), (0, 500, 500), (10, 500, 500)]);
    let found = replayed(&["--tpm", "6000", "--estimate", "5500"], &high);
    assert_fields(&found, [("granted", 3), ("rate_limited", 0)]);
    assert_eq!(times(&found), (26.0, 10.0));
    let learning = replayed(&["--tpm", "6000", "--estimate", "5500", "--learning"], &high);
    assert_eq!(times(&learning), (22.0, 10.0));
    let exact = replayed(&["--tpm", "6000"], &high);
    assert_eq!(times(&exact), (16.0, 0.0));
    // A debt, when the first call ends at 61 s: nothing is left for the second one, which comes a second later. A server
    // that knows the usage would have refused the first.
    let low = log("llm-low.csv", "ts,in,out\n0,1000,6000\n62,1000,0\n");
    let columns = ["--in-column", "in", "--out-column", "out"];
    let found = replayed(&[&columns[..], &["--tpm", "6000", "--estimate", "0"]].concat(), &low);
    assert_fields(&found, [("granted", 2), ("waited", 1), ("rate_limited", 1), ("rate_limited_without", 1)]);
    assert_eq!(times(&found), (72.0, 9.0));
    // The mean output of the calls that have ended: 0, and then 600. At 10 tokens a second, the first call's 600 are
    // charged when it ends at 7 s, and the second, at 10 s, waits for 600.
    let means = calls("llm-means.csv", &[(0, 0, 600), (10, 0, 100)]);
    let found = replayed(&["--tpm", "600", "--estimate", "context"], &means);
    assert_eq!(times(&found), (69.0, 57.0));
}

#[test]
fn the_results_are_printed() {
    let path = calls("llm-printed.csv", &FOUR);
    let output =
        brimful(&[&["simulate", "--llm", "--tpm", "3999", "--parallel", "9"], &SLOW[..], &[name(&path)]].concat());
    let expected = format!(
        "\
{} at tpm 3,999, max_parallel_requests 9
a call takes 1 s + 10 ms for each token of output; estimates: exact

calls                    4
at once                  3    75.00 %
after a wait             0     0.00 %
refused                  1    25.00 %  their estimates are above a limit, and would never be granted
429                      0     0.00 %  of the granted calls, by a server with these limits that knows their usage
429 without              1    25.00 %  without a limiter, if no call is repeated
out of order             0     0.00 %  earlier than the line before; replayed in order of their stamps
malformed                0
first         2023-11-16T18:17:00Z
last          2023-11-16T18:17:03Z
arrivals      within 3 s
makespan      7 s from the first arrival to the last answer
waits         mean 0.000 s, median 0.000 s, p99 0.000 s, longest 0.000 s

                             limit          used  utilisation  refused  429  429 without
tpm                          3,999         3,100       0.7383        1    0            1
max_parallel_requests            9          1.73       0.1921        0    0            0
utilisation: used, of burst + rate × the time up to the last grant; of parallel requests: the mean

violations               0  no dimension was charged above its bound in any window
",
        name(&path)
    );
    assert_eq!(text(&output.stdout), expected);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let empty = brimful(&[
        "simulate",
        "--llm",
        "--tpm",
        "9",
        "--rpm",
        "1",
        "--parallel",
        "1",
        name(&calls("llm-empty.csv", &[])),
    ]);
    assert_eq!((empty.status.code(), text(&empty.stderr)), (Some(0), ""));
}

#[test]
fn lines_that_are_no_calls_are_counted_and_the_first_is_shown() {
    let text =
        "when,prompt tokens,tokens\n5,10,20\nyesterday,1,1\n6,x,1\n7,1,-1\n8,1\n9, 30 ,\"1\"\n3,1,1\n9,1.5,2.5\n";
    let path = log("llm-lines.csv", text);
    let columns = ["--time-column", "when", "--in-column", "prompt tokens", "--out-column", "tokens"];
    let found = replayed(&[&columns[..], &["--tpm", "9999"]].concat(), &path);
    assert_fields(&found, [("calls", 4), ("malformed", 4), ("out_of_order", 1), ("late", 0)]);
    let first = &found["first_malformed"];
    assert_eq!(first["reason"], "the time is neither a date nor a number");
    assert_eq!((&first["line"], &first["text"]), (&3.into(), &"yesterday,1,1".into()));
    // Fractions are rounded up.
    assert_eq!(dimension(&found, "tpm")["used"], f64::from(30 + 31 + 2 + 5));
    let args = |rest: &[&'static str]| [&["simulate", "--llm", "--tpm", "9"], rest].concat();
    let refused = |rest: &[&'static str], reason: &str| refuses(&[&args(rest)[..], &[name(&path)]].concat(), 2, reason);
    refused(
        &["--time", "when"],
        "--in-column: there is no column \"ContextTokens\": choose from when, prompt tokens, tokens",
    );
    refused(&["--time", "when", "--in-column", "tokens"], "--out-column: there is no column \"GeneratedTokens\"");
    refused(&["--in-column", "tokens", "--out-column", "tokens"], "which column is the time?");
    let none = log("llm-none.csv", "ts,ContextTokens,GeneratedTokens\n1,x,1\n");
    refuses(
        &[&args(&[])[..], &[name(&none)]].concat(),
        2,
        "none of its 1 lines is one (line 2: the cost is not a number",
    );
    let access = log("llm-access.log", crate::line("a", "17/May/2015:10:00:00 +0000"));
    refuses(
        &[&args(&[])[..], &[name(&access)]].concat(),
        2,
        "--cost and --llm are about columns, and an access log has none",
    );
}

#[test]
fn limits_come_from_a_file_or_from_options() {
    let path = calls("llm-limits.csv", &FOUR);
    let limits = |text: &str| log("llm-limits.json", text);
    for file in ["{\"tpm\": 6000}", "{\"gpt-4\": {\"tpm\": 6000}}", "{\"default\": {\"tpm\": 6000}}"] {
        let found = replayed(&["--limits", name(&limits(file))], &path);
        assert_eq!(times(&found), (15.0, 8.0), "{file}");
        assert_eq!(found["limits"].to_string(), "{\"tpm\":6000}");
    }
    let refused = |options: &[&str], reason: &str| {
        refuses(&[&["simulate", "--llm"], options, &[name(&path)]].concat(), 2, reason);
    };
    for (file, reason) in [
        ("{\"tpn\": 6000}", "llm-limits.json: tpn: no such field: the fields are rpm, tpm, "),
        ("{\"a\": {\"tpm\": 0}}", "llm-limits.json: a.tpm: 0 is not a limit; leave it out for no limit"),
        ("{\"a\": {\"tpm\": 1}, \"b\": {\"rpm\": 9}}", "llm-limits.json: one model at a time, and the file has 2"),
        ("{}", "llm-limits.json: no limit is given: add one, such as \"rpm\": 500"),
        ("tpm", "llm-limits.json: expected "),
    ] {
        refused(&["--limits", name(&limits(file))], reason);
    }
    refused(&["--limits", "/nonexistent/limits.json"], "--limits: /nonexistent/limits.json: ");
    refused(&[], "--llm: no limit is given");
    refused(&["--strict"], "--llm: no limit is given");
    refused(&["--rpm", "0"], "limits.rpm: 0 is not a limit");
    refused(&["--rpd", "1", "--speed", "1e-9"], "the calls arrive in more than 18 years, ");
    let years = calls("llm-years.csv", &[(0, 0, 0); 7_000]);
    let reason = "the calls take more than 18 years at these limits: a limiter's time ends there";
    refuses(&["simulate", "--llm", "--rpd", "1", name(&years)], 2, reason);
    for options in [
        &["--rpm", "1", "--limits", "x.json"][..],
        &["--rpm", "1", "--key", "ip"],
        &["--rpm", "1", "--cost", "ContextTokens"],
        &["--rpm", "1", "--quota", "1/s"],
        &["--rpm", "-1"],
        &["--rpm", "1", "--speed", "0"],
        &["--rpm", "1", "--first-token", "5"],
        &["--rpm", "1", "--per-token", "-5ms"],
        &["--rpm", "1", "--estimate", "some"],
    ] {
        let output = brimful(&[&["simulate", "--llm"], options, &[name(&path)]].concat());
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        assert!(text(&output.stderr).starts_with("error: "), "{options:?}: {}", text(&output.stderr));
    }
    let without = brimful(&["simulate", "--quota", "1/s", "--rpm", "1", name(&path)]);
    assert!(text(&without.stderr).starts_with("error: "), "{}", text(&without.stderr));
}

#[test]
fn the_timeline_shows_the_calls_that_waited_and_what_is_left() {
    let path = calls("llm-timeline.csv", &FOUR);
    let svg = Path::new(env!("CARGO_TARGET_TMPDIR")).join("llm-timeline.svg");
    let _ = fs::remove_file(&svg);
    let with = replayed(&["--tpm", "6000", "--parallel", "2", "--timeline", name(&svg)], &path);
    // The clock stops at each interval too, and nothing else changes.
    assert_eq!(with, replayed(&["--tpm", "6000", "--parallel", "2"], &path));
    let (words, shapes) = words(&svg);
    for expected in [
        "tokens per 20 ms at tpm 6,000, max_parallel_requests 2",
        "granted after a wait",
        "granted at once",
        "the limit that has least left, at its least in each interval",
        "time in UTC, from 2023-11-16T18:17:00Z",
    ] {
        assert!(words.lines().any(|line| line == expected), "{expected}: {words}");
    }
    assert!(shapes >= 3, "{shapes}");
    let refused = ["simulate", "--llm", "--tpm", "1", "--timeline", name(&path), name(&path)];
    refuses(&refused, 2, " is one of the logs: choose another name");
}

/// The grants of a bucket of `tpm` tokens a minute and of slots, in order, one call after the other: in
/// nanoseconds, and in parts of a token of which a minute's nanoseconds are one. The instants are rounded up.
fn slow_grants(calls: &[(u64, u64, u64)], tpm: u64, slots: usize) -> Vec<u64> {
    const TOKEN: u128 = 60_000_000_000;
    let (rate, burst) = (u128::from(tpm), u128::from(tpm) * TOKEN);
    let (mut level, mut now, mut ends, mut grants) = (burst, 0, BTreeSet::new(), Vec::new());
    for (number, &(at, tokens, takes)) in calls.iter().enumerate() {
        let cost = u128::from(tokens) * TOKEN;
        let mut instant = now.max(at);
        ends.retain(|&(end, _)| end > instant);
        while ends.len() >= slots {
            let (end, _) = ends.pop_first().expect("there are calls in flight");
            instant = instant.max(end);
        }
        level = (level + u128::from(instant - now) * rate).min(burst);
        let missing = u64::try_from(cost.saturating_sub(level).div_ceil(rate)).expect("a time");
        level = (level + u128::from(missing) * rate).min(burst) - cost;
        now = instant + missing;
        ends.insert((now + takes, number));
        grants.push(now);
    }
    grants
}

#[test]
fn the_azure_trace_waits_to_the_nanosecond_as_an_exact_bucket_would() {
    let Some(path) = trace("azure_llm_code.csv") else { return };
    let content = fs::read_to_string(&path).expect("the trace is there");
    let mut calls: Vec<(u64, u64, u64)> = Vec::new();
    for row in content.lines().skip(1) {
        let (at, tokens) = slow_call(row);
        let output: u64 = row.rsplit(',').next().expect("a column").parse().expect("a number");
        calls.push((at * 100, tokens, 500_000_000 + 20_000_000 * output));
    }
    let (first, total) = (calls[0].0, calls.iter().map(|call| call.1).sum::<u64>());
    calls.iter_mut().for_each(|call| call.0 -= first);
    for (speed, tpm, slots) in [(1, 320_000, usize::MAX), (1, 6_000_000, 4), (50, 4_000_000, 60), (20, 1_000_000, 5)] {
        let sped: Vec<_> = calls.iter().map(|&(at, tokens, takes)| (at / speed, tokens, takes)).collect();
        let grants = slow_grants(&sped, tpm, slots);
        let options = [("--tpm", tpm.to_string()), ("--speed", speed.to_string()), ("--parallel", slots.to_string())];
        let options: Vec<&str> = options.iter().flat_map(|(option, value)| [option, value.as_str()]).collect();
        let options = if slots == usize::MAX { &options[..4] } else { &options[..] };
        let found = found(&[&["--llm"], options, &[name(&path)]].concat());
        let all = calls.len() as u64;
        assert_fields(
            &found,
            [("calls", all), ("granted", all), ("refused", 0), ("rate_limited", 0), ("violations", 0)],
        );
        assert_eq!(dimension(&found, "tpm")["used"], total as f64);
        let waits: Vec<u64> = grants.iter().zip(&sped).map(|(grant, call)| grant - call.0).collect();
        let waited = waits.iter().filter(|&&wait| wait > 0).count() as u64;
        assert_eq!(found["waited"], waited);
        let ends = grants.iter().zip(&sped).map(|(grant, call)| grant + call.2);
        let close = |value: &Value, nanos: u64| (value.as_f64().expect("a number") * 1e9 - nanos as f64).abs() < 1.0;
        assert!(close(&found["makespan_seconds"], ends.max().expect("a call")), "{found:#}");
        let waits_found = &found["wait_seconds"];
        assert!(close(&waits_found["max"], waits.iter().copied().max().expect("a call")), "{found:#}");
        assert!(close(&waits_found["mean"], waits.iter().sum::<u64>() / all), "{found:#}");
        let part = total as f64 / (tpm as f64 * (1.0 + grants[grants.len() - 1] as f64 / 60e9));
        let utilisation = dimension(&found, "tpm")["utilisation"].as_f64().expect("a number");
        assert!((part - utilisation).abs() < 1e-6, "{part} {utilisation}");
        if (speed, slots) == (50, 60) {
            assert!(utilisation >= 0.97, "{utilisation}");
        }
    }
}

//! `simulate --compare`.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::{assert_fields, brimful, found, line, log, name, refuses, text};

const QUOTAS: [&str; 8] = [
    "1/min burst 5",
    "burst: 2/s burst 3; hourly: 20/h",
    "at most 10 in 1min",
    "1/s",
    "100/day",
    "10/min; 50/h; 100/day",
    "0.5/s burst 2.5",
    "1000/s",
];

/// 30 000 requests of 70 clients, some out of order, as a log with a line that is none, and as pairs of
/// a second and a client.
fn crowd() -> (String, Vec<(u64, u64)>) {
    let mut state = 1u64;
    let mut below = |end: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % end
    };
    let (mut content, mut requests) = (String::new(), Vec::new());
    for number in 0..30_000u64 {
        let (second, client) = (number * 2 + below(60), below(70));
        let stamp = format!("17/May/2015:{:02}:{:02}:{:02} +0000", second / 3_600, second / 60 % 60, second % 60);
        content += &line(&format!("203.0.113.{client}"), &stamp);
        requests.push((second, client));
        if number == 12_345 {
            content += "rubbish\n";
        }
    }
    (content, requests)
}

/// Whatever the number of threads, each row is what a replay of its own reports.
#[test]
fn each_quota_has_the_results_of_a_replay_of_its_own() {
    let path = log("compare.log", crowd().0);
    for key in ["ip", "none"] {
        let args = [&["--key", key, name(&path), "--compare"], &QUOTAS[..]].concat();
        let mut all = found(&args);
        let compared = all["compared"].take();
        assert_eq!(compared.as_array().map(Vec::len), Some(QUOTAS.len()));
        for (quota, compared) in QUOTAS.iter().zip(compared.as_array().expect("a list")) {
            let alone = found(&["--key", key, "--quota", quota, name(&path)]);
            for (field, value) in compared.as_object().expect("an object") {
                assert_eq!(*value, alone[field], "{field} of {quota}");
            }
            for (field, value) in all.as_object().expect("an object").iter().filter(|(_, value)| !value.is_null()) {
                assert_eq!(*value, alone[field], "{field}");
            }
        }
        for threads in ["1", "2", "7"] {
            let output = Command::new(env!("CARGO_BIN_EXE_brimful"))
                .args([&["simulate", "--json"], &args[..]].concat())
                .env("RAYON_NUM_THREADS", threads)
                .stdin(Stdio::null())
                .output()
                .expect("the binary runs");
            let found: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
            assert_eq!(found["compared"], compared, "{threads} threads");
        }
    }
}

/// No request is lost or replayed twice, in a log of several batches.
#[test]
fn a_comparison_is_exact_to_the_request() {
    let (content, mut requests) = crowd();
    requests.sort();
    let path = log("compare-exact.log", content);
    // Bursts of tokens a minute, in 1/60 token.
    let bursts = [1u64, 3, 5, 20];
    let quotas = bursts.map(|burst| format!("1/min burst {burst}"));
    let args = ["--key", "ip", name(&path), "--compare"];
    let found = found(&[&args[..], &quotas.each_ref().map(String::as_str)].concat());
    assert_fields(&found, [("requests", 30_000), ("keys", 70), ("malformed", 1), ("late", 0)]);
    for (burst, compared) in bursts.iter().zip(found["compared"].as_array().expect("a list")) {
        let mut buckets = [(burst * 60, 0); 70];
        let mut admitted = 0;
        for &(second, client) in &requests {
            let (level, last) = &mut buckets[client as usize];
            *level = (*level + second - *last).min(burst * 60);
            *last = second;
            if *level >= 60 {
                *level -= 60;
                admitted += 1;
            }
        }
        assert_fields(compared, [("admitted", admitted), ("denied", 30_000 - admitted), ("violations", 0)]);
    }
}

#[test]
fn the_results_stand_side_by_side() {
    let at = |hour: u32| line("203.0.113.5", &format!("17/May/2015:{hour:02}:00:00 +0000"));
    let path = log("compare-table.log", at(10).repeat(5) + &at(11) + &at(12) + &at(13));
    let output = brimful(&["simulate", name(&path), "--compare", "1/s burst 3", "burst: 1/s burst 3; daily: 5/day"]);
    let out = text(&output.stdout);
    let expected = format!(
        "\
{}, for all together

requests                 8
keys                     1
out of order             0     0.00 %  earlier than the line before; replayed in order of their stamps
malformed                0
first         2015-05-17T10:00:00Z
last          2015-05-17T13:00:00Z

quota                                       admitted     share    denied  keys limited  longest run  violations
1/s burst 3                                        6   75.00 %         2             1            2           0
burst: 1/s burst 3; daily: 5/day burst 5           5   62.50 %         3             1            2           0
  refused by burst                                                     2
  refused by daily                                                     1

longest run: the most requests in a row that one key was denied
",
        name(&path)
    );
    assert_eq!(out, expected);
}

#[test]
fn quotas_and_logs_are_told_apart() {
    let content = line("a", "17/May/2015:10:00:00 +0000");
    let path = log("compare-order.log", content);
    let path = name(&path);
    let both = json!(["1/s burst 1", "2/s burst 2"]);
    for args in [
        &[path, "--compare", "1/s", "2/s"][..],
        &["--compare", "1/s", "2/s", "--", path],
        &["--compare", "1/s", "2/s", "--key", "ip", path],
        &["--compare", "1/s", "--compare", "2/s", "--", path],
    ] {
        let found = found(args);
        let quotas: Vec<&Value> = found["compared"].as_array().expect("a list").iter().map(|it| &it["quota"]).collect();
        assert_eq!(json!(quotas), both, "{args:?}");
    }
    let hint = "is a file, not a quota: give the logs before --compare, or after --";
    refuses(&["simulate", "--compare", "1/s", "2/s", path], 2, hint);
    refuses(&["simulate", "--compare", "1/s", "2/s", "-"], 2, hint);
    refuses(&["simulate", "--compare", "1/s", "2/s"], 2, "--compare: no log is given");
    refuses(
        &["simulate", "--compare", "1/s", "--", path],
        2,
        "--compare: \"1/s burst 1\" has nothing to be compared with",
    );
    refuses(&["simulate", "--compare", "1/s", "2/x", "--", path], 2, "--compare: bad quota at \"x\"");
    let missing = "/nonexistent/access.log";
    refuses(&["simulate", missing, "--compare", "1/s", "2/s"], 2, "cannot open /nonexistent/access.log: ");
    refuses(&["simulate", "--compare", "1/s", "2/s", missing], 2, "--compare: bad quota at ");
    for args in [
        &["simulate", path, "--compare"][..],
        &["simulate", path, "--quota", "1/s", "--compare", "1/s", "2/s"],
        &["simulate", path, "--top", "3", "--key", "ip", "--compare", "1/s", "2/s"],
        &["simulate", path, "--timeline", "x.svg", "--compare", "1/s", "2/s"],
        &["simulate", path],
    ] {
        let output = brimful(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).starts_with("error: "), "{args:?}: {}", text(&output.stderr));
    }
}

/// Errors of the lines come out as they do without a comparison.
#[test]
fn a_log_that_is_none_is_refused() {
    let bad = log("compare-bad.log", "rubbish!\n".repeat(10_000));
    refuses(&["simulate", name(&bad), "--compare", "1/s", "2/s"], 2, "is not an access log");
    let far =
        log("compare-far.log", line("a", "17/May/1995:10:00:00 +0000") + &line("a", "17/May/2015:10:00:00 +0000"));
    refuses(&["simulate", name(&far), "--compare", "1/s", "2/s"], 2, "more than 18 years");
}

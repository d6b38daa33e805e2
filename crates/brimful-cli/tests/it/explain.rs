//! `explain`.

use serde_json::{Value, json};

use crate::{brimful, refuses, text};

fn explained(args: &[&str]) -> String {
    let output = brimful(&[&["explain"], args].concat());
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout).to_owned()
}

#[test]
fn a_quota_is_told_in_words() {
    let expected = "\
7/min burst 2.5 initial 0 debt 10

rate        about 0.116667 tokens a second, 7 a minute, 420 an hour, 10,080 a day
            one token every 8.571429 s
burst       2.5 tokens at once from a full bucket; an empty one is full after 21.428571 s
start       with 0 tokens; full after 21.428571 s
debt        a commit of more than was reserved may take it down to -10 tokens

worst windows: the most whole tokens that any time so long admits, burst + rate × length
1 s                       2
1 min                     9
1 h                     422
1 day                10,082

layout of a lone bucket's word, as chosen for this quota
unit        what is earned in about 1.4 ns: a bucket counts in these
resolution  0.000000000167 tokens, which is a unit: costs are rounded up to it, bursts down
";
    assert_eq!(explained(&["7/min burst 2.5 initial 0 debt 10"]), expected);
}

#[test]
fn several_are_told_one_by_one_and_together() {
    let first = "\
100/s burst 200

rate        100 tokens a second, 6,000 a minute, 360,000 an hour, 8,640,000 a day
            one token every 10 ms
burst       200 tokens at once from a full bucket; an empty one is full after 2 s
start       full
debt        a commit of more than was reserved may take it down to -200 tokens

worst windows: the most whole tokens that any time so long admits, burst + rate × length
10 ms                   201  in which a token is earned
1 s                     300
1 min                 6,200
1 h                 360,200
1 day             8,640,200

layout of a lone bucket's word, as chosen for this quota
unit        what is earned in about 1 ns: a bucket counts in these
resolution  0.0000001 tokens, which is a unit: costs are rounded up to it, bursts down

5000/h burst 5000

";
    let together = "
all together: the most whole tokens that any time so long admits, and by which quota
10 ms                   201  100/s burst 200
720 ms                  272  100/s burst 200
1 s                     300  100/s burst 200
1 min                 5,083  5000/h burst 5000
1 h                  10,000  5000/h burst 5000
1 day               125,000  5000/h burst 5000
";
    let found = explained(&["100/s burst 200; 5000/h"]);
    assert!(found.starts_with(first), "{found}");
    assert!(found.ends_with(together), "{found}");
    assert_eq!(explained(&["100/s burst 200", "5000/h"]), found);
}

#[test]
fn as_json_it_is_exact() {
    let found: Value = serde_json::from_str(&explained(&["--json", "20/min burst 1.5"])).expect("one JSON object");
    let windows = [(1_000_000_000u64, 1), (3_000_000_000, 2), (60_000_000_000, 21), (3_600_000_000_000, 1_201)];
    let day = (86_400_000_000_000u64, 28_801);
    let windows: Vec<Value> =
        windows.into_iter().chain([day]).map(|(ns, most)| json!({ "ns": ns, "most": most })).collect();
    let quota = &found["quotas"][0];
    assert_eq!(quota["quota"], "20/min burst 1.5");
    assert_eq!(quota["rate"], json!({ "tokens": 1, "ns": 3_000_000_000u64 }));
    assert_eq!(quota["windows"], Value::from(windows));
    assert_eq!((&quota["burst"], &quota["full_after_ns"]), (&json!(1.5), &json!(4_500_000_000u64)));
    assert_eq!(found["together"], json!([]));
    let found: Value = serde_json::from_str(&explained(&["--json", "1/s; 1/min"])).expect("one JSON object");
    assert_eq!(
        found["together"][1],
        json!({ "ns": 60_000_000_000u64, "most": 2, "name": "1/min burst 1", "quota": "1/min burst 1" })
    );
}

#[test]
fn a_name_stands_before_its_quota_and_in_place_of_it() {
    let found = explained(&["burst: 100/s burst 200; 5000/h", "daily: 50000/day"]);
    assert!(found.starts_with("burst: 100/s burst 200\n\nrate "), "{found}");
    assert!(found.contains("\n\n5000/h burst 5000\n\nrate "), "{found}");
    assert!(found.contains("\n\ndaily: 50000/day burst 50000\n\nrate "), "{found}");
    for row in [
        "1 s                     300  burst\n",
        "1 h                  10,000  5000/h burst 5000\n",
        "1 day               100,000  daily\n",
    ] {
        assert!(found.contains(row), "{found}");
    }
    let found: Value = serde_json::from_str(&explained(&["--json", "a: 1/s; 1/min"])).expect("one JSON object");
    assert_eq!(found["quotas"][0]["name"], "a");
    assert_eq!(found["quotas"][1]["name"], "1/min burst 1");
    assert_eq!(
        found["together"][0],
        json!({ "ns": 1_000_000_000u64, "most": 1, "name": "1/min burst 1", "quota": "1/min burst 1" })
    );
}

#[test]
fn a_window_is_explained_as_its_burst_and_its_rate() {
    let found = explained(&["at most 100 in 1min"]);
    assert!(found.starts_with("51/min burst 50\n"), "{found}");
    assert!(found.contains("\n1 min                   101\n"), "{found}");
}

#[test]
fn quotas_at_the_ends_of_the_range_are_told() {
    for quota in ["1000000000/s burst 4294967295", "1 per 3652500 days burst 1", "1/3652500 days burst 4294967295"] {
        explained(&[quota]);
        explained(&["--json", quota]);
    }
}

#[test]
fn what_is_not_a_quota_is_pointed_at() {
    refuses(&["explain", "100/s; 5000/fortnight"], 2, "\n100/s; 5000/fortnight\n            ^^^^^^^^^\n");
    refuses(&["explain", ""], 2, "bad quota at the end: expected a quota");
    refuses(&["explain", "1/s;"], 2, "bad quota at the end: expected a quota");
    refuses(&["explain", "a: 1/s; a: 5/min"], 2, "\na: 1/s; a: 5/min\n        ^\n");
    refuses(&["explain", "a b: 1/s"], 2, "a name has at most 31 characters");
    refuses(&["bench", "--quota", "1/s; 5/min"], 2, "--quota: one quota at a time");
}

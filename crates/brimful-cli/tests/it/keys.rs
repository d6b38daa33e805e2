//! Keys, and the keys that are denied most often.

use serde_json::json;

use crate::{assert_fields, brimful, found, log, name, refuses, text};

/// Requests of several clients at one instant.
fn requests() -> std::path::PathBuf {
    let line = |(host, user, request, status): (&str, &str, &str, u32)| {
        format!("{host} - {user} [17/May/2015:10:00:00 +0000] \"{request}\" {status} 12\n")
    };
    let lines = [
        ("10.0.0.1", "Jo Doe", "GET /a?x=1 HTTP/1.1", 200),
        ("10.0.0.1", "Jo Doe", "GET /a?x=2 HTTP/1.1", 200),
        ("10.0.0.2", "Jo Doe", "GET /b HTTP/1.1", 404),
        ("10.0.0.2", "-", "POST /a HTTP/1.1", 200),
        ("10.0.0.3", "-", "\\x16\\x03\\x01", 400),
    ];
    log("keys.log", lines.map(line).concat())
}

#[test]
fn each_field_of_an_access_log_can_be_the_key() {
    let path = requests();
    for (key, keys) in [("none", 1), ("ip", 3), ("user", 2), ("method", 3), ("path", 3), ("status", 3)] {
        let found = found(&["--quota", "1/h", "--key", key, name(&path)]);
        assert_fields(&found, [("requests", 5), ("keys", keys), ("admitted", keys)]);
        assert_eq!(found["key"], key);
    }
    let found = found(&["--quota", "1/h", "--key", "ip+path", "--top", "9", name(&path)]);
    assert_fields(&found, [("keys", 4), ("admitted", 4)]);
    assert_eq!(found["top"], json!([{ "key": ["10.0.0.1", "/a"], "requests": 2, "denied": 1, "cost_denied": 1 }]));
    refuses(&["simulate", "--quota", "1/h", "--key", "ip+agent", name(&path)], 2, "--key: an access log has no field");
}

#[test]
fn the_keys_that_were_denied_most_are_told_in_order() {
    let rows = ["a,5", "b,1", "b,1", "c,3", "c,4", "d,2", "a,1", "b,1", "e\x1b,9"];
    let table = rows.iter().fold("time,who,cost\n".to_owned(), |table, row| table + "1," + row + "\n");
    let path = log("top.csv", table);
    let args = ["--quota", "1/h burst 2", "--key", "who", "--cost", "cost"];
    let found = found(&[&args[..], &["--top", "3", name(&path)]].concat());
    let top = |key: &str, requests: u64, denied: u64, cost: u64| json!({ "key": key, "requests": requests, "denied": denied, "cost_denied": cost });
    assert_eq!(found["top"], json!([top("c", 2, 2, 7), top("e\x1b", 1, 1, 9), top("a", 2, 1, 5)]));
    assert_fields(&found, [("denied", 5), ("above_burst", 4), ("cost", 27), ("cost_admitted", 5)]);

    let output = brimful(&[&["simulate"], &args[..], &["--top", "1", name(&path)]].concat());
    let out = text(&output.stdout);
    let last = out.lines().last().expect("a line");
    assert_eq!(last.split_whitespace().collect::<Vec<_>>(), ["2", "2", "7", "c"], "{out}");
    refuses(&["simulate", "--quota", "1/h", "--top", "3", name(&path)], 2, "--top lists keys");
}

#[test]
fn more_keys_than_may_be_are_told() {
    let table = (0..100).fold("time,who\n".to_owned(), |table, who| table + &format!("1,{who}\n"));
    let path = log("crowd.csv", table);
    let found = found(&["--quota", "1/h burst 1", "--key", "who", "--max-keys", "10", name(&path)]);
    assert_fields(&found, [("keys", 100), ("admitted", 10), ("no_room", 90), ("evictions", 0)]);
    let args = ["simulate", "--quota", "1/h burst 1", "--key", "who", "--max-keys"];
    let output = brimful(&[&args[..], &["10", name(&path)]].concat());
    assert!(text(&output.stdout).contains("\nno room "), "{}", text(&output.stdout));
    refuses(&[&args[..], &["9999999999", name(&path)]].concat(), 2, "--max-keys: max_keys is 9999999999");
}

#[test]
fn values_that_look_alike_when_joined_are_several_keys() {
    let path = log("alike.csv", "time,a,b\n1,x\x1fy,z\n1,x,y\x1fz\n1,é,\x1b\n1,é,\x1b\n");
    let args = ["--quota", "1/h", "--key", "a+b", "--top", "1", name(&path)];
    let found = found(&args);
    assert_fields(&found, [("keys", 3), ("denied", 1)]);
    assert_eq!(found["top"][0]["key"], json!(["é", "\x1b"]));
    let output = brimful(&[&["simulate"], &args[..]].concat());
    assert!(text(&output.stdout).ends_with("  \\xc3\\xa9 + \\x1b\n"), "{}", text(&output.stdout));
}

//! Access logs, replayed.

use serde_json::Value;

use crate::{brimful, line, log, name, simulate, text};

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

    let output = brimful(&["simulate", "--quota", "1/min burst 5", name(&path)]);
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
        assert!(brimful(&["simulate", "--quota", "1/s", name(&path)]).status.success());
    }
}

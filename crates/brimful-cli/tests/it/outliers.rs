//! Lines whose time is out of line with the others.

use serde_json::Value;

use crate::input::piped;
use crate::{assert_fields, brimful, found, line, log, name, text};

/// Returns `count` lines of twenty clients, ten a second from `hour` on.
fn lines(count: usize, hour: usize) -> Vec<String> {
    let line_at = |number: usize| {
        let second = number / 10;
        let time = format!("{:02}:{:02}:{:02}", hour + second / 3_600, second / 60 % 60, second % 60);
        line(&format!("10.0.0.{}", number % 20), &format!("17/May/2024:{time} +0000"))
    };
    (0..count).map(line_at).collect()
}

fn with(lines: &[String], at: usize, strange: &[String]) -> String {
    [&lines[..at], strange, &lines[at..]].concat().concat()
}

/// Returns an object without its files and its malformed lines.
fn answer(mut found: Value) -> Value {
    found["files"] = Value::Null;
    found["first_malformed"] = Value::Null;
    found["malformed"] = Value::Null;
    found
}

const STRANGE: [&str; 5] = [
    "01/Jan/1970:00:00:00 +0000",
    "01/Jan/2010:00:00:00 +0000",
    "17/May/2023:10:00:00 +0000",
    "01/Jan/2036:00:00:00 +0000",
    "01/Jan/2200:00:00:00 +0000",
];

#[test]
fn the_answer_is_the_same_wherever_a_strange_line_stands() {
    let lines = lines(20_000, 10);
    let args = ["--quota", "1/min burst 3", "--key", "ip", "--top", "5"];
    let path = log("strange.log", lines.concat());
    let expected = answer(found(&[&args[..], &[name(&path)]].concat()));
    for stamp in STRANGE {
        for at in [0, 1, 5_000, 20_000] {
            // Of a client of its own, which must not become a key.
            let content = with(&lines, at, &[line("192.0.2.1", stamp)]);
            let path = log("strange.log", content);
            let found = found(&[&args[..], &[name(&path)]].concat());
            assert_fields(&found, [("requests", 20_000), ("malformed", 1), ("late", 0), ("out_of_order", 0)]);
            assert_eq!(found["first_malformed"]["line"], at + 1, "{stamp}");
            let reason = found["first_malformed"]["reason"].as_str().expect("a reason");
            assert!(reason.contains(" is more than 180 days from the times of most other lines"), "{reason}");
            assert_eq!(answer(found), expected, "{stamp} at {at}");
        }
    }
}

#[test]
fn some_strange_lines_are_no_more_right_than_one() {
    for (count, strange) in [(20_000, 2), (20_000, 100), (300, 100), (6, 3), (6, 1), (3, 1), (2, 1)] {
        let lines = lines(count, 10);
        for stamp in STRANGE {
            for at in [0, 1, count / 2, count] {
                let content = with(&lines, at, &vec![line("192.0.2.1", stamp); strange]);
                let found = piped(content.as_bytes(), &["--quota", "1/min burst 3", "--key", "ip", "-"]);
                assert_fields(&found, [("requests", count as u64), ("malformed", strange as u64), ("late", 0)]);
                assert_eq!(found["first"], "2024-05-17T10:00:00Z", "{count} {strange} {stamp} at {at}");
                assert_eq!(found["first_malformed"]["line"], at + 1);
            }
        }
    }
}

#[test]
fn strange_lines_of_several_kinds_and_other_malformed_ones_are_counted_together() {
    let mut lines = lines(1_000, 10);
    for (at, stamp) in [900, 700, 500, 300, 100].into_iter().zip(STRANGE) {
        lines.insert(at, line("192.0.2.1", stamp));
    }
    for (at, first) in [(50, 51), (1_000, 101)] {
        let content = with(&lines, at, &["rubbish\n".to_owned()]);
        let path = log("kinds.log", content);
        let args = ["--quota", "1/s", "--key", "ip", "--reorder", "0", name(&path)];
        let found = found(&args);
        assert_fields(&found, [("requests", 1_000), ("malformed", 6), ("keys", 20), ("late", 0)]);
        assert_eq!(found["first_malformed"]["line"], first);
        let output = brimful(&[&["simulate"], &args[..]].concat());
        let shown = format!("the first is line {first}: ");
        assert!(text(&output.stdout).contains(&shown), "{}", text(&output.stdout));
    }
}

#[test]
fn a_strange_first_line_of_the_second_file_is_counted_too() {
    let first = log("era-1.log", lines(500, 10).concat());
    let second = log("era-2.log", with(&lines(500, 11), 0, &[line("192.0.2.1", STRANGE[0])]));
    let both = found(&["--quota", "1/s", "--key", "ip", name(&first), name(&second)]);
    assert_fields(&both, [("requests", 1_000), ("malformed", 1), ("out_of_order", 0), ("keys", 20)]);
    assert_eq!(both["first_malformed"]["file"], name(&second));
    assert_eq!(both["first_malformed"]["line"], 1);
}

#[test]
fn gaps_are_no_reason_to_leave_lines_out() {
    let day = |date: &str, count: usize| line("10.0.0.1", &format!("{date}:10:00:00 +0000")).repeat(count);
    for (dates, count, out_of_order) in [
        (&["17/May/2024", "18/May/2024"][..], 1, 0),
        (&["17/May/2024", "19/May/2024"], 1, 0),
        (&["17/Mar/2024", "16/Apr/2024"], 1, 0),
        (&["17/Mar/2024", "16/Apr/2024"], 12_000, 0),
        (&["01/Jan/2024", "01/Feb/2024", "01/Jun/2024", "20/Nov/2024"], 300, 0),
        (&["01/Jan/2010", "01/Jan/2018"], 1, 0),
        (&["01/Jan/2018", "01/Jan/2010"], 1, 1),
        (&["01/Jan/2010", "01/Jan/2014", "01/Jan/2018", "01/Jan/2024"], 101, 0),
    ] {
        let content: String = dates.iter().map(|date| day(date, count)).collect();
        let found = found(&["--quota", "1/h burst 1", "--key", "ip", name(&log("gaps.log", content))]);
        let all = (dates.len() * count) as u64;
        assert_fields(&found, [("requests", all), ("malformed", 0), ("late", 0), ("out_of_order", out_of_order)]);
        assert_fields(&found, [("admitted", dates.len() as u64)]);
    }
    // One line after a gap of a month is as good as many.
    let content = day("17/Mar/2024", 20_000) + &day("16/Apr/2024", 1);
    let found = found(&["--quota", "1/h burst 1", "--key", "ip", name(&log("gap-last.log", content))]);
    assert_fields(&found, [("requests", 20_001), ("malformed", 0), ("admitted", 2)]);
}

#[test]
fn a_log_with_the_latest_line_first_is_replayed_as_far_as_lines_are_held() {
    let mut lines = lines(20_000, 10);
    lines.reverse();
    let found = found(&["--quota", "1/min burst 3", "--key", "ip", name(&log("descending.log", lines.concat()))]);
    // Ten lines a second: only the lines of the second that was reached are in time.
    assert_fields(&found, [("requests", 20_000), ("malformed", 0), ("out_of_order", 1_999), ("late", 9_990)]);
}

#[test]
fn the_numbers_of_a_table_do_not_depend_on_a_strange_one() {
    for strange in ["5", "1", "999999999999999999", "1700158623", "-1"] {
        for at in [0, 1, 150, 300] {
            let mut rows: Vec<String> =
                (0..300).map(|row| format!("{},a\n", 1_700_158_623_000u64 + 1_000 * row)).collect();
            rows.insert(at, format!("{strange},b\n"));
            let path = log("strange.csv", "time,user\n".to_owned() + &rows.concat());
            let found = found(&["--quota", "1/min burst 3", "--key", "user", name(&path)]);
            assert_fields(&found, [("requests", 300), ("malformed", 1), ("keys", 1), ("admitted", 7), ("late", 0)]);
            assert_eq!(found["first_malformed"]["line"], at + 2, "{strange}");
        }
    }
}

//! Byte-order marks, and texts that are not UTF-8.

use std::fs;

use crate::input::{minutes, packed, piped};
use crate::{assert_fields, found, log, name, refuses, simulate};

const MARK: &str = "\u{feff}";

#[test]
fn a_byte_order_mark_is_not_part_of_the_log() {
    let (one, two) = (minutes(0..3), minutes(3..6));
    let joined = format!("{MARK}{one}{MARK}{two}");
    for (case, content) in [
        ("plain", format!("{MARK}{one}{two}").into_bytes()),
        ("joined", joined.clone().into_bytes()),
        ("twice", format!("{MARK}{MARK}{one}{two}").into_bytes()),
        ("packed", packed(&joined)),
        ("members", [packed(&format!("{MARK}{one}")), packed(&format!("{MARK}{two}"))].concat()),
    ] {
        let expected = [("requests", 6), ("malformed", 0), ("keys", 1), ("admitted", 3)];
        assert_fields(&simulate("1/day burst 3", "ip", &log(&format!("mark-{case}.log"), &content)), expected);
        assert_fields(&piped(&content, &["--quota", "1/day burst 3", "--key", "ip", "-"]), expected);
    }
    let (first, second) = (log("mark-1.log", format!("{MARK}{one}")), log("mark-2.log", format!("{MARK}{two}")));
    let both = found(&["--quota", "1/day burst 3", "--key", "ip", name(&first), name(&second)]);
    assert_fields(&both, [("requests", 6), ("malformed", 0), ("keys", 1)]);
}

#[test]
fn a_byte_order_mark_is_not_part_of_a_table() {
    for (case, content, malformed) in [
        ("first", format!("{MARK}user,time\na,1\na,2\n"), 0),
        ("quoted", format!("{MARK}\"user\",\"time\"\na,1\n\"a\",2\n"), 0),
        ("rows", format!("user,time\na,1\n{MARK}a,2\n"), 0),
        ("rows-quoted", format!("user,time\n\"a\",1\n{MARK}\"a\",2\n"), 0),
        ("header-again", format!("{MARK}user,time\na,1\n{MARK}user,time\na,2\n"), 1),
    ] {
        let path = log(&format!("mark-{case}.csv"), content);
        let table = found(&["--quota", "1/s", "--key", "user", name(&path)]);
        assert_fields(&table, [("requests", 2), ("keys", 1), ("malformed", malformed)]);
    }
}

#[test]
fn utf16_is_refused_with_advice() {
    let text = minutes(0..3);
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for content in [[&b"\xff\xfe"[..], &little].concat(), [&b"\xfe\xff"[..], &big].concat(), little, big] {
        let path = log("utf16.log", &content);
        let reason = format!("cannot read {}: the text is UTF-16: convert it to UTF-8", name(&path));
        refuses(&["simulate", "--quota", "1/s", name(&path)], 2, &reason);
        let good = log("utf8.log", minutes(0..3));
        refuses(&["simulate", "--quota", "1/s", name(&good), name(&path)], 2, &reason);
        assert!(fs::remove_file(&path).is_ok());
    }
}

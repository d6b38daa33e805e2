//! Sources of logs: files, the standard input, packed by gzip, several one after the other.

use std::io::Write;
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::{assert_fields, brimful, found, line, log, name, refuses, text};

pub(crate) fn packed(content: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

pub(crate) fn piped(content: &[u8], args: &[&str]) -> Value {
    let mut child = Command::new(env!("CARGO_BIN_EXE_brimful"))
        .args([&["simulate", "--json"], args].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    child.stdin.take().expect("piped").write_all(content).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

pub(crate) fn minutes(range: std::ops::Range<u32>) -> String {
    range.map(|minute| line("a", &format!("17/May/2015:10:{minute:02}:00 +0000"))).collect()
}

#[test]
fn the_standard_input_is_a_log_too() {
    let content = minutes(0..3);
    for content in [content.as_bytes(), &packed(&content)] {
        assert_fields(&piped(content, &["--quota", "1/h burst 2", "-"]), [("requests", 3), ("admitted", 2)]);
    }
    let table = b"time,key\n1,a\n2,b\n";
    assert_fields(&piped(table, &["--quota", "1/s", "--key", "key", "-"]), [("requests", 2), ("keys", 2)]);
}

#[test]
fn several_logs_are_one() {
    let (old, new) = (log("rotated.1", packed(&minutes(0..30))), log("rotated", minutes(30..50) + "rubbish\n"));
    let both = ["--quota", "1/h burst 5", name(&old), name(&new)];
    let all = found(&both);
    assert_fields(&all, [("requests", 50), ("admitted", 5), ("out_of_order", 0), ("malformed", 1)]);
    assert_eq!(all["first"], "2015-05-17T10:00:00Z");
    assert_eq!(all["last"], "2015-05-17T10:49:00Z");
    assert_eq!(all["files"].as_array().map(Vec::len), Some(2));
    assert_eq!(all["first_malformed"]["line"], 21);
    assert_eq!(all["first_malformed"]["file"], name(&new));
    let output = brimful(&[&["simulate"], &both[..]].concat());
    assert!(text(&output.stdout).contains(&format!("the first is line 21 of {}: ", name(&new))));

    let swapped = found(&["--quota", "1/h burst 5", name(&new), name(&old)]);
    assert_fields(&swapped, [("requests", 50), ("out_of_order", 1), ("late", 0)]);
    assert_eq!(swapped["first"], "2015-05-17T10:00:00Z");

    let missing = name(&old).replace("rotated.1", "rotated.2");
    refuses(&["simulate", "--quota", "1/s", name(&old), &missing], 2, &format!("cannot open {missing}: "));
}

#[test]
fn one_log_that_is_none_spoils_all() {
    let (good, bad) = (log("one-good.log", minutes(0..3)), log("one-bad.log", "\x01\x02\n\x03\n"));
    let reason = format!("{} is not an access log", name(&bad));
    refuses(&["simulate", "--quota", "1/s", name(&good), name(&bad)], 2, &reason);
}

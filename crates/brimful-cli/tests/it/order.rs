//! Lines out of order, and how far they are put in order.

use crate::{assert_fields, brimful, found, line, log, name, text};

fn seconds(seconds: &[u32]) -> String {
    seconds.iter().map(|second| line("a", &format!("17/May/2015:10:00:{second:02} +0000"))).collect()
}

#[test]
fn a_line_that_is_late_is_replayed_at_the_instant_that_was_reached_and_told() {
    let path = log("late.log", seconds(&[10, 20, 30, 5, 20, 40]));
    let args = |reorder| ["--quota", "1/10s burst 1", "--reorder", reorder, name(&path)];
    // One line is held: 10 and 20 are gone when 5 comes, which is denied at 20 as 20 is.
    let one = found(&args("1"));
    assert_fields(&one, [("requests", 6), ("admitted", 4), ("out_of_order", 1), ("late", 1), ("malformed", 0)]);
    assert_eq!(one["first_late"]["line"], 4);
    assert_eq!(one["first_late"]["reason"], "2015-05-17T10:00:05Z, and 2015-05-17T10:00:20Z had been reached");
    assert_eq!(one["first"], "2015-05-17T10:00:10Z");
    let output = brimful(&[&["simulate"], &args("1")[..]].concat());
    let out = text(&output.stdout);
    assert!(out.contains("\nlate ") && out.contains("the first is line 4: 2015-05-17T10:00:05Z, and "), "{out}");

    assert_fields(&found(&args("0")), [("requests", 6), ("out_of_order", 1), ("late", 2)]);
    // With all held: 5, 10 (denied), 20, 20 (denied), 30, 40.
    let all = found(&args("10"));
    assert_fields(&all, [("requests", 6), ("admitted", 4), ("out_of_order", 1), ("late", 0)]);
    assert_eq!(all["first"], "2015-05-17T10:00:05Z");
    let output = brimful(&[&["simulate"], &args("10")[..]].concat());
    assert!(!text(&output.stdout).contains("\nlate "), "{}", text(&output.stdout));
}

/// The system reports the peak of the program's memory, in kilobytes, while the program waits for
/// more lines.
#[test]
#[cfg(target_os = "linux")]
fn memory_does_not_grow_with_the_lines() {
    use std::io::Write;
    use std::process::{Command, Stdio};

    let mut child = Command::new(env!("CARGO_BIN_EXE_brimful"))
        .args(["simulate", "--json", "--quota", "1/s", "--reorder", "100", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut input = child.stdin.take().expect("piped");
    let status = format!("/proc/{}/status", child.id());
    let mut peak_after = |lines: u32| {
        let text: String = (0..lines).map(|_| line("a", "17/May/2015:10:00:00 +0000")).collect();
        input.write_all(text.as_bytes()).expect("it reads");
        let status = std::fs::read_to_string(&status).expect("it runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        peak.trim_end_matches("kB").trim().parse::<u64>().expect("a number")
    };
    let early = peak_after(20_000);
    // 16 bytes a line would be eight megabytes.
    let late = peak_after(500_000);
    assert!(late < early + 2_048, "{early} kB, then {late} kB");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_fields(&found, [("requests", 520_000), ("admitted", 1), ("out_of_order", 0)]);
}

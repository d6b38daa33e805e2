//! The timeline that is drawn.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{brimful, line, log, name, refuses, text};

/// Returns all text in the picture, which must be well-formed, and the number of its shapes.
pub(crate) fn words(svg: &Path) -> (String, usize) {
    let svg = fs::read_to_string(svg).expect("it is there");
    let picture = roxmltree::Document::parse(&svg).expect("well-formed");
    let root = picture.root_element();
    assert_eq!(root.tag_name().name(), "svg");
    let words: Vec<&str> = root.descendants().filter_map(|node| node.text()).map(str::trim).collect();
    let shapes = root.descendants().filter(|node| matches!(node.tag_name().name(), "polygon" | "polyline"));
    (words.join("\n"), shapes.count())
}

fn drawn(test: &str, log: &Path, key: &str, quota: &str) -> (String, usize) {
    let svg = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.svg"));
    let _ = fs::remove_file(&svg);
    let args = ["simulate", "--quota", quota, "--key", key, "--timeline", name(&svg), name(log)];
    let output = brimful(&args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    words(&svg)
}

#[test]
fn it_shows_what_was_admitted_and_denied_and_the_level() {
    let content: String =
        (0..60).map(|minute| line("a", &format!("17/May/2015:10:{minute:02}:00 +0000")).repeat(3)).collect();
    let path = log("timeline.log", content);
    let (words, shapes) = drawn("timeline", &path, "none", "2/min burst 5");
    for expected in [
        "tokens per 10 s at 2/min burst 5",
        "admitted",
        "denied",
        "level, the least of each interval",
        "tokens there",
        "time in UTC, from 2015-05-17T10:00:00Z",
        "10:30:00",
    ] {
        assert!(words.lines().any(|line| line == expected), "{expected}: {words}");
    }
    assert!(shapes >= 3, "{shapes}");
    // Each address has a level of its own.
    let (words, _) = drawn("timeline-keyed", &path, "ip", "2/min burst 5");
    assert!(words.contains("admitted") && words.contains("denied") && !words.contains("level"), "{words}");
}

#[test]
fn logs_of_nothing_and_of_years_can_be_drawn() {
    let (words, _) = drawn("timeline-empty", &log("timeline-empty.log", ""), "none", "1/s");
    assert!(words.contains("admitted"), "{words}");
    let one = log("timeline-one.csv", "ts\n0.123\n");
    let (words, _) = drawn("timeline-one", &one, "none", "1/s");
    assert!(words.contains("time in UTC, from 1970-01-01T00:00:00.123Z"), "{words}");
    let years = log("timeline-years.csv", "ts\n1\n500000000\n");
    let (words, _) = drawn("timeline-years", &years, "none", "1/s");
    assert!(words.contains("tokens per 10 days") && words.contains("1972-09-27"), "{words}");
}

#[test]
fn where_it_cannot_be_written_nothing_is_read() {
    let log = log("timeline-nowhere.log", "");
    let args = |svg| ["simulate", "--quota", "1/s", "--timeline", svg, name(&log)];
    refuses(&args("/nonexistent/out.svg"), 2, "--timeline: cannot write /nonexistent/out.svg: ");
    refuses(&args(env!("CARGO_TARGET_TMPDIR")), 2, "--timeline: cannot write ");
}

#[test]
fn nothing_but_an_svg_is_overwritten() {
    let content = line("a", "17/May/2015:10:00:00 +0000");
    let (first, second) = (log("timeline-first.log", &content), log("timeline-second.log", &content));
    let other = log("timeline-other.txt", "notes\n");
    let around = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../tmp/timeline-second.log");
    let around = around.to_str().expect("text");
    let refuse = |svg: &str, reason: &str| {
        refuses(&["simulate", "--quota", "1/s", "--timeline", svg, name(&first), name(&second)], 2, reason);
    };
    for same in [name(&first), name(&second), around] {
        refuse(same, " is one of the logs: choose another name");
    }
    refuse(name(&other), "timeline-other.txt exists and does not begin as an SVG: choose another name");
    for other in [
        "<?xml version=\"1.0\"?><project/>\n",
        "<?xml version=\"1.0\"?><project><svg.version>1</svg.version></project>\n",
        "<?xml version=\"1.0\"?><html><body><svg></svg></body></html>\n",
        "<?xml version=\"1.0\"?><!-- <svg> --><svgs/>\n",
        "<svgs/>\n",
    ] {
        let page = log("timeline-other.xml", other);
        refuse(name(&page), "timeline-other.xml exists and does not begin as an SVG: choose another name");
        assert_eq!(fs::read_to_string(&page).expect("it is there"), other);
    }
    refuse(&format!("{}/x.svg", name(&other)), "--timeline: cannot write ");
    assert_eq!(fs::read_to_string(&first).expect("it is there"), content);
    assert_eq!(fs::read_to_string(&second).expect("it is there"), content);
    assert_eq!(fs::read_to_string(&other).expect("it is there"), "notes\n");
    for before in ["", "<svg/>", "<?xml version=\"1.0\"?><svg/>"] {
        let svg = log("timeline-again.svg", before);
        let output = brimful(&["simulate", "--quota", "1/s", "--timeline", name(&svg), name(&first)]);
        assert_eq!(output.status.code(), Some(0), "{before}: {}", text(&output.stderr));
        assert!(words(&svg).0.contains("admitted"), "{before}");
        // An SVG that was drawn can be drawn again.
        let output = brimful(&["simulate", "--quota", "1/s", "--timeline", name(&svg), name(&first)]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
}

/// A closed pipe of the report does not hide the error of the SVG.
#[cfg(target_os = "linux")]
#[test]
fn an_svg_that_cannot_be_written_in_the_end_costs_no_report() {
    let path = log("timeline-full.log", line("a", "17/May/2015:10:00:00 +0000"));
    let args = ["simulate", "--quota", "1/s", "--timeline", "/dev/full", name(&path)];
    let output = brimful(&args);
    assert!(text(&output.stdout).contains("\nadmitted "), "{}", text(&output.stdout));
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let closed = Command::new(env!("CARGO_BIN_EXE_brimful")).args(args).stdout(writer).stderr(Stdio::piped()).output();
    for output in [output, closed.expect("the binary runs")] {
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("cannot write: /dev/full: "), "{}", text(&output.stderr));
    }
}

#[test]
fn a_failure_leaves_no_svg_and_harms_none() {
    let bad = log("timeline-bad.log", "rubbish!\n");
    let missing = Path::new(env!("CARGO_TARGET_TMPDIR")).join("timeline-none.svg");
    let _ = fs::remove_file(&missing);
    let there = log("timeline-there.svg", "<svg/>");
    for svg in [&missing, &there] {
        let args = ["simulate", "--quota", "1/s", "--timeline", name(svg), name(&bad)];
        refuses(&args, 2, "is not an access log");
    }
    assert!(!missing.exists());
    assert_eq!(fs::read_to_string(&there).expect("it is there"), "<svg/>");
}

//! Errors in the input, and pipes that are closed.

use std::process::{Command, Stdio};

use crate::{brimful, line, log, name, refuses, text};

#[test]
fn bad_input_is_one_clear_line_and_exit_code_2() {
    let good = log("good.log", line("a", "17/May/2015:10:00:00 +0000"));
    let good = name(&good);
    let garbage: Vec<u8> = (0..300_000u32).map(|j| (j.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let garbage = log("garbage.log", garbage);
    let zeros = log("zeros.log", vec![0; 3 << 20]);
    let ages = log("ages.log", line("a", "17/May/1995:10:00:00 +0000") + &line("a", "17/May/2015:10:00:00 +0000"));
    let simulate = |quota: &str, path: &str, reason: &str| {
        refuses(&["simulate", "--quota", quota, path], 2, reason);
        refuses(&["simulate", "--json", "--key", "ip", "--quota", quota, path], 2, reason);
    };
    simulate("1/s", "/nonexistent/access.log", "cannot open /nonexistent/access.log: ");
    simulate("1/s", env!("CARGO_TARGET_TMPDIR"), "cannot read ");
    simulate("1/s", name(&garbage), "is not an access log");
    simulate("1/s", name(&zeros), "is not an access log");
    simulate("1/s", name(&ages), "more than 18 years, from 1995-05-17T10:00:00Z to 2015-05-17T10:00:00Z: ");
    let unset = log("unset.csv", "ts\n0\n1700158623500\n");
    let years = "from 1970-01-01T00:00:00Z, which is a time of 0, to 2023-11-16T18:17:03.5Z: ";
    refuses(&["simulate", "--quota", "1/s", name(&unset)], 2, years);
    for quota in ["", "five", "0/s", "1/s burst 0", "1/fortnight", "99999999999999999999/s"] {
        simulate(quota, good, "--quota: ");
    }
    let caret = "100/s bust 200\n      ^^^^\n";
    refuses(&["simulate", "--quota", "100/s bust 200", good], 2, caret);
    refuses(&["bench", "--quota", "nothing"], 2, "--quota: ");
    refuses(&["--quota", "1/s burst 0.5"], 2, "burst must be at least 1");
}

#[test]
fn what_is_not_an_option_is_explained_with_exit_code_2() {
    for args in [
        &["simulate", "x"][..],
        &["simulate", "--format", "xml", "--quota", "1/s", "x"],
        &["simulate", "--time-unit", "h", "--quota", "1/s", "x"],
        &["simulate", "--reorder", "-1", "--quota", "1/s", "x"],
        &["simulate", "--max-keys", "0", "--quota", "1/s", "x"],
        &["simulate", "--top", "most", "--quota", "1/s", "x"],
        &["simulate", "--quota", "1/s"],
        &["--threads", "0"],
        &["--threads", "1025"],
        &["--seconds", "NaN"],
        &["--seconds", "-1"],
        &["--seconds", "1e30"],
        &["fly"],
    ] {
        let output = brimful(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).starts_with("error: "), "{args:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let content: String = (0..1_000).map(|_| line("a", "17/May/2015:10:00:00 +0000")).collect();
    let path = log("pipe.log", content);
    for args in [
        &["simulate", "--quota", "1/s", name(&path)][..],
        &["simulate", "--json", "--quota", "1/s", name(&path)],
        &["--seconds", "0.05", "--threads", "1"],
        &["explain", "1/s; 5/min"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = Command::new(env!("CARGO_BIN_EXE_brimful"))
            .args(args)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .expect("the binary runs");
        assert_eq!(text(&output.stderr), "", "{args:?}");
        assert!(output.status.code().is_some_and(|code| code <= 2), "{args:?}: {:?}", output.status);
    }
}

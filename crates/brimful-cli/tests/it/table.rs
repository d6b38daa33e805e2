//! Tables of comma-separated values.

use crate::{assert_fields, brimful, found, line, log, name, refuses, text};

#[test]
fn costs_and_times_are_columns() {
    let table =
        "id,when,in,out\n1,2023-11-16 18:17:03.9,3,1\n2,2023-11-16 18:17:04.0,2,0.5\n3,2023-11-16 18:17:03.95,1,0\n";
    let path = log("columns.csv", table);
    let args = ["--quota", "1/s burst 5", "--time", "when", "--cost", "in+out", name(&path)];
    let costs = found(&args);
    // 4 of 5 at .9; 1 at .95 finds 1.05; 2.5 at 4.0 finds less.
    assert_fields(&costs, [("requests", 3), ("admitted", 2), ("out_of_order", 1), ("above_burst", 0)]);
    assert_eq!((&costs["cost"], &costs["cost_admitted"], &costs["cost_denied"]), (&7.5.into(), &5.into(), &2.5.into()));
    assert_eq!((&costs["first"], &costs["last"]), (&"2023-11-16T18:17:03.9Z".into(), &"2023-11-16T18:17:04Z".into()));
    assert_eq!(costs["worst_window"]["granted"], 5);
    let output = brimful(&[&["simulate"], &args[..]].concat());
    let out = text(&output.stdout);
    assert!(out.contains("\ntokens ") && out.contains("  7.5\n") && out.contains("granted within 50 ms"), "{out}");

    let one = found(&["--quota", "1/s burst 5", "--time", "when", name(&path)]);
    assert_fields(&one, [("admitted", 3), ("cost", 3)]);
}

#[test]
fn a_cost_above_the_burst_is_told_apart() {
    let path = log("above.csv", "ts,n\n1,9\n1,3\n1,3\n");
    let args = ["--quota", "1/s burst 5", "--cost", "n", name(&path)];
    assert_fields(&found(&args), [("admitted", 1), ("denied", 2), ("above_burst", 1)]);
    let output = brimful(&[&["simulate"], &args[..]].concat());
    assert!(text(&output.stdout).contains("\nabove burst "), "{}", text(&output.stdout));
}

#[test]
fn numbers_of_time_count_what_they_look_like_or_what_is_said() {
    let path = log("units.csv", "ts\n1700158623000\n1700158623500\n");
    let guessed = found(&["--quota", "1/s", name(&path)]);
    assert_eq!(guessed["last"], "2023-11-16T18:17:03.5Z");
    let path = log("small.csv", "ts\n1\n1500\n0\n");
    let guessed = found(&["--quota", "1/s", name(&path)]);
    assert_eq!(guessed["last"], "1970-01-01T00:25:00Z");
    let said = found(&["--quota", "1/s", "--time-unit", "ms", name(&path)]);
    assert_eq!(said["last"], "1970-01-01T00:00:01.5Z");
}

#[test]
fn numbers_of_time_that_are_none_do_not_decide_what_all_count() {
    let path = log("zero.csv", "ts\n0\n-1\n5\n");
    let said = found(&["--quota", "1/s", "--time-unit", "ms", name(&path)]);
    assert_fields(&said, [("requests", 3), ("malformed", 0)]);
    let path = log("strange-first.csv", "ts\n-1\n99999999999999999999\n1700158623500\n");
    let guessed = found(&["--quota", "1/s", name(&path)]);
    assert_fields(&guessed, [("requests", 1), ("malformed", 2)]);
    assert_eq!(guessed["last"], "2023-11-16T18:17:03.5Z");
    let path = log("from-zero.csv", "ts\n0\n0\n0.5\n2\n");
    let guessed = found(&["--quota", "1/s burst 2", name(&path)]);
    assert_fields(&guessed, [("requests", 4), ("admitted", 3), ("malformed", 0)]);
    let path = log("mixed-units.csv", "ts\n5\n1700158623500\n");
    let guessed = found(&["--quota", "1/s", name(&path)]);
    assert_fields(&guessed, [("requests", 1), ("malformed", 1)]);
    assert_eq!(guessed["first_malformed"]["reason"], "the time is out of range in seconds: see --time-unit");
}

#[test]
fn rows_that_are_wrong_are_counted_and_the_first_is_shown() {
    let path = log("rows.csv", b"ts,n\n5,1\nnoon,\x1b1\n\n6\n6,-1\n7,1\n");
    let args = ["--quota", "1/s burst 5", "--cost", "n", name(&path)];
    let rows = found(&args);
    assert_fields(&rows, [("requests", 2), ("malformed", 3)]);
    assert_eq!(rows["first_malformed"]["line"], 3);
    assert_eq!(rows["first_malformed"]["text"], "noon,\\x1b1");
    let output = brimful(&[&["simulate"], &args[..]].concat());
    assert!(text(&output.stdout).contains("the first is line 3: the time is neither a date nor a number: noon,\\x1b1"));
}

#[test]
fn an_access_log_has_no_columns() {
    let path = log("columns.log", line("a", "17/May/2015:10:00:00 +0000"));
    for (option, value) in [("--time", "x"), ("--cost", "x"), ("--time-unit", "ms")] {
        let reason = "--time, --time-unit, --cost and --llm are about columns, and an access log has none";
        refuses(&["simulate", "--quota", "1/s", option, value, name(&path)], 2, reason);
    }
}

#[test]
fn an_empty_table_is_a_table() {
    for content in ["ts,n\n", ""] {
        let path = log("empty.csv", content);
        let found = found(&["--quota", "1/s", "--format", "csv", name(&path)]);
        assert_fields(&found, [("requests", 0), ("keys", 0), ("malformed", 0)]);
    }
}

#[test]
fn columns_that_are_not_there_and_tables_that_are_none_are_refused() {
    let path = log("refused.csv", "when,n\n1,1\n");
    let path = name(&path);
    let refuses = |args: &[&str], reason: &str| refuses(&[&["simulate", "--quota", "1/s"], args].concat(), 2, reason);
    refuses(&[path], "cannot read ");
    refuses(&[path], "which column is the time? Choose with --time from when, n");
    refuses(&["--time", "x", path], "--time: there is no column \"x\": choose from when, n");
    refuses(&["--time", "when", "--cost", "n+x", path], "--cost: there is no column \"x\"");
    refuses(&["--time", "when", "--key", "x", path], "--key: there is no column \"x\"");
    refuses(&["--time", "n", "--cost", "when", "--format", "access", path], "and an access log has none");
    refuses(&["--format", "access", path], "is not an access log");
    let words = log("words.csv", "ts,n\nnoon,1\nnight,2\n");
    refuses(&[name(&words)], "is not a table with a time in each record: none of its 2 lines is one (line 2: ");
    let garbage: Vec<u8> = (0..300_000u32).map(|j| (j.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let garbage = log("garbage.csv", garbage);
    refuses(&["--format", "csv", name(&garbage)], "which column is the time");
    refuses(&["--format", "csv", "--time", "ts", name(&garbage)], "--time: there is no column");
    let open = log("open.csv", ["ts\n1\n\"", &"x".repeat(3 << 20)].concat());
    refuses(&[name(&open)], "a record is longer than a megabyte");
}

#[test]
fn blanks_around_fields_are_not_part_of_them() {
    let expected = [("requests", 4), ("malformed", 0), ("keys", 1), ("cost", 5)];
    for (case, content) in [
        ("inner", "time, user , n\n1715940303, a, 1\n1715940304,a,1\n 1715940305 ,\ta\t, 2 \n1715940306,a ,1\n"),
        (
            "crlf",
            "time, user, n \r\n1715940303, a, 1\r\n1715940304,a ,1 \r\n1715940305,a,2\r\n  \r\n1715940306,a,1\r\n",
        ),
        ("quoted", "\"time\", \"user\" , \"n\"\n1, \"a\", \"1\"\n2,\"a\" ,1\n\"3\",a,\" 2 \"\n 4 , a,1"),
        (
            "date",
            "time , user, n\n 2024-05-17 10:05:00 , a, 1\n2024-05-17T10:05:01Z,a,2\n\t2024-05-17 10:05:02,a , 1\n2024-05-17 10:05:03,a,1\n",
        ),
    ] {
        let path = log(&format!("blanks-{case}.csv"), content);
        let found = found(&["--quota", "1/s", "--key", "user", "--cost", "n", name(&path)]);
        assert_fields(&found, expected);
    }
}

#[test]
fn blanks_in_quotes_are_part_of_a_key() {
    let content = "time,user\n1,\" a \"\n2, \" a \" \n3,a\n4,a b\n5, a b \n6,\"a, b\"\n7,\" say \"\"hi\"\" , \"\n";
    let found = found(&["--quota", "1/s", "--key", "user", name(&log("blanks-kept.csv", content))]);
    assert_fields(&found, [("requests", 7), ("malformed", 0), ("keys", 5)]);
}

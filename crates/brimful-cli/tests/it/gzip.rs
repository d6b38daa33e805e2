//! Logs that are packed by gzip, and bytes that may follow the data.

use crate::input::{minutes, packed};
use crate::{assert_fields, brimful, log, name, refuses, simulate, text};

#[test]
fn what_is_packed_is_unpacked_in_however_many_parts() {
    let path = log("packed.log.gz", [packed(&minutes(0..20)), packed(&minutes(20..40))].concat());
    assert_fields(&simulate("1/h burst 5", "none", &path), [("requests", 40), ("admitted", 5), ("malformed", 0)]);
    let many: Vec<u8> = (0..59).flat_map(|minute| packed(&minutes(minute..minute + 1))).collect();
    assert_fields(&simulate("1/h burst 5", "none", &log("many.log.gz", many)), [("requests", 59), ("malformed", 0)]);
    let empty = [packed(""), packed(&minutes(0..9)), packed("")].concat();
    assert_fields(&simulate("1/h burst 5", "none", &log("empty.log.gz", empty)), [("requests", 9), ("malformed", 0)]);
}

#[test]
fn zeros_after_the_data_are_ignored() {
    for zeros in [1, 2, 511, 200_000] {
        let padded = [packed(&minutes(0..20)), vec![0; zeros]].concat();
        let path = log("padded.log.gz", &padded);
        assert_fields(&simulate("1/h burst 5", "none", &path), [("requests", 20), ("malformed", 0)]);
        let again = log("padded-again.log.gz", [padded, packed(&minutes(20..40)), vec![0; zeros]].concat());
        assert_fields(&simulate("1/h burst 5", "none", &again), [("requests", 40), ("malformed", 0)]);
    }
}

#[test]
fn other_bytes_after_the_data_are_ignored_with_a_warning() {
    for garbage in [&b"x"[..], b"\x1f", b"\x1f\x8c", b"garbage", b"\0\0\0x", b"\n"] {
        let path = log("garbage.log.gz", [&packed(&minutes(0..20))[..], garbage].concat());
        let output = brimful(&["simulate", "--json", "--quota", "1/h burst 5", name(&path)]);
        assert_eq!(output.status.code(), Some(0));
        let warning = format!("brimful: {}: the bytes after the gzip data are ignored\n", name(&path));
        assert_eq!(text(&output.stderr), warning);
        assert_fields(
            &serde_json::from_slice(&output.stdout).expect("one JSON object"),
            [("requests", 20), ("malformed", 0)],
        );
    }
}

#[test]
fn packed_files_that_are_broken_are_refused() {
    let whole = packed(&minutes(0..59));
    let refuse = |content: &[u8], reason: &str| {
        let path = log("broken.log.gz", content);
        refuses(&["simulate", "--quota", "1/s", name(&path)], 2, &format!("cannot read {}: {reason}", name(&path)));
    };
    for length in [3, 9, 10, 11, whole.len() / 2, whole.len() - 8, whole.len() - 1] {
        refuse(&whole[..length], "the gzip data is cut short");
        refuse(&[&whole[..], &whole[..length]].concat(), "the gzip data is cut short");
    }
    let mut broken = whole.clone();
    broken[whole.len() / 2] ^= 0x55;
    refuse(&broken, "");
    let mut sum = whole.clone();
    sum[whole.len() - 6] ^= 1;
    refuse(&sum, "");
    let no_log = log("nolog.gz", packed("no log\n"));
    refuses(&["simulate", "--quota", "1/s", name(&no_log)], 2, "which column is the time");
}

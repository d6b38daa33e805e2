//! `bench`.

use serde_json::Value;

use crate::{brimful, text};

#[test]
fn without_arguments_it_measures_and_proves() {
    let output = brimful(&["--seconds", "0.1", "--threads", "3"]);
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{out}{}", text(&output.stderr));
    for expected in
        ["decisions ", "one thread ", "admitted ", "burst + rate ×", "worst window ", "0 violations", "clock "]
    {
        assert!(out.contains(expected), "{expected}: {out}");
    }

    let output = brimful(&["bench", "--seconds", "0.1", "--threads", "2", "--quota", "50/s burst 3", "--json"]);
    let found: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let number = |name: &str| found[name].as_f64().unwrap_or_else(|| panic!("{name}: {found}"));
    assert_eq!(found["violated"], false);
    assert_eq!(number("threads"), 2.0);
    assert!(number("admitted") >= 3.0);
    assert!(number("admitted") <= number("bound"));
    assert!((number("bound") - 3.0 - 50.0 * number("seconds")).abs() < 1e-6, "{found}");
    assert!(number("decisions") > number("admitted"));
}

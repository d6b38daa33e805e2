//! Several quotas that hold at once.

use serde_json::json;

use crate::{assert_fields, brimful, found, line, log, name, refuses, text};

/// Eight requests of one client: five at once, and one an hour later, two and three hours later.
fn requests() -> String {
    let at = |hour: u32| line("203.0.113.5", &format!("17/May/2015:{hour:02}:00:00 +0000"));
    at(10).repeat(5) + &at(11) + &at(12) + &at(13)
}

#[test]
fn all_quotas_admit_a_request_or_none_is_charged() {
    let path = log("several.log", requests());
    for key in ["none", "ip"] {
        let found = found(&["--quota", "burst: 1/s burst 3; daily: 5/day", "--key", key, name(&path)]);
        // Two of the five are above the burst, and of the last three the day has tokens for two.
        let denied = [("requests", 8), ("admitted", 5), ("denied", 3), ("longest_run", 2), ("keys_limited", 1)];
        assert_fields(&found, denied);
        assert_fields(&found, [("violations", 0), ("cost_admitted", 5), ("cost_denied", 3)]);
        assert_eq!(found["quota"], "burst: 1/s burst 3; daily: 5/day burst 5");
        let quota = |name: &str, quota: &str, refused: u64| json!({ "name": name, "quota": quota, "refused": refused });
        let quotas = [quota("burst", "1/s burst 3", 2), quota("daily", "5/day burst 5", 1)];
        assert_eq!(found["quotas"], json!(quotas));
    }
}

/// The three that the burst refuses cost the day nothing.
#[test]
fn a_request_that_the_last_quota_refuses_is_not_charged_to_the_first() {
    let path = log("several-order.log", requests());
    for (quota, refused) in [("1/s burst 3; 5/day", [2, 1]), ("5/day; 1/s burst 3", [1, 2])] {
        let found = found(&["--quota", quota, name(&path)]);
        assert_fields(&found, [("admitted", 5)]);
        assert_eq!(
            found["quotas"].as_array().expect("a list").iter().map(|it| &it["refused"]).collect::<Vec<_>>(),
            refused
        );
    }
}

#[test]
fn the_report_names_the_quota_that_refused() {
    let path = log("several-report.log", requests());
    let output = brimful(&["simulate", "--quota", "burst: 1/s burst 3; 5/day", name(&path)]);
    let out = text(&output.stdout);
    assert!(out.contains(" at burst: 1/s burst 3; 5/day burst 5, for all together\n"), "{out}");
    assert!(out.contains("\nrefused                  2    25.00 %  of all; by burst\n"), "{out}");
    assert!(out.contains("\nrefused                  1    12.50 %  of all; by 5/day burst 5\n"), "{out}");
    assert!(out.contains(" margin 0 tokens, of burst\n"), "{out}");
    // One quota refuses all that is denied.
    let output = brimful(&["simulate", "--quota", "daily: 5/day", name(&path)]);
    assert!(!text(&output.stdout).contains("\nrefused "), "{}", text(&output.stdout));
}

/// Adding a quota that always has tokens changes nothing but its own row.
#[test]
fn a_quota_that_never_refuses_changes_nothing() {
    let path = log("several-same.log", requests());
    let mut alone = found(&["--quota", "7/day burst 2", "--key", "ip", name(&path)]);
    let mut both = found(&["--quota", "1000/s; 7/day burst 2", "--key", "ip", name(&path)]);
    assert_eq!(both["quotas"][0]["refused"], 0);
    for found in [&mut alone, &mut both] {
        for field in ["quota", "quotas", "limiter_bytes"] {
            found[field].take();
        }
    }
    assert_eq!(alone, both);
}

#[test]
fn a_timeline_of_several_quotas_has_the_least_level() {
    let path = log("several-timeline.log", requests());
    let svg = path.with_extension("svg");
    let _ = std::fs::remove_file(&svg);
    let output = brimful(&["simulate", "--quota", "1/s burst 3; 5/day", "--timeline", name(&svg), name(&path)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let drawn = std::fs::read_to_string(&svg).expect("it was drawn");
    assert!(drawn.contains("1/s burst 3; 5/day burst 5"), "{drawn}");
}

#[test]
fn a_wrong_list_is_pointed_at() {
    let path = log("several-wrong.log", requests());
    for (quota, shown) in [
        ("1/s; 5/fortnight", "\n1/s; 5/fortnight\n       ^^^^^^^^^\n"),
        ("a: 1/s; a: 5/day", "\na: 1/s; a: 5/day\n        ^\n"),
        ("1/s; a b: 5/day", "\n1/s; a b: 5/day\n     ^^^\n"),
        ("1/s;", "bad quota at the end: expected a quota"),
        ("1/s, 5/day", "quotas are separated by \";\""),
    ] {
        refuses(&["simulate", "--quota", quota, name(&path)], 2, shown);
        refuses(&["simulate", name(&path), "--compare", "1/s", quota], 2, shown);
    }
    let many: Vec<String> = (1..=9).map(|rate| format!("{rate}/s")).collect();
    refuses(&["simulate", "--quota", &many.join(";"), name(&path)], 2, "a list has at most 8 quotas");
}

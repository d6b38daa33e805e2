//! Several quotas in one text, and quotas in configuration files.

use std::time::Duration;

use brimful::{ParseQuotaError, Quota, Quotas, QuotasError, Tokens};
use proptest::prelude::*;

fn read(text: &str) -> Result<Quotas, ParseQuotaError> {
    text.parse()
}

#[test]
fn lists_read_as_their_parts_in_their_order() {
    let all = [Quota::per_second(100).burst(200), Quota::per_hour(5_000), Quota::per_day(1).burst(3)];
    for text in [
        "100/s burst 200; 5000/h; 1/day burst 3",
        " 100/s burst 200 ;5000 per hour;1/d burst 3 ",
        "100/s burst 200;\n5000/h;\n1/day burst 3\n",
    ] {
        assert_eq!(read(text).unwrap().as_slice(), all, "{text:?}");
    }
    assert_eq!(read("7/min").unwrap(), Quota::per_minute(7).into());
    assert_eq!(Quotas::new(all).unwrap().as_slice(), all);
    assert!(Quotas::new(all).unwrap().iter().map(|(_, quota)| quota).eq(all));
}

#[test]
fn a_quota_has_a_name_or_is_called_by_its_text() {
    let (second, day) = (Quota::per_second(100), Quota::per_day(50_000));
    let quotas = read(" burst :100/s ;5/h; Day_2.x-y: 50000/day").unwrap();
    let named = [("burst", second), ("5/h burst 5", Quota::per_hour(5)), ("Day_2.x-y", day)];
    assert!(quotas.iter().eq(named), "{quotas}");
    assert!(quotas.iter().rev().eq(named.into_iter().rev()));
    assert_eq!(quotas.iter().len(), 3);
    assert_eq!([0, 1, 2, 3].map(|nth| quotas.name(nth)), [Some("burst"), Some("5/h burst 5"), Some("Day_2.x-y"), None]);

    assert_eq!(Quotas::named([("burst", second), ("daily", day)]), Ok(read("burst: 100/s; daily: 50000/day").unwrap()));
    let unnamed = Quotas::new([second, day]).unwrap();
    assert_ne!(Quotas::named([("burst", second), ("daily", day)]), Ok(unnamed.clone()));
    assert_eq!(unnamed, read("100/s; 50000/day").unwrap());
    // Equal quotas, and names that differ in case, are kept apart by their names.
    assert_eq!(read("a: 100/s; A: 100/s; 100/s").unwrap().iter().len(), 3);
}

#[test]
fn lists_in_code_are_checked_as_texts_are() {
    let second = Quota::per_second(1);
    let reason = |list: Result<Quotas, QuotasError>| list.unwrap_err().to_string();
    let (empty, many) =
        ("an empty list of quotas: one is needed at least", "a list has at most 8 quotas: leave some out");
    assert_eq!(reason(Quotas::new([])), empty);
    assert_eq!(reason(Quotas::named([("", second); 0])), empty);
    assert_eq!(reason(Quotas::new((1..=9).map(Quota::per_second))), many);
    assert_eq!(Quotas::new((1..=8).map(Quota::per_second)).unwrap().iter().len(), Quotas::MOST);
    assert_eq!(
        reason(Quotas::new([second, second])),
        "the name \"1/s burst 1\": another quota of the list has this name: choose another name, or leave one out"
    );
    assert!(reason(Quotas::named([("a", second), ("a", Quota::per_hour(5))])).starts_with("the name \"a\": another"));
    for name in ["", " ", "a b", "a:", "a;", "1/s burst 1", "täglich", "a\n", "\"a\"", &"x".repeat(32)] {
        let error = reason(Quotas::named([(name, second)]));
        assert!(error.starts_with(&format!("the name {name:?}: a name has at most 31 characters")), "{error}");
    }
    assert!(Quotas::named([("x".repeat(31), second)]).is_ok());
}

#[test]
fn lists_read_back() {
    for text in [
        "100/s burst 200",
        "100/s burst 200; 5000/h burst 5000",
        "0.5/s burst 2.5 initial 0 debt 10; 1/day burst 1",
        "daily: 50000/day burst 50000",
        "100/s burst 200; a: 5000/h burst 5000; 5000/h burst 5000; 0._-: 1/day burst 1",
    ] {
        let quotas = read(text).unwrap();
        assert_eq!(quotas.to_string(), text);
        assert_eq!(read(&quotas.to_string()), Ok(quotas.clone()));
        assert_eq!(format!("{quotas:?}"), format!("Quotas({text:?})"));
    }
}

/// The caret points into the whole text, whichever part is wrong.
#[test]
fn what_is_wrong_is_pointed_at_in_the_whole_text() {
    let cases = [
        ("100/s; 5000/fortnight", 12..21, "\"fortnight\""),
        ("100/month; 5/s", 4..9, "\"month\""),
        ("é100/s; 5/s", 0..5, "\"é100\""),
        ("", 0..0, "the end"),
        ("100/s;", 6..6, "the end"),
        ("100/s; ; 5/h", 7..8, "\";\""),
        ("; 5/h", 0..1, "\";\""),
        ("100/s burst; 5/h", 11..12, "\";\""),
        ("100/; 5/h", 4..5, "\";\""),
        ("100/s; burst 5", 7..12, "\"burst\""),
        ("100/s, 5/h", 5..6, "\",\""),
        ("1/day; 100/s burst 2,5/h", 19..22, "\"2,5\""),
        ("1/day; 60 rpm, 10 rps", 13..14, "\",\""),
        ("1/day; unlimited", 7..16, "\"unlimited\""),
        ("a: 100/s; b:", 12..12, "the end"),
        ("a: 100/s; b: ; 1/s", 13..14, "\";\""),
        ("a: 100/s; b: 5/fortnight", 15..24, "\"fortnight\""),
        ("1/s; b: c: 5/h", 8..10, "\"c:\""),
        ("1/s; : 5/h", 5..6, "\":\""),
        (":", 0..1, "\":\""),
        ("1/s; täglich: 5/h", 5..13, "\"täglich\""),
        ("1/s;  two words : 5/h", 6..15, "\"two words\""),
        ("a: 1/s; b: 2/s;  a : 5/h", 17..18, "\"a\""),
        ("1/s; 60/min burst 1; 5/h", 5..19, "\"60/min burst 1\""),
    ];
    for (text, span, part) in cases {
        let error = read(text).unwrap_err();
        assert_eq!((error.span(), error.text()), (span, text), "{error}");
        assert!(error.to_string().starts_with(&format!("bad quota at {part}: ")), "{text:?}: {error}");
    }
}

/// A comma between quotas is answered with the semicolon.
#[test]
fn a_comma_is_answered_with_a_semicolon() {
    for text in ["100/s, 5000/h", "100/s,5000/h", "100/s burst 200, 5000/h", "100/s burst 200,5000/h", "60 rpm,10 rps"]
    {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains("quotas are separated by \";\""), "{text}: {error}");
        let mended = text.replace(',', ";");
        assert_eq!(read(&mended).unwrap().iter().len(), 2, "{mended}");
    }
}

#[test]
fn a_list_has_at_most_8_quotas() {
    let list = |most: u32| (1..=most).map(|rate| format!("{rate}/s")).collect::<Vec<_>>().join("; ");
    assert_eq!(read(&list(8)).unwrap().iter().len(), 8);
    let error = read(&list(9)).unwrap_err();
    assert_eq!(&error.text()[error.span()], "9/s");
    assert!(error.to_string().ends_with("a list has at most 8 quotas: leave some out"), "{error}");
}

proptest! {
    #[test]
    fn any_row_of_parts_is_a_list_or_an_error_with_a_place(
        parts in prop::collection::vec(
            prop::sample::select(&["1/s", "5/h burst 2", "a", "b-1", ":", ";", " ", "é", "at most 3 in 1s", "\n", "\""][..]), 0..12,
        ),
    ) {
        let text = parts.concat();
        match read(&text) {
            Ok(quotas) => prop_assert_eq!(read(&quotas.to_string()), Ok(quotas), "{:?}", text),
            Err(error) => {
                prop_assert!(text.get(error.span()).is_some(), "{:?} {:?}", text, error);
                prop_assert_eq!(error.caret().to_string().lines().count(), 2);
            }
        }
    }
}

/// A setting of zero is an error of the form that returns one, never a panic.
#[test]
fn numbers_from_settings_are_refused_without_a_panic() {
    const MINUTE: Duration = Duration::from_secs(60);
    assert_eq!(Quota::try_new(60, MINUTE), Ok(Quota::per_minute(60)));
    assert!(Quota::try_new(0, MINUTE).is_err());
    assert!(Quota::try_new(60, Duration::ZERO).is_err());
    let quota = Quota::per_minute(60);
    assert!(quota.try_burst(0).is_err());
    assert_eq!(quota.try_burst(5), Ok(quota.burst(5)));
    assert_eq!(quota.try_max_debt(5), Ok(quota.max_debt(5)));
    assert_eq!(quota.try_max_debt(0), Ok(quota.max_debt(0)));
    let half = Tokens::try_from(0.5).unwrap();
    assert_eq!(quota.try_max_debt(half).unwrap().debt_limit(), half);
    let fine = quota.try_burst(Tokens::from_parts(0, 1_000).unwrap()).unwrap();
    assert!(fine.try_max_debt(Tokens::MAX).is_err(), "{fine}");
}

#[cfg(feature = "serde")]
mod serde {
    use brimful::{Quota, Quotas};
    use serde_json::{from_value, json, to_value};

    #[test]
    fn written_as_text_and_read_back() {
        let quota = Quota::per_second(100).burst(200);
        assert_eq!(to_value(quota).unwrap(), json!("100/s burst 200"));
        assert_eq!(from_value::<Quota>(json!("100/s burst 200")).unwrap(), quota);
        let quotas: Quotas = "100/s burst 200; 5000/h".parse().unwrap();
        assert_eq!(to_value(&quotas).unwrap(), json!("100/s burst 200; 5000/h burst 5000"));
        assert_eq!(from_value::<Quotas>(to_value(&quotas).unwrap()).unwrap(), quotas);
    }

    #[test]
    fn read_back_from_a_format_that_does_not_describe_itself() {
        let quotas: Quotas = "100/s burst 200; hourly: 5000/h".parse().unwrap();
        let bytes = postcard::to_allocvec(&(quotas.as_slice()[0], &quotas)).unwrap();
        assert_eq!(postcard::from_bytes::<(Quota, Quotas)>(&bytes).unwrap(), (quotas.as_slice()[0], quotas));
    }

    #[test]
    fn read_from_maps_and_lists() {
        let quota = |value| from_value::<Quota>(value).unwrap();
        let all = Quota::per_second(10).burst(20).initial(5).max_debt(30);
        assert_eq!(quota(json!({"rate": "10/s", "burst": 20, "initial": 5, "debt": "30"})), all);
        assert_eq!(quota(json!({"rate": "10/s"})), Quota::per_second(10));
        let text = r#"{"rate": "10/s", "burst": 20, "initial": 5, "debt": 30}"#;
        assert_eq!(serde_json::from_str::<Quota>(text).unwrap(), all);
        assert_eq!(quota(json!({"rate": "0.5/s", "burst": 2.5})), "0.5/s burst 2.5".parse().unwrap());
        assert_eq!(quota(json!({"burst": "1k", "rate": "10/s"})), Quota::per_second(10).burst(1_000));
        assert_eq!(quota(json!({"burst": "5 calls", "rate": "60 rpm"})), Quota::per_minute(60).burst(5));
        assert_eq!(quota(json!("10r/s")), Quota::per_second(10));
        let quotas = |value| from_value::<Quotas>(value).unwrap();
        let both: Quotas = "10/s burst 20; 5000/h".parse().unwrap();
        assert_eq!(quotas(json!([{"rate": "10/s", "burst": 20}, "5000/h"])), both);
        assert_eq!(quotas(json!("10/s burst 20; 5000/h")), both);
        assert_eq!(quotas(json!({"rate": "10/s"})), Quota::per_second(10).into());
        let named: Quotas = "burst: 10/s burst 20; 7/min; hourly: 5000/h".parse().unwrap();
        let burst = json!({"name": "burst", "rate": "10/s", "burst": 20});
        assert_eq!(quotas(json!([burst, "7/min", "hourly: 5000/h"])), named);
        assert_eq!(quotas(json!({"rate": "5000/h", "name": "hourly"})), "hourly: 5000/h".parse().unwrap());
        assert_eq!(from_value::<Quotas>(to_value(&named).unwrap()).unwrap(), named);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refused = |value, reason: &str| {
            let quota = from_value::<Quota>(value).unwrap_err().to_string();
            assert!(quota.contains(reason), "{quota}");
        };
        refused(json!("100/month"), "bad quota at \"month\"");
        refused(json!("100/month"), "in \"100/month\"");
        refused(json!({"burst": 5}), "missing field `rate`");
        refused(json!({"rate": "1/s", "brust": 5}), "unknown field `brust`, expected one of `rate`, `burst`");
        refused(json!({"rate": "1/s", "burst": 0}), "burst");
        refused(json!({"rate": "1/s; 2/h"}), "bad quota at \";\"");
        refused(json!(5), "a quota: a text such as \"100/s burst 200\"");
        refused(json!(["1/s"]), "a quota: a text");
        let text = r#"{"rate": "1/s", "burst": 1, "burst": 2}"#;
        assert!(serde_json::from_str::<Quota>(text).unwrap_err().to_string().contains("duplicate field `burst`"));
        let quotas = |value| from_value::<Quotas>(value).unwrap_err().to_string();
        assert!(quotas(json!([])).contains("an empty list"));
        assert!(quotas(json!(["1/s", "2/x"])).contains("\"2/x\""));
        assert!(quotas(json!(true)).contains("quotas: a text such as"));
        assert!(quotas(json!([true])).contains("a quota: a text such as \"daily: 50000/day\""));
        assert!(quotas(json!(["a: 1/s", "a: 2/s"])).contains("the name \"a\": another quota of the list"));
        assert!(quotas(json!(["1/s; 2/s"])).contains("a list such as"));
        assert!(quotas(json!(["1/s", "1/s"])).contains("another quota"));
        assert!(quotas(json!([{"rate": "1/s", "name": "a b"}])).contains("field \"name\": a name has at most 31"));
        let many: Vec<String> = (1..=9).map(|rate| format!("{rate}/s")).collect();
        assert!(quotas(json!(many)).contains("at most 8 quotas"));
        let text = r#"{"rate": "1/s", "name": "a", "name": "b"}"#;
        assert!(serde_json::from_str::<Quotas>(text).unwrap_err().to_string().contains("duplicate field `name`"));
        // One quota has no name.
        refused(json!({"rate": "1/s", "name": "a"}), "unknown field `name`, expected one of `rate`, `burst`");
        refused(json!("a: 1/s"), "a list with names is parsed as `Quotas`");
    }

    /// Each field of a map takes its own kind of value. Other values are refused, with the field's
    /// name and a right value.
    #[test]
    fn a_field_takes_its_own_thing() {
        let amounts =
            [json!(2), json!(2.5), json!("2"), json!("2.5"), json!("2k"), json!(" 2 tokens "), json!("1_000")];
        for amount in amounts {
            for field in ["burst", "initial", "debt"] {
                let mut map = json!({"rate": "1000/s"});
                map[field] = amount.clone();
                let text = amount.as_str().map_or(amount.to_string(), Into::into);
                let expected: Quota = format!("1000/s {field} {text}").parse().unwrap();
                assert_eq!(from_value::<Quota>(map).unwrap(), expected, "{field}: {amount}");
            }
        }
        let texts = [
            ("2 initial 0", "expected an amount alone"),
            ("2 burst 3", "expected an amount alone"),
            ("2 debt 1", "expected an amount alone"),
            ("2/s", "expected an amount alone"),
            ("2 per s", "expected an amount alone"),
            ("2; 3/s", "expected an amount alone"),
            ("burst 2", "expected an amount"),
            ("", "expected an amount"),
            ("-1", "expected an amount"),
            ("1.0000000000001", "an amount of tokens"),
            ("4294967296", "an amount of tokens"),
        ];
        let others = [
            (json!(-1), "expected an amount"),
            (json!(4_294_967_296u64), "an amount of tokens"),
            (json!(1e300), "an amount of tokens"),
            (json!(true), "a number, or a text"),
            (json!(null), "a number, or a text"),
            (json!([1]), "a number, or a text"),
            (json!({"burst": 1}), "a number, or a text"),
        ];
        let values = texts.map(|(text, reason)| (json!(text), reason)).into_iter().chain(others);
        for (value, reason) in values {
            for field in ["burst", "initial", "debt"] {
                let mut map = json!({"rate": "1/s"});
                map[field] = value.clone();
                let error = from_value::<Quota>(map.clone()).unwrap_err().to_string();
                assert!(error.contains(&format!("\"{field}\"")) && error.contains(reason), "{value}: {error}");
                let error = from_value::<Quotas>(json!([map])).unwrap_err().to_string();
                assert!(error.contains(&format!("\"{field}\"")) && error.contains(reason), "{value}: {error}");
            }
        }
    }

    #[test]
    fn a_rate_is_a_rate_alone() {
        let rates = [
            (json!("10/s burst 5"), "\"burst\""),
            (json!("10/s initial 0"), "\"initial\""),
            (json!("10/s debt 1"), "\"debt\""),
            (json!("10/s; 5/h"), "\";\""),
            (json!("10/s, 5/h"), "\",\""),
            (json!("unlimited"), "RateLimiter::unlimited()"),
            (json!("10"), "\"100/s\""),
            (json!("0/s"), "at least one token"),
            (json!("10/month"), "30 days"),
            (json!(10), "\"100/s\""),
            (json!(10.5), "\"100/s\""),
            (json!(true), "\"100/s\""),
            (json!(null), "\"100/s\""),
            (json!(["10/s"]), "\"100/s\""),
        ];
        for (rate, reason) in rates {
            for map in [json!({"rate": rate}), json!({"rate": rate, "burst": 3})] {
                let error = from_value::<Quota>(map).unwrap_err().to_string();
                assert!(error.contains("\"rate\"") && error.contains(reason), "{rate}: {error}");
            }
        }
        // Values that do not fit together are named, too.
        let refused = |map, field: &str| {
            let error = from_value::<Quota>(map).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        };
        refused(json!({"rate": "1/s", "burst": 0}), "\"burst\"");
        refused(json!({"rate": "1000000000/s", "burst": 0.5}), "\"burst\"");
        refused(json!({"rate": "2000000000/s"}), "\"rate\"");
    }
}

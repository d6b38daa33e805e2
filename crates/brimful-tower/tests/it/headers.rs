//! The headers for a decision, parsed back by another implementation of structured fields.

use std::time::Duration;

use brimful::{AllOf, Charge, CompositeLimiter, Decision, MockClock, Quota, Quotas, RateLimiter};
use brimful_tower::headers;
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use sfv::{BareItem, List, ListEntry, Parser};

fn text<'a>(map: &'a HeaderMap, name: &str) -> Option<&'a str> {
    map.get(name).map(|value| value.to_str().expect("ASCII"))
}

/// An item of a list: its text and its parameters.
type Item = (String, Vec<(String, i64)>);

fn parse(map: &HeaderMap, name: &str) -> Vec<Item> {
    let list: List = Parser::new(map[name].as_bytes()).parse().expect("a list");
    let item = |entry: ListEntry| {
        let ListEntry::Item(item) = entry else { panic!("{entry:?} is no item") };
        let BareItem::String(text) = item.bare_item else { panic!("{item:?} is no string") };
        let number = |(key, value): (sfv::Key, BareItem)| {
            let BareItem::Integer(number) = value else { panic!("{value:?} is no integer") };
            (key.as_str().to_owned(), i64::from(number))
        };
        (text.as_str().to_owned(), item.params.into_iter().map(number).collect())
    };
    list.into_iter().map(item).collect()
}

fn up(wait: Duration) -> i64 {
    i64::try_from(wait.as_nanos().div_ceil(1_000_000_000)).expect("in range")
}

#[test]
fn retry_after_is_rounded_up_and_never_zero() {
    for (after, expected) in [(0, "10"), (1, "10"), (1_000, "9"), (9_000, "1"), (9_001, "1"), (9_999, "1")] {
        let limiter = RateLimiter::with_clock("6/min burst 1".parse::<Quota>().unwrap(), MockClock::new());
        assert!(limiter.allow());
        limiter.clock().advance(Duration::from_millis(after));
        let map = headers(&limiter.decide(1)).to_map();
        assert_eq!(text(&map, "retry-after"), Some(expected), "{after}");
        assert_eq!(text(&map, "ratelimit"), Some(format!("\"default\";r=0;t={expected}").as_str()));
    }
    // A wait of no time is a second.
    let limiter = RateLimiter::with_clock(Quota::per_second(1), MockClock::new());
    let map = headers(&limiter.decide(1)).refused(Some(Duration::ZERO)).to_map();
    assert_eq!(text(&map, "retry-after"), Some("1"));
}

#[test]
fn a_call_that_is_never_admitted_has_no_time() {
    let limiter = RateLimiter::with_clock(Quota::per_second(5), MockClock::new());
    let map = headers(&limiter.decide(6)).x_rate_limit().to_map();
    assert_eq!(text(&map, "retry-after"), None);
    assert_eq!(text(&map, "ratelimit"), Some("\"default\";r=5"));
    assert_eq!(text(&map, "x-ratelimit-reset"), Some("0"));
}

#[test]
fn the_headers_are_chosen() {
    let limiter = RateLimiter::with_clock(Quota::per_second(5), MockClock::new());
    let decision = limiter.decide(1);
    let names = |map: HeaderMap| {
        let mut names: Vec<_> = map.keys().map(|name| name.as_str().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names(headers(&decision).to_map()), ["ratelimit", "ratelimit-policy"]);
    assert_eq!(names(headers(&decision).ietf(None).to_map()), [""; 0]);
    let x = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
    assert_eq!(names(headers(&decision).ietf(None).x_rate_limit().to_map()), x);
    assert_eq!(names(headers(&decision).ietf(None).refused(None).to_map()), [""; 0]);
}

/// Lists of several limiters are joined; of single values, the first one stays.
#[test]
fn a_map_keeps_what_it_has() {
    let limiter = |quota: &str| RateLimiter::with_clock(quota.parse().unwrap(), MockClock::new());
    let (inner, outer) = (limiter("1/h"), limiter("10/s"));
    assert!(inner.allow());
    let mut map = headers(&inner.decide(1)).policy("inner").x_rate_limit().to_map();
    headers(&outer.decide(1)).policy("outer").x_rate_limit().write_to(&mut map);
    let lines: Vec<&HeaderValue> = map.get_all("ratelimit").iter().collect();
    assert_eq!(lines, ["\"inner\";r=0;t=3600", "\"outer\";r=9;t=1"]);
    assert_eq!(map.get_all("retry-after").iter().collect::<Vec<_>>(), ["3600"]);
    assert_eq!(map.get_all("x-ratelimit-remaining").iter().collect::<Vec<_>>(), ["0"]);
}

/// A limit that did not refuse the call is shown without a time, if that would be after `Retry-After`.
#[test]
fn all_limits_are_shown() {
    let limiter = CompositeLimiter::with_clock("second: 2/s; daily: 500/day".parse().unwrap(), MockClock::new());
    assert!(limiter.try_acquire_n(2).is_ok());
    let map = headers(&limiter.decide(1)).quotas(&|name| limiter.quota(name)).x_rate_limit().to_map();
    assert_eq!(text(&map, "retry-after"), Some("1"));
    assert_eq!(text(&map, "ratelimit-policy"), Some("\"second\";q=2;w=1, \"daily\";q=500;w=86400"));
    assert_eq!(text(&map, "ratelimit"), Some("\"second\";r=0;t=1, \"daily\";r=498"));
    assert_eq!(text(&map, "x-ratelimit-limit"), Some("2"));
}

#[test]
fn names_of_any_kind_are_escaped() {
    let limiter = RateLimiter::with_clock(Quota::per_second(5), MockClock::new());
    for name in ["", "a\"b", "\\", "\"\\\"", "a, b;q=7", "100% ~"] {
        let map = headers(&limiter.decide(0)).policy(name).to_map();
        assert_eq!(parse(&map, "ratelimit")[0].0, name);
    }
    let decision = AllOf::new([Charge::new("grüße\n", &limiter, 1)]).decide();
    assert_eq!(parse(&headers(&decision).to_map(), "ratelimit-policy")[0].0, "gr%C3%BC%C3%9Fe%0A");
}

/// Compares the fields with the numbers of the decisions.
fn compare(map: &HeaderMap, limits: &[(&str, &Decision, Quota)], retry_after: Option<Option<Duration>>) {
    let retry = map.get("retry-after").map(|value| value.to_str().unwrap().parse::<i64>().unwrap());
    assert_eq!(retry, retry_after.flatten().map(|wait| up(wait).max(1)));
    for ((name, decision, quota), (shown, parameters)) in limits.iter().zip(parse(map, "ratelimit-policy")) {
        assert_eq!(
            (*name, ("q", decision.limit().into())),
            (shown.as_str(), (parameters[0].0.as_str(), parameters[0].1))
        );
        // The time in which an empty bucket fills, from a bucket itself. Its units may make it 3 ns longer.
        let bucket = RateLimiter::with_clock(*quota, MockClock::new());
        // A time beyond the range of clocks is not checked.
        let Some(filled) = bucket.decide(quota.capacity()).reset_after() else { continue };
        let windows = [filled, filled.saturating_sub(Duration::from_nanos(3))].map(up);
        assert!(parameters[1].0 == "w" && windows.contains(&parameters[1].1), "{parameters:?} {windows:?}");
        assert_eq!(parameters.len(), 2);
    }
    assert_eq!(parse(map, "ratelimit-policy").len(), limits.len());
    let shown = limits.iter().map(|(name, decision, _)| {
        let mut parameters = vec![("r".to_owned(), decision.remaining().into())];
        let time = if decision.allowed() { decision.reset_after() } else { decision.retry_after() };
        let is_late = |time: i64| retry.is_some_and(|retry| time > retry);
        parameters.extend(time.map(up).filter(|&time| !is_late(time)).map(|time| ("t".to_owned(), time)));
        ((*name).to_owned(), parameters)
    });
    assert_eq!(parse(map, "ratelimit"), shown.collect::<Vec<Item>>());
}

fn quota() -> impl Strategy<Value = Quota> {
    (1..2_000_000u64, 1..100_000_000u64, 1..5_000_000u32)
        .prop_map(|(tokens, millis, burst)| Quota::new(tokens, Duration::from_millis(millis)).burst(burst))
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(100_000))]

    #[test]
    fn the_fields_of_one_limit_parse_back(
        quota in quota(), name in "[ -~]{0,40}", taken in 0..5_000_000u32, after in 0..10_000_000_000u64, cost in 0..5_000_000u32,
    ) {
        let limiter = RateLimiter::with_clock(quota, MockClock::new());
        let _ = limiter.try_acquire_n(taken);
        limiter.clock().advance(Duration::from_nanos(after));
        let decision = limiter.decide(cost);
        let map = headers(&decision).policy(&name).quotas(&|_| Some(quota)).to_map();
        compare(&map, &[(&name, &decision, quota)], (!decision.allowed()).then(|| decision.retry_after()));
    }
}

proptest! {
    // 4.5 policies on average.
    #![proptest_config(cases(25_000))]

    #[test]
    fn the_fields_of_several_limits_parse_back(
        named in prop::collection::btree_map("[a-zA-Z0-9_.-]{1,31}", quota(), 1..=8),
        taken in 0..5_000_000u32, after in 0..10_000_000_000u64, cost in 0..5_000_000u32,
    ) {
        let quotas = Quotas::named(named.iter().map(|(name, quota)| (name, *quota))).unwrap();
        let limiter = CompositeLimiter::with_clock(quotas, MockClock::new());
        let _ = limiter.try_acquire_n(taken);
        limiter.clock().advance(Duration::from_nanos(after));
        let decision = limiter.decide(cost);
        let map = headers(&decision).quotas(&|name| limiter.quota(name)).to_map();
        let limits: Vec<_> = decision.limits().map(|(name, decision)| (name, decision, named[name])).collect();
        compare(&map, &limits, (!decision.allowed()).then(|| decision.retry_after()));
    }
}

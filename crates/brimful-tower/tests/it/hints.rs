//! Hints from the headers of real servers.

use std::time::{Duration, UNIX_EPOCH};

use brimful::model::{Dimension, DimensionHint, ServerHints};
use brimful_tower::FromHeaders;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proptest::prelude::*;

/// 2024-05-17T10:05:00Z, since 1970.
const NOW: Duration = Duration::from_secs(1_715_940_300);

/// Reads lines such as `name: value`.
fn read(status: u16, lines: &str) -> ServerHints {
    let header = |line: &str| {
        let (name, value) = line.trim().split_once(':').expect("a header");
        (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value.trim()).unwrap())
    };
    let headers: HeaderMap = lines.lines().filter(|line| !line.trim().is_empty()).map(header).collect();
    ServerHints::from_headers(StatusCode::from_u16(status).unwrap(), &headers, UNIX_EPOCH + NOW)
}

fn hint(limit: u64, remaining: u64, reset_millis: u64) -> DimensionHint {
    DimensionHint::new().limit(limit).remaining(remaining).reset_in(Duration::from_millis(reset_millis))
}

/// Checks that the hints have these dimensions, and no others.
fn check(hints: &ServerHints, expected: &[(Dimension, DimensionHint)]) {
    for dimension in Dimension::ALL {
        let expected = expected.iter().find(|(of, _)| *of == dimension).map_or(DimensionHint::new(), |(_, hint)| *hint);
        assert_eq!(hints.of(dimension), expected, "{dimension}");
    }
}

#[test]
fn openai() {
    let hints = read(
        429,
        "x-ratelimit-limit-requests: 60
        x-ratelimit-limit-tokens: 150000
        x-ratelimit-remaining-requests: 59
        x-ratelimit-remaining-tokens: 149984
        x-ratelimit-reset-requests: 12ms
        x-ratelimit-reset-tokens: 6m0s
        retry-after-ms: 1250
        retry-after: 2",
    );
    check(&hints, &[(Dimension::Rpm, hint(60, 59, 12)), (Dimension::Tpm, hint(150_000, 149_984, 360_000))]);
    assert_eq!((hints.is_refused(), hints.retry_time()), (true, Some(Duration::from_millis(1_250))));
}

#[test]
fn anthropic() {
    let hints = read(
        200,
        "anthropic-ratelimit-requests-limit: 50
        anthropic-ratelimit-requests-remaining: 49
        anthropic-ratelimit-requests-reset: 2024-05-17T10:05:01Z
        anthropic-ratelimit-tokens-limit: 100000
        anthropic-ratelimit-tokens-remaining: 99000
        anthropic-ratelimit-tokens-reset: 2024-05-17T10:05:30Z
        anthropic-ratelimit-input-tokens-limit: 80000
        anthropic-ratelimit-input-tokens-remaining: 79000
        anthropic-ratelimit-input-tokens-reset: 2024-05-17T10:05:00Z
        anthropic-ratelimit-output-tokens-limit: 20000
        anthropic-ratelimit-output-tokens-remaining: 0
        anthropic-ratelimit-output-tokens-reset: 2024-05-17T10:06:00Z",
    );
    check(
        &hints,
        &[
            (Dimension::Rpm, hint(50, 49, 1_000)),
            (Dimension::Tpm, hint(100_000, 99_000, 30_000)),
            (Dimension::InputTpm, hint(80_000, 79_000, 0)),
            (Dimension::OutputTpm, hint(20_000, 0, 60_000)),
        ],
    );
    assert_eq!((hints.is_refused(), hints.retry_time()), (false, None));
}

#[test]
fn github() {
    let lines = "x-ratelimit-limit: 5000
        x-ratelimit-remaining: 0
        x-ratelimit-reset: 1715942100
        x-ratelimit-resource: core
        x-ratelimit-used: 5000";
    for (status, is_refused) in [(403, true), (429, true), (200, false), (404, false)] {
        let hints = read(status, lines);
        check(&hints, &[(Dimension::Rpm, hint(5_000, 0, 1_800_000))]);
        assert_eq!(hints.is_refused(), is_refused, "{status}");
    }
    // The secondary limit, and a page that is forbidden.
    assert!(read(403, "retry-after: 60\nx-ratelimit-remaining: 4999").is_refused());
    assert!(!read(403, "x-ratelimit-remaining: 4999").is_refused());
}

/// The server's clock is an hour ahead.
#[test]
fn times_count_from_the_date_of_the_response() {
    let lines = "x-ratelimit-remaining: 0
        x-ratelimit-reset: 1715943905
        retry-after: Fri, 17 May 2024 11:05:05 GMT";
    for (date, seconds) in [("Fri, 17 May 2024 11:05:00 GMT", 5), ("today", 3_605)] {
        let hints = read(429, &format!("date: {date}\n{lines}"));
        assert_eq!(hints.retry_time(), Some(Duration::from_secs(seconds)));
        assert_eq!(hints.of(Dimension::Rpm).reset_in, Some(Duration::from_secs(seconds)));
    }
}

/// The date of a response that a cache kept is as old as its age. A server without a clock begins in 1970.
#[test]
fn the_date_of_a_response_is_that_of_a_clock() {
    let lines = "x-ratelimit-remaining: 0\nx-ratelimit-reset: 1715940310";
    for (date, seconds) in [
        ("date: Fri, 17 May 2024 09:05:00 GMT\nage: 3600", 10),
        ("date: Fri, 17 May 2024 09:05:00 GMT\nage: an hour", 3_610),
        ("date: Fri, 17 May 2024 09:05:00 GMT\nage: 99999999999999999999", 0),
        ("date: Thu, 01 Jan 1970 00:00:00 GMT", 10),
        ("date: Sun, 09 Sep 2001 01:46:39 GMT\nage: 1", 10),
    ] {
        let hints = read(429, &format!("{date}\n{lines}"));
        assert_eq!(hints.of(Dimension::Rpm).reset_in, Some(Duration::from_secs(seconds)), "{date}");
    }
}

#[test]
fn milliseconds_of_zero_hide_no_other_time() {
    for (lines, millis) in [
        ("retry-after-ms: 0\nretry-after: 7", 7_000),
        ("retry-after-ms: 0", 0),
        ("retry-after-ms: 0\nretry-after: soon", 0),
        ("retry-after-ms: 5\nretry-after: 7", 5),
    ] {
        assert_eq!(read(429, lines).retry_time(), Some(Duration::from_millis(millis)), "{lines}");
    }
}

/// Discord writes both, and the time since 1970 by its own clock.
#[test]
fn the_time_from_now_comes_before_the_time_since_1970() {
    let discord = "x-ratelimit-limit: 5
        x-ratelimit-remaining: 0
        x-ratelimit-reset: 1715940399.025
        x-ratelimit-reset-after: 1.250";
    check(&read(429, discord), &[(Dimension::Rpm, hint(5, 0, 1_250))]);
    let lines: Vec<_> = discord.lines().take(3).collect();
    check(&read(429, &lines.join("\n")), &[(Dimension::Rpm, hint(5, 0, 99_025))]);
    check(&read(429, &discord.replace("1.250", "soon")), &[(Dimension::Rpm, hint(5, 0, 99_025))]);
}

#[test]
fn drafts_of_the_ietf() {
    let of_draft_10 = read(
        200,
        "ratelimit-policy: \"minute\";q=60;w=60, \"bytes\";q=900;qu=\"content-bytes\"
        ratelimit-policy: \"daily\";q=1000;w=86400;pk=:YQ==:
        ratelimit: \"bytes\";r=0;t=9, \"minute\";r=7;t=23
        ratelimit: \"daily\";r=500;t=80000;pk=:YQ==:",
    );
    check(&of_draft_10, &[(Dimension::Rpm, hint(60, 7, 23_000)), (Dimension::Rpd, hint(1_000, 500, 80_000_000))]);
    // The tightest of several.
    let several = read(200, "ratelimit: \"a\";r=5;t=1, \"b\";r=3;t=2, \"c\";r=3;t=9, \"d\";t=1, e;r=3;t=3");
    check(&several, &[(Dimension::Rpm, DimensionHint::new().remaining(3).reset_in(Duration::from_secs(9)))]);
    let of_draft_07 = read(200, "ratelimit: limit=100, remaining=50, reset=5\nratelimit-policy: 10;w=1, 100;w=86400");
    check(&of_draft_07, &[(Dimension::Rpd, hint(100, 50, 5_000))]);
    let of_draft_06 = read(429, "ratelimit-limit: 100, 100;w=60\nratelimit-remaining: 0\nratelimit-reset: 50");
    check(&of_draft_06, &[(Dimension::Rpm, hint(100, 0, 50_000))]);
    assert!(of_draft_06.is_refused());
}

#[test]
fn the_headers_that_name_a_dimension_come_first() {
    let lines = "x-ratelimit-remaining: 1\nratelimit: \"a\";r=2\nx-ratelimit-remaining-requests: 3";
    check(&read(200, lines), &[(Dimension::Rpm, DimensionHint::new().remaining(3))]);
    let lines = "x-ratelimit-remaining: 1\nratelimit: \"a\";r=2\nx-ratelimit-remaining-requests: -1";
    check(&read(200, lines), &[(Dimension::Rpm, DimensionHint::new().remaining(2))]);
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    for (value, millis) in [
        ("120", Some(120_000)),
        ("Fri, 17 May 2024 10:07:00 GMT", Some(120_000)),
        ("Fri, 17 May 2024 10:00:00 GMT", Some(0)),
        ("1000000", Some(86_400_000)),
        ("tomorrow", None),
        ("-5", None),
        ("", None),
    ] {
        let hints = read(503, &format!("retry-after: {value}"));
        assert_eq!(hints.retry_time(), millis.map(Duration::from_millis), "{value}");
        assert!(!hints.is_refused(), "for its load, not for the rate of the call");
    }
}

/// With a redirect, an answer that is not ready, or a resource that is locked, it is the time for that request, and not a
/// pause for all.
#[test]
fn retry_after_is_a_pause_with_some_statuses_only() {
    for status in [200, 202, 301, 403, 409, 413, 423, 429, 500, 503] {
        let time = read(status, "retry-after: 7").retry_time();
        assert_eq!(time, matches!(status, 403 | 429 | 503).then_some(Duration::from_secs(7)), "{status}");
    }
}

#[test]
fn malformed_headers_are_ignored() {
    let hints = read(
        503,
        "retry-after-ms: soon
        retry-after: 7
        x-ratelimit-limit-requests: 1,000
        x-ratelimit-remaining-requests: many
        x-ratelimit-reset-requests: -6m0s
        ratelimit: \"a\";r=1;t=1, \"b
        anthropic-ratelimit-tokens-remaining: 9
        anthropic-ratelimit-tokens-reset: 2024-02-30T10:05:30Z",
    );
    let mut tokens = DimensionHint::new();
    tokens.remaining = Some(9);
    check(&hints, &[(Dimension::Tpm, tokens)]);
    assert_eq!(hints.retry_time(), Some(Duration::from_secs(7)));
}

const NAMES: [&str; 12] = [
    "retry-after",
    "retry-after-ms",
    "ratelimit",
    "ratelimit-policy",
    "ratelimit-limit",
    "ratelimit-reset",
    "x-ratelimit-reset",
    "x-ratelimit-remaining",
    "x-ratelimit-reset-requests",
    "x-ratelimit-limit-tokens",
    "anthropic-ratelimit-tokens-reset",
    "anthropic-ratelimit-input-tokens-remaining",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_headers_panic(
        lines in prop::collection::vec((prop::sample::select(&NAMES[..]), prop::collection::vec(0x20..=0xffu8, 0..40)), 0..8),
        status in 100..600u16,
    ) {
        let headers: HeaderMap = lines
            .iter()
            .filter_map(|(name, value)| Some((HeaderName::from_static(name), HeaderValue::from_bytes(value).ok()?)))
            .collect();
        let hints = ServerHints::from_headers(StatusCode::from_u16(status).unwrap(), &headers, UNIX_EPOCH + NOW);
        let day = Duration::from_secs(86_400);
        prop_assert!(hints.retry_time().is_none_or(|time| time <= day));
        prop_assert!(Dimension::ALL.iter().all(|&of| hints.of(of).reset_in.is_none_or(|time| time <= day)));
    }
}

//! The text of a quota parses as the same quota, and an invalid text is refused with the part that
//! is wrong.

use std::panic::catch_unwind;
use std::time::Duration;

use brimful::{ParseQuotaError, Quota, Tokens, quota};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

#[track_caller]
fn tokens(text: &str) -> Tokens {
    text.parse().unwrap()
}

#[test]
fn texts_are_read() {
    // Text, tokens, per, burst, initial, debt.
    let table: &[(&str, u64, Duration, &str, &str, &str)] = &[
        ("100/s burst 200", 100, SECOND, "200", "200", "200"),
        ("10 per 5 minutes burst 20", 10, 5 * MINUTE, "20", "20", "20"),
        ("1/10s", 1, 10 * SECOND, "1", "1", "1"),
        ("0.5/s burst 2.5", 1, 2 * SECOND, "2.5", "2.5", "2.5"),
        ("1MiB/s", 1 << 20, SECOND, "1048576", "1048576", "1048576"),
        ("100/s burst 200 initial 0", 100, SECOND, "200", "0", "200"),
        ("1000/day", 1_000, DAY, "1000", "1000", "1000"),
        ("100/s", 100, SECOND, "100", "100", "100"),
        (" \t100 / s\n burst  200 ", 100, SECOND, "200", "200", "200"),
        ("1_000_000/s", 1_000_000, SECOND, "1000000", "1000000", "1000000"),
        ("5k/min", 5_000, MINUTE, "5000", "5000", "5000"),
        ("5K/min", 5_000, MINUTE, "5000", "5000", "5000"),
        ("10kB/s", 10_000, SECOND, "10000", "10000", "10000"),
        ("10 KiB/s", 10_240, SECOND, "10240", "10240", "10240"),
        ("512B/s", 512, SECOND, "512", "512", "512"),
        ("1.5Mi/s", 3 << 19, SECOND, "1572864", "1572864", "1572864"),
        ("0.25G/s", 250_000_000, SECOND, "250000000", "250000000", "250000000"),
        ("2T/h", 2_000_000_000_000, HOUR, "4294967295", "4294967295", "4294967295"),
        ("2Ti/day", 1 << 41, DAY, "4294967295", "4294967295", "4294967295"),
        ("5k requests per minute burst 10 tokens", 5_000, MINUTE, "10", "10", "10"),
        ("7req/s", 7, SECOND, "7", "7", "7"),
        ("10r/s", 10, SECOND, "10", "10", "10"),
        ("30r/m burst 5", 30, MINUTE, "5", "5", "5"),
        ("10 r/5m", 10, 5 * MINUTE, "10", "10", "10"),
        ("60 rpm", 60, MINUTE, "60", "60", "60"),
        ("60rpm burst 5", 60, MINUTE, "5", "5", "5"),
        ("10 rps", 10, SECOND, "10", "10", "10"),
        ("5k RPM", 5_000, MINUTE, "5000", "5000", "5000"),
        ("2.5 qps", 5, 2 * SECOND, "3", "3", "3"),
        ("90k tpm", 90_000, MINUTE, "90000", "90000", "90000"),
        ("1000 rph debt 0", 1_000, HOUR, "1000", "1000", "0"),
        ("1_000 rpd", 1_000, DAY, "1000", "1000", "1000"),
        ("100 calls/min", 100, MINUTE, "100", "100", "100"),
        ("1 Call per hour", 1, HOUR, "1", "1", "1"),
        ("100hits/h burst 20 hits", 100, HOUR, "20", "20", "20"),
        ("5 queries per 10 s burst 2 queries", 5, 10 * SECOND, "2", "2", "2"),
        ("10 M bytes/s", 10_000_000, SECOND, "10000000", "10000000", "10000000"),
        ("10per5minutes", 10, 5 * MINUTE, "10", "10", "10"),
        ("10 PER 5 Minutes BURST 3", 10, 5 * MINUTE, "3", "3", "3"),
        ("3 per 1.5h", 2, HOUR, "3", "3", "3"),
        ("2.5/s", 5, 2 * SECOND, "3", "3", "3"),
        (".5/s", 1, 2 * SECOND, "1", "1", "1"),
        ("0.1/s", 1, 10 * SECOND, "1", "1", "1"),
        ("1/0.5s", 2, SECOND, "1", "1", "1"),
        ("1 per 3ns", 1, Duration::from_nanos(3), "1", "1", "1"),
        ("1/us", 1, Duration::from_micros(1), "1", "1", "1"),
        ("1/\u{b5}s", 1, Duration::from_micros(1), "1", "1", "1"),
        ("1/\u{3bc}s", 1, Duration::from_micros(1), "1", "1", "1"),
        ("1/ms", 1, Duration::from_millis(1), "1", "1", "1"),
        ("1/week", 1, 7 * DAY, "1", "1", "1"),
        ("1 per 2 weeks", 1, 14 * DAY, "1", "1", "1"),
        ("60/min", 1, SECOND, "60", "60", "60"),
        ("1/s debt 0", 1, SECOND, "1", "1", "0"),
        ("1/s initial 0.5 debt 7.25 burst 3", 1, SECOND, "3", "0.5", "7.25"),
        ("1/s burst 2 initial 5", 1, SECOND, "2", "2", "2"),
        ("1/s burst 2k debt 1Ki", 1, SECOND, "2000", "2000", "1024"),
        ("100.000000000000000000000000000000000000000000/s", 100, SECOND, "100", "100", "100"),
        ("0000000000000000000000000000000000000000000001/s", 1, SECOND, "1", "1", "1"),
        (
            // A burst is rounded down to the unit of the rate, which here, with so much debt, is 5
            // × 10⁻⁹ token.
            "1/s burst 4294967295.999999999999",
            1,
            SECOND,
            "4294967295.999999995",
            "4294967295.999999995",
            "4294967295.999999995",
        ),
    ];
    for &(text, count, per, burst, initial, debt) in table {
        let quota: Quota = text.parse().unwrap_or_else(|error: ParseQuotaError| panic!("{error}\n{}", error.caret()));
        assert_eq!(quota.rate(), Quota::new(count, per).rate(), "{text}");
        assert_eq!(quota.capacity(), tokens(burst), "{text}");
        assert_eq!(quota.initial_tokens(), tokens(initial), "{text}");
        assert_eq!(quota.debt_limit(), tokens(debt), "{text}");
    }
}

#[test]
fn what_is_no_quota_is_refused_where_it_is_wrong() {
    // Text, the wrong part (its last occurrence), a part of the message.
    let table = [
        ("", "", "expected an amount"),
        ("  ", "", "expected an amount"),
        ("abc", "abc", "expected an amount"),
        ("-5/s", "-5", "expected an amount"),
        ("/s", "/", "expected an amount"),
        ("./s", ".", "expected an amount"),
        ("½/s", "½", "expected an amount"),
        ("100", "", "expected \"/\" or \"per\""),
        ("100 s", "s", "expected \"/\" or \"per\""),
        ("100 burst 5", "burst", "expected \"/\" or \"per\""),
        ("100 €/s", "€", "write requests, calls"),
        ("100 widgets/s", "widgets", "for a factor write k"),
        ("10 million per day", "million", "for a factor write k"),
        ("10 k k/s", "k", "for a factor write k"),
        ("10 R/s", "R", "requests"),
        ("10R/s", "R", "req or calls"),
        ("90ktpm", "ktpm", "req or calls"),
        ("60 rpx", "rpx", "a word such as rpm"),
        ("60 RPM/s", "/", "after the rate come"),
        ("60 req rpm", "rpm", "expected \"/\" or \"per\""),
        ("60 rp", "rp", "a word such as rpm"),
        ("rpm", "rpm", "expected an amount"),
        ("0 rpm", "0", "at least one token"),
        ("2G rps", "2G rps", "above 1000000000 tokens per second"),
        ("1/s burst 5rps", "rps", "req or calls"),
        ("1/s burst 5 rps", "rps", "after the rate come"),
        ("unlimited", "unlimited", "RateLimiter::unlimited()"),
        (" Unlimited burst 5", "Unlimited", "RateLimiter::unlimited()"),
        ("unlimited/s", "unlimited", "RateLimiter::unlimited()"),
        ("none", "none", "RateLimiter::unlimited()"),
        ("inf/s", "inf", "RateLimiter::unlimited()"),
        ("∞", "∞", "RateLimiter::unlimited()"),
        ("100/s burst unlimited", "unlimited", "the largest is 4294967295"),
        ("100/s debt infinite", "infinite", "the largest is 4294967295"),
        ("100/unlimited", "unlimited", "expected a unit of time"),
        ("100 unlimited", "unlimited", "expected \"/\" or \"per\""),
        ("100/", "", "expected a unit of time"),
        ("100 per 5", "", "expected a unit of time"),
        ("100//s", "/", "expected a unit of time"),
        ("100/parsec burst 2", "parsec", "expected a unit of time"),
        ("100/-1s", "-1s", "expected a unit of time"),
        ("100/S", "S", "expected a unit of time"),
        ("100/5 M", "M", "expected a unit of time"),
        ("100/秒", "秒", "expected a unit of time"),
        ("100/10 burst 5", "burst", "expected a unit of time"),
        ("100/mo", "mo", "write \"30 days\""),
        ("100 per 2 Months burst 5", "Months", "write \"30 days\""),
        ("100/y", "y", "write \"365 days\""),
        ("100/10 years", "years", "write \"365 days\""),
        ("1,000/s", "1,000", "a number has no comma: write 1_000"),
        ("0,5/s", "0,5", "write 1_000 or 0.5"),
        ("1/s burst 1,000", "1,000", "write 1_000"),
        ("100/s burst 200,5/h", "200,5", "quotas are separated by \";\""),
        ("1,/s", ",", "expected \"/\" or \"per\""),
        ("1__0/s", "1__0", "such as 1_000"),
        ("1_/s", "1_", "such as 1_000"),
        ("1.2.3/s", "1.2.3", "one decimal point"),
        ("1/1_s", "1_", "such as 1_000"),
        ("123456789012345678901234567890123456789/s", "123456789012345678901234567890123456789", "at most 38 digits"),
        ("1e9/s", "e9", "may end in k"),
        ("100m/s", "m", "may end in k"),
        ("100b/s", "b", "may end in k"),
        ("100kiB/s burst 5x", "x", "may end in k"),
        ("100é/s", "é", "may end in k"),
        ("99999999999999999999999999999999999999Ti/s", "99999999999999999999999999999999999999Ti", "38 digits"),
        ("0/s", "0", "at least one token"),
        ("0.0 req/s", "0.0 req", "at least one token"),
        ("5/0s burst 3", "0s", "a period longer than zero"),
        ("1000000001/s burst 3", "1000000001/s", "above 1000000000 tokens per second"),
        ("100T/s", "100T/s", "above 1000000000 tokens per second"),
        ("1/0.000000001ns", "1/0.000000001ns", "above 1000000000"),
        ("1/4000000 days debt 2", "1/4000000 days", "below one token per 10000 years"),
        ("0.000000000001 per s", "0.000000000001 per s", "below one token per 10000 years"),
        ("12345678901234567890123/12345678901234567891s", "12345678901234567890123/12345678901234567891s", "exactly"),
        ("1/s burst", "", "expected an amount"),
        ("1/s burst x", "x", "expected an amount"),
        ("1/s burst 0", "0", "a burst above zero"),
        ("1/s initial 1 burst 0.0 debt 2", "0.0", "a burst above zero"),
        ("1/s burst 4Gi", "4Gi", "below 4294967296"),
        ("1/s burst 0.0000000000001", "0.0000000000001", "at most 12 decimals"),
        ("1/s debt 5G tokens", "5G tokens", "below 4294967296"),
        ("1G/s burst 0.5 debt 1", "0.5", "raise the burst"),
        ("1/s bust 5", "bust", "after the rate come"),
        ("1/s, burst 5", ",", "a space is enough"),
        ("1/s,burst 5", ",", "a space is enough"),
        ("1/s burst 5, debt 2", ",", "a space is enough"),
        ("1/s & initial 2", "&", "a space is enough"),
        ("100/s, 5000/h", ",", "quotas are separated by \";\""),
        ("100/s,5000/h", ",", "as in \"100/s; 5000/h\""),
        ("60 rpm, 10 rps", ",", "quotas are separated by \";\""),
        ("100/s burst 200, 5000/h", ",", "quotas are separated by \";\""),
        ("100/s burst 200 calls,5000/h", ",", "quotas are separated by \";\""),
        ("100/s | 5000/h", "|", "quotas are separated by \";\""),
        ("100/s and 5000/h", "and", "quotas are separated by \";\""),
        ("100/s + 5000/h", "+", "quotas are separated by \";\""),
        ("100/s,", ",", "quotas are separated by \";\""),
        ("100/s; 5000/h", ";", "a list such as \"100/s; 5000/h\" is parsed as `Quotas`"),
        ("daily: 5000/h", "daily:", "a list with names is parsed as `Quotas`"),
        ("1/s 5", "5", "after the rate come"),
        ("1/s/s", "/", "after the rate come"),
        ("1/s burst 2 burst 2", "burst", "twice"),
        ("1/s debt 1 initial 1 burst 2 initial 1", "initial", "twice"),
    ];
    for (text, part, word) in table {
        let error = text.parse::<Quota>().unwrap_err();
        let at = text.rfind(part).unwrap();
        assert_eq!(error.span(), at..at + part.len(), "{text}: {error}");
        assert!(error.to_string().contains(word), "{text}: {error}");
        assert_eq!(error.text(), text);
        assert_eq!(Quota::const_parse(text).unwrap_err().span(), error.span());
    }
}

#[test]
fn numbers_far_out_of_range_are_refused() {
    let zeros = "0".repeat(100_000);
    for (text, word) in [
        (format!("1{zeros}/s"), "above"),
        (format!("1/1{zeros}s"), "below"),
        (format!("0.{zeros}1/s"), "below"),
        (format!("1/0.{zeros}1s"), "above"),
        (format!("{zeros}/s"), "at least one token"),
        (format!("1/s burst 1{zeros}"), "below 4294967296"),
        (format!("1/s burst 0.{zeros}1"), "at most 12 decimals"),
        (format!("{}/s", "9".repeat(100_000)), "38 digits"),
    ] {
        let error = text.parse::<Quota>().unwrap_err().to_string();
        assert!(error.contains(word) && error.chars().count() < 200, "{error}");
    }
    assert_eq!(format!("1{zeros} per 1{zeros}s").parse(), "1/s burst 4294967295".parse::<Quota>());
}

#[test]
fn errors_point_at_the_part() {
    let error = "100/s\tburst 5µ".parse::<Quota>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "bad quota at \"µ\": an amount may end in k, M, G, T or Ki, Mi, Gi, Ti, and B, then a word such as req or calls"
    );
    assert_eq!(error.caret().to_string(), "100/s burst 5µ\n             ^");
    let error = "5 pér 秒々 burst".parse::<Quota>().unwrap_err();
    assert_eq!(error.caret().to_string(), "5 pér 秒々 burst\n  ^^^");
    let error = "5/秒々".parse::<Quota>().unwrap_err();
    assert_eq!(error.caret().to_string(), "5/秒々\n  ^^");
    let error = "100/s burst".parse::<Quota>().unwrap_err();
    assert_eq!(error.to_string(), "bad quota at the end: expected an amount, such as 100, 2.5 or 10k");
    assert_eq!(error.caret().to_string(), "100/s burst\n           ^");
    let error = "\n\u{0}\n".parse::<Quota>().unwrap_err();
    assert_eq!(error.to_string().lines().count(), 1);
}

#[test]
fn the_shortest_text_is_shown() {
    let rate = |rate, burst| Quota::try_from_rate(rate, burst).unwrap();
    let nanos = Duration::from_nanos;
    for (quota, text) in [
        (Quota::per_second(100).burst(200), "100/s burst 200"),
        (Quota::new(10, 5 * MINUTE), "2/min burst 10"),
        (rate(0.5, 2.5), "0.5/s burst 2.5"),
        (Quota::new(1, nanos(2)), "500000000/s burst 1"),
        (Quota::new(1, nanos(3)), "1 per 3ns burst 1"),
        (Quota::new(7, 3 * SECOND), "140/min burst 7"),
        (Quota::new(7, nanos(3_000_000)), "7 per 3ms burst 7"),
        (Quota::per_minute(60), "1/s burst 60"),
        (Quota::per_minute(3), "3/min burst 3"),
        (Quota::per_minute(15), "15/min burst 15"),
        (Quota::new(1, 10 * SECOND), "6/min burst 1"),
        (Quota::per_hour(100), "100/h burst 100"),
        (Quota::per_hour(9), "9/h burst 9"),
        (Quota::per_day(1_000), "1000/day burst 1000"),
        (Quota::new(1, 2 * DAY), "0.5/day burst 1"),
        (Quota::new(1, 7 * DAY), "1 per 7d burst 1"),
        (Quota::new(1, 36_500_000 * DAY / 10), "1 per 3650000d burst 1"),
        (rate(1e-10, 1.0), "0.0000000001/s burst 1"),
        (Quota::per_second(1_000_000_000), "1000000000/s burst 1000000000"),
        (Quota::per_second(5).initial(0), "5/s burst 5 initial 0"),
        (Quota::per_second(5).initial(5), "5/s burst 5"),
        (Quota::per_second(5).max_debt(5), "5/s burst 5"),
        (Quota::per_second(5).max_debt(0), "5/s burst 5 debt 0"),
        (quota!("5/s debt 2.5 initial 0.25 burst 7"), "5/s burst 7 initial 0.25 debt 2.5"),
    ] {
        assert_eq!(quota.to_string(), text);
        assert_eq!(format!("{quota:?}"), format!("Quota(\"{text}\")"));
        assert_eq!(text.parse(), Ok(quota));
    }
}

#[test]
fn a_text_in_a_constant_is_read_when_it_is_compiled() {
    const TEXT: &str = "10 per 5 minutes burst 20";
    const QUOTA: Quota = quota!(TEXT);
    static OTHER: Quota = quota!("2/min burst 20");
    assert_eq!(QUOTA, OTHER);
    assert_eq!(quota!("60 rpm"), quota!("60 calls/min"));
}

/// The function that `quota!` calls in a constant panics with the text and a caret, here at run time.
#[test]
fn the_macro_points_at_the_part() {
    let message = |text: &str| {
        let panic = catch_unwind(|| Quota::__from_literal(text)).unwrap_err();
        panic.downcast_ref::<String>().cloned().unwrap_or_else(|| panic.downcast_ref::<&str>().unwrap().to_string())
    };
    for (text, shown) in [
        ("100/month", "a month has no fixed length: write \"30 days\"\n  100/month\n      ^^^^^"),
        (
            "100/s\tburst 0",
            "a quota needs a burst above zero, or nothing could ever be admitted\n  100/s burst 0\n              ^",
        ),
        ("", "expected an amount, such as 100, 2.5 or 10k\n  \n  ^"),
    ] {
        assert_eq!(message(text), shown);
    }
    let long = "9".repeat(401);
    assert!(message(&long).ends_with("such as 1_000 or 0.5"), "{}", message(&long));
    for text in
        ["5 pér 秒々 burst", "100/秒々", "1/s burst", "\u{85}\u{7f}\n1/s bust", "∞", "100/s, 5/h", &"é".repeat(200)]
    {
        let error = text.parse::<Quota>().unwrap_err();
        let caret = error.caret().to_string().replace('\n', "\n  ");
        assert_eq!(message(text).split_once('\n').unwrap().1, format!("  {caret}"), "{text:?}");
        assert!(error.to_string().ends_with(message(text).lines().next().unwrap()), "{text:?}");
    }
}

#[track_caller]
fn read(text: &str) -> Result<(), TestCaseError> {
    match text.parse::<Quota>() {
        Ok(quota) => prop_assert_eq!(quota.to_string().parse(), Ok(quota), "{}", text),
        Err(error) => {
            prop_assert!(text.get(error.span()).is_some(), "{:?} {:?}", text, error);
            prop_assert_eq!(error.to_string().lines().count(), 1);
            prop_assert_eq!(error.caret().to_string().lines().count(), 2);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        read(&text)?;
    }

    #[test]
    fn any_row_of_parts_is_read_or_refused(
        parts in prop::collection::vec(
            prop::sample::select(&[
                "1", "0", "9", "5.5", ".", "_", ",", "/", " ", " per ", "k", "Mi", "B", "s", "ns", "µs", "days", "mo",
                " burst ", " initial ", " debt ", "req", "r", "calls", "rpm", "unlimited", ";", " and ", "-", "é", "\u{a0}", "99999999999", "0000000000", "\n",
            ][..]),
            0..16,
        ),
    ) {
        read(&parts.concat())?;
    }

    #[test]
    fn a_changed_text_is_read_or_refused(
        text in prop::sample::select(&[
            "100/s burst 200", "10 per 5 minutes burst 20 debt 5", "1.5MiB/0.25h", "0.5 req/\u{b5}s burst 2.5 initial 0",
        ][..]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..3u8, any::<char>()), 1..4),
    ) {
        let mut text: Vec<char> = text.chars().collect();
        for (index, how, char) in changes {
            let at = index.index(text.len());
            match how {
                0 => text[at] = char,
                1 => text.insert(at, char),
                _ => text.swap(0, at),
            }
        }
        read(&text.into_iter().collect::<String>())?;
    }

    #[test]
    fn every_number_reads_back(rate in any::<f64>(), power in -12..9i32, burst in 1e-6..4e9f64) {
        let near = 10f64.powi(power) * (rate.to_bits() >> 12) as f64 / (1u64 << 52) as f64;
        for rate in [rate, near] {
            if let Ok(quota) = Quota::try_from_rate(rate, burst) {
                prop_assert_eq!(quota.to_string().parse(), Ok(quota));
            }
        }
    }
}

#[test]
fn whole_numbers_of_any_size_are_tokens_or_an_error() {
    for whole in [0u64, 1, 1 << 31, u32::MAX.into()] {
        assert_eq!(Tokens::try_from(whole).unwrap(), Tokens::new(whole as u32));
        assert_eq!(Tokens::try_from(whole as usize).unwrap(), Tokens::new(whole as u32));
    }
    for whole in [1u64 << 32, u64::MAX] {
        assert!(Tokens::try_from(whole).unwrap_err().to_string().contains("4294967295"), "{whole}");
        assert!(Tokens::try_from(whole as usize).is_err(), "{whole}");
    }
}

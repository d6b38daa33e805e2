use std::string::ToString;
use std::time::Duration;

use proptest::prelude::*;

use super::literal::Message;
use super::parse;
use crate::quota::rate::SECOND;
use crate::quota::value::Quota;
use crate::tokens::{PICO, Tokens};

/// Numbers of every length are as likely as each other.
fn number() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0..64u32).prop_map(|(bits, shift)| bits >> shift)
}

fn period() -> impl Strategy<Value = Duration> {
    let any = (any::<u64>(), 0..64u32, prop_oneof![Just(0), 0..SECOND as u32])
        .prop_map(|(seconds, shift, nanos)| Duration::new(seconds >> shift, nanos));
    let units = (1..1_000u32, prop::sample::select(&[1u64, 1_000, SECOND, 60 * SECOND, 86_400 * SECOND][..]))
        .prop_map(|(count, unit)| Duration::from_nanos(unit) * count);
    prop_oneof![any, number().prop_map(Duration::from_nanos), units, Just(Duration::MAX)]
}

fn tokens() -> impl Strategy<Value = Tokens> {
    let fraction = (0..PICO, 0..13u32).prop_map(|(pico, zeros)| pico - pico % 10u64.pow(zeros).min(PICO));
    (any::<u32>(), 0..33u32, prop_oneof![Just(0), fraction])
        .prop_map(|(whole, shift, pico)| Tokens::from_parts(whole.checked_shr(shift).unwrap_or(0), pico).unwrap())
}

fn quota() -> impl Strategy<Value = Quota> {
    let option = || prop::option::of(tokens());
    (number(), period(), option(), option(), option()).prop_filter_map(
        "not a quota",
        |(count, period, burst, initial, debt)| {
            let mut quota = Quota::try_new(count, period).ok()?;
            if let Some(burst) = burst {
                quota = quota.with_burst(burst).ok()?;
            }
            if let Some(initial) = initial {
                quota = quota.with_initial(initial);
            }
            match debt {
                Some(debt) => quota.with_max_debt(debt).ok(),
                None => Some(quota),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn every_quota_reads_back(quota in quota()) {
        let text = quota.to_string();
        let read = parse::quota(&text);
        prop_assert_eq!(read, Ok(quota), "{}", text);
        prop_assert_eq!(read.unwrap().to_string(), text);
    }
}

#[test]
fn the_extremes_read_back() {
    let day = 86_400;
    for quota in [
        Quota::new(1, Duration::from_secs(10_000 * 366 * day)),
        Quota::new(1, Duration::from_nanos(1)),
        Quota::new(u64::MAX, Duration::MAX),
        Quota::new(u64::MAX, Duration::from_nanos(u64::MAX)),
        Quota::per_second(1).with_burst(Tokens::MAX).unwrap(),
        Quota::new(1, Duration::from_secs(1_000 * day)).with_burst(Tokens::from_parts(0, 1).unwrap()).unwrap(),
        Quota::per_second(1).with_burst(Tokens::MAX).unwrap().with_max_debt(Tokens::MAX).unwrap(),
    ] {
        assert_eq!(parse::quota(&quota.to_string()), Ok(quota));
    }
}

/// The message with which `quota!` fails to compile, laid out by the compiler.
#[test]
fn the_message_of_the_macro_is_laid_out_in_a_constant() {
    const fn message(text: &str) -> Message {
        match parse::quota(text) {
            Ok(_) => panic!("a quota"),
            Err(error) => Message::new(text, error),
        }
    }
    const MONTH: Message = message("100/month burst 5");
    const COMMA: Message = message("5 r/\u{b5}s, 1/h");
    let month = "a month has no fixed length: write \"30 days\"\n  100/month burst 5\n      ^^^^^";
    assert_eq!(MONTH.as_str(), month);
    let comma = "quotas are separated by \";\", as in \"100/s; 5000/h\"\n  5 r/\u{b5}s, 1/h\n        ^";
    assert_eq!(COMMA.as_str(), comma);
}

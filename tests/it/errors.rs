//! The texts of errors: each names the value, and the right one.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use brimful::{CoarseUpkeep, KeyedRateLimiter, MockClock, OnFull, Quota, RateLimiter, Tokens, TryAcquireError};

use crate::support::tokens;

fn says<T>(result: Result<T, impl Error>, text: &str) {
    let error = result.err().unwrap_or_else(|| panic!("refused: {text}"));
    assert_eq!(error.to_string(), text);
    assert!(error.source().is_none(), "the message is complete without a source");
}

fn fresh(quota: Quota) -> RateLimiter<MockClock> {
    RateLimiter::with_clock(quota, MockClock::new())
}

#[test]
fn of_calls() {
    let limiter = fresh(Quota::per_second(10).burst(5));
    says(
        limiter.try_acquire_n(6),
        "a cost of 6 tokens can never be admitted by a burst of 5: ask for less at a time, or raise the burst",
    );
    says(
        limiter.leaving(4).try_acquire_n(3),
        "a cost of 3 tokens that leaves 4 can never be admitted by a burst of 5: ask for less at a time, or raise the \
         burst",
    );
    assert!(limiter.try_acquire_n(5).is_ok());
    says(limiter.try_acquire_n(3), "rate limited: retry after 300ms");
    let late = fresh(Quota::per_second(1).burst(1));
    assert!(late.at((1 << 59) - 1).allow());
    says(late.at((1 << 59) - 1).try_acquire(), "rate limited: the tokens will not be there within the clock's range");
    let builder = KeyedRateLimiter::<u32>::builder().quota(Quota::per_second(1)).max_keys(1).on_full(OnFull::Deny);
    let keyed = builder.clock(MockClock::new()).build().unwrap();
    assert!(keyed.allow(&1));
    says(keyed.try_acquire(&2), "no room for a new key: every bucket is in use. Raise `max_keys`, or retry after 1s");
}

#[test]
fn of_waits() {
    let builder = RateLimiter::builder().quota(Quota::per_second(1).burst(2).initial(0));
    let limiter = builder.clock(MockClock::new()).max_waiters(0).build().unwrap();
    says(
        limiter.acquire().within(Duration::from_millis(999)).wait(),
        "the tokens will not be there in time: it takes 1s",
    );
    says(limiter.acquire_blocking(), "the wait queue is full (0 waiters): retry later, or raise `max_waiters`");
    limiter.clock().advance(Duration::from_secs(2));
    says(limiter.acquire().until(0).wait(), "the deadline has passed; the tokens are there");
    says(
        limiter.acquire_n_blocking(3),
        "a cost of 3 tokens can never be admitted by a burst of 2: ask for less at a time, or raise the burst",
    );
    let builder = KeyedRateLimiter::<u32>::builder().quota(Quota::per_second(1).initial(0)).max_waiting_keys(0);
    let keyed = builder.clock(MockClock::new()).build().unwrap();
    says(
        keyed.key(&1).acquire_blocking(),
        "callers wait on as many keys as permitted (0): retry later, or raise `max_waiting_keys`",
    );
}

/// `unwrap` prints one short line for the user, without internal names.
#[track_caller]
fn shows<T>(result: Result<T, impl Error>, text: &str) {
    let error = result.err().unwrap_or_else(|| panic!("refused: {text}"));
    assert_eq!(format!("{error:?}"), text);
}

#[test]
fn of_calls_by_debug() {
    let limiter = fresh(Quota::per_second(10).burst(5));
    shows(limiter.try_acquire_n(6), "ExceedsBurst { requested: 6, burst: 5 }");
    shows(limiter.leaving(4).try_acquire_n(tokens("2.5")), "ExceedsBurst { requested: 2.5, leaving: 4, burst: 5 }");
    assert!(limiter.try_acquire_n(5).is_ok());
    shows(limiter.try_acquire_n(3), "RateLimited { retry_after: 300ms }");
    shows(limiter.try_reserve_n(1), "RateLimited { retry_after: 100ms }");
    let Err(TryAcquireError::RateLimited(limited)) = limiter.try_acquire() else { panic!("admitted") };
    assert_eq!(format!("{limited:?}"), "RateLimited { retry_after: 100ms }");
    assert_eq!(format!("{limited:#?}"), "RateLimited {\n    retry_after: 100ms,\n}");
    let late = fresh(Quota::per_second(1).burst(1));
    assert!(late.at((1 << 59) - 1).allow());
    shows(late.at((1 << 59) - 1).try_acquire(), "RateLimited { retry_after: never }");
    let builder = KeyedRateLimiter::<u32>::builder().quota(Quota::per_second(1)).max_keys(1).on_full(OnFull::Deny);
    let keyed = builder.clock(MockClock::new()).build().unwrap();
    assert!(keyed.allow(&1));
    shows(keyed.try_acquire(&2), "TableFull { retry_after: 1s }");
    let decision = limiter.decide(6);
    let text = "Decision { allowed: false, limit: 5, remaining: 0, retry_after: never, reset_after: 500ms }";
    assert_eq!(format!("{decision:?}"), text);
}

#[test]
fn of_waits_by_debug() {
    let builder = RateLimiter::builder().quota(Quota::per_second(1).burst(2).initial(0));
    let limiter = builder.clock(MockClock::new()).max_waiters(0).build().unwrap();
    shows(limiter.acquire().within(Duration::from_millis(999)).wait(), "TooLate { retry_after: 1s }");
    shows(limiter.acquire_blocking(), "QueueFull(Waiters(0))");
    shows(limiter.acquire_n_blocking(3), "ExceedsBurst { requested: 3, burst: 2 }");
    limiter.clock().advance(Duration::from_secs(2));
    let granted = limiter.acquire_blocking().unwrap();
    assert_eq!(format!("{granted:?}"), "Granted { granted_at: 2000000000, waited: 0ns }");
    let builder = KeyedRateLimiter::<u32>::builder().quota(Quota::per_second(1).initial(0)).max_waiting_keys(0);
    let keyed = builder.clock(MockClock::new()).build().unwrap();
    shows(keyed.key(&1).acquire_blocking(), "QueueFull(Keys(0))");
    let keyed = KeyedRateLimiter::<u32, _>::with_clock(Quota::per_second(1).initial(0), MockClock::new());
    let mut wait = keyed.acquire(&1);
    let mut poll = || Pin::new(&mut wait).poll(&mut Context::from_waker(Waker::noop()));
    assert!(poll().is_pending());
    assert!(keyed.remove(&1));
    let Poll::Ready(forgotten) = poll() else { panic!("the key was removed, but the wait is pending") };
    shows(forgotten, "KeyRemoved");
}

#[test]
fn of_what_is_constructed_by_debug() {
    shows(Quota::try_new(0, Duration::from_secs(1)), "QuotaError(\"a quota needs at least one token per period\")");
    shows(Quota::try_from_rate(f64::NAN, 1.0), "QuotaError(\"NaN: a rate must be a finite number above zero\")");
    let amount = "an amount of tokens is a number from 0 up to 4294967295.999999999999, with at most 12 decimals";
    shows(Tokens::try_from(-1.0), &format!("TokensError(\"-1: {amount}\")"));
    shows("many".parse::<Tokens>(), &format!("TokensError(\"{amount}\")"));
    shows(
        RateLimiter::builder().build(),
        "BuildError(\"a limiter needs a quota: call `.quota(Quota::per_second(100))` before `.build()`\")",
    );
    let month = "a month has no fixed length: write \\\"30 days\\\"";
    shows(
        "100/month".parse::<Quota>(),
        &format!("ParseQuotaError {{ text: \"100/month\", span: 4..9, message: \"{month}\" }}"),
    );
    shows(Quota::const_parse("100/month"), &format!("QuotaTextError {{ span: 4..9, message: \"{month}\" }}"));
}

/// The debug texts of types that are not errors are in the user's terms, too.
#[test]
fn of_other_types_by_debug() {
    let clock = MockClock::new();
    clock.set(5);
    let limiter = RateLimiter::with_clock(Quota::per_second(10).burst(5), clock.clone());
    assert_eq!(format!("{clock:?}"), "MockClock { now: 5ns }");
    assert_eq!(format!("{:?}", limiter.try_reserve_n(2).unwrap()), "Reservation { tokens: Tokens(2), .. }");
    assert_eq!(format!("{:?}", limiter.leaving(2)), "Bucket { quota: 10/s burst 5, leaving: 2, .. }");
    assert_eq!(format!("{:?}", limiter.acquire_n(2)), "Acquire { tokens: Tokens(2), .. }");
    assert_eq!(format!("{:?}", CoarseUpkeep::by_hand()), "CoarseUpkeep { by_hand: true }");
    let upkeep = CoarseUpkeep::start(Duration::from_secs(1)).unwrap();
    assert_eq!(format!("{upkeep:?}"), "CoarseUpkeep { by_hand: false }");
}

#[test]
fn of_what_is_constructed() {
    says(Quota::try_new(0, Duration::from_secs(1)), "a quota needs at least one token per period");
    says(Quota::try_new(1, Duration::ZERO), "a quota needs a period longer than zero");
    says(
        Quota::try_new(2, Duration::from_nanos(1)),
        "2 tokens per 1ns is a rate above 1000000000 tokens per second: count in larger tokens",
    );
    says(
        Quota::try_new(1, Duration::from_secs(400_000_000_000)),
        "1 token per 400000000000s is a rate below one token per 10000 years: count in smaller tokens",
    );
    says(Quota::per_second(1).try_burst(0), "a quota needs a burst above zero, or nothing could ever be admitted");
    let grain = Tokens::from_parts(0, 1).unwrap();
    says(
        Quota::per_second(1_000_000_000).try_burst(grain),
        "a burst of 0.000000000001 tokens is a burst below what this rate can count: raise the burst to a token",
    );
    says(Quota::try_from_rate(f64::NAN, 1.0), "NaN: a rate must be a finite number above zero");
    says(Quota::try_from_rate(1.0, -2.5), "-2.5: a burst must be a finite number above zero and below 4294967296");
    let tokens = "an amount of tokens is a number from 0 up to 4294967295.999999999999, with at most 12 decimals";
    says(Tokens::try_from(-1.0), &format!("-1: {tokens}"));
    says(
        RateLimiter::builder().build(),
        "a limiter needs a quota: call `.quota(Quota::per_second(100))` before `.build()`",
    );
    let keyed = || KeyedRateLimiter::<u32>::builder().quota(Quota::per_second(1));
    says(
        keyed().max_keys(0).build().map(drop),
        "max_keys is 0: a keyed limiter needs room for one key at least, or nothing could be admitted",
    );
    let least = keyed().max_bytes(1).build().map(drop).unwrap_err().to_string();
    assert!(
        least.starts_with("max_bytes is 1: a keyed limiter takes ") && least.ends_with(" bytes at least"),
        "{least}"
    );
    says(CoarseUpkeep::start(Duration::ZERO), "the time cannot be moved on every 0 ns: 1 ms is usual");
}

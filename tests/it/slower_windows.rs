//! `Quota::at_most` after a change to a much slower quota: no window is granted more, however long ago the change
//! and the origin are.

use std::time::Duration;

use brimful::{Clock, KeyedRateLimiter, MockClock, Quota, RateLimiter};
use brimful_oracle::strict::most_within;
use proptest::prelude::*;

use crate::support::{LAST, Random, SECOND, any_size};

const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;

/// The calls of the test on a limiter that has `fast` first. A bucket is full when its quota changes.
struct Subject {
    clock: MockClock,
    lone: RateLimiter<MockClock>,
    keyed: KeyedRateLimiter<u64, MockClock>,
}

impl Subject {
    fn new(fast: Quota) -> Self {
        let clock = MockClock::new();
        let keyed = KeyedRateLimiter::builder().quota(fast).max_keys(10).clock(clock.clone()).build().unwrap();
        Subject { lone: RateLimiter::with_clock(fast, clock.clone()), keyed, clock }
    }

    fn set(&self, quota: Quota) {
        self.lone.set_quota(quota).unwrap();
        self.keyed.set_quota(quota).unwrap();
    }

    /// Takes a token as soon as there is one. A caller that waits as long as the error says is admitted, and no earlier.
    fn take(&self) -> u64 {
        if let Err(error) = self.lone.try_acquire() {
            let wait = error.retry_after().expect("a token is due in the clock's range");
            assert_eq!(self.keyed.try_acquire(&1).unwrap_err().retry_after(), Some(wait));
            self.clock.advance(wait - Duration::from_nanos(1));
            assert!(self.lone.try_acquire().is_err() && self.keyed.try_acquire(&1).is_err(), "a nanosecond early");
            self.clock.advance(Duration::from_nanos(1));
            self.lone.try_acquire().expect("the wait was long enough");
        }
        self.keyed.try_acquire(&1).expect("a key is admitted as a lone limiter is");
        self.clock.now()
    }
}

/// Takes as early as possible for a few windows, from these times after the change on.
fn check(fast: Quota, n: u64, window: u64, burst: u32, before: u64, rests: &[u64]) {
    let subject = Subject::new(fast);
    subject.clock.advance(Duration::from_nanos(before));
    subject.set(Quota::at_most_with_burst(n, Duration::from_nanos(window), burst).unwrap());
    let mut grants = Vec::new();
    for &rest in rests {
        if subject.clock.now() + rest + 8 * window >= LAST {
            break;
        }
        subject.clock.advance(Duration::from_nanos(rest));
        for _ in 0..4 * n + 3 {
            grants.push((subject.take(), 1i64));
        }
    }
    let most = most_within(window, &mut grants);
    assert!(most <= i128::from(n), "{most}, {n} in {window} ns after {before} ns of {fast}");
}

#[test]
fn no_window_is_granted_more_after_years() {
    let rests = [0, 1, 6 * HOUR, DAY, 30 * DAY + 12_345_678_901, YEAR, 5 * YEAR + 1];
    let fast = [
        Quota::per_second(10_000),
        Quota::per_second(1_000_000_000),
        // A unit of these takes no whole number of nanoseconds.
        Quota::per_second(3).burst(7),
        Quota::per_second(700_001),
        Quota::new(7, Duration::from_secs(11)),
    ];
    for fast in fast {
        for (n, window, burst) in
            [(1, 60 * SECOND, 1), (1, 61 * SECOND + 7, 1), (3, DAY, 1), (5, HOUR, 3), (7, DAY + 1, 2)]
        {
            for before in [0, HOUR, 12 * HOUR + 1, 3 * DAY, YEAR / 3, 8 * YEAR + 11] {
                check(fast, n, window, burst, before, &rests);
            }
        }
    }
}

/// After years at these rates, 64 bits of them are early by a hundredth of a nanosecond of limiter time, which is
/// several milliseconds of the slow quota. Some of these numbers of tokens take so little more than a whole number of
/// nanoseconds.
#[test]
fn no_window_is_granted_more_if_the_highest_rate_is_rounded() {
    for fast in [700_003, 700_009, 700_027, 999_983] {
        for tokens in 1..100 {
            check(Quota::per_second(fast), tokens + 1, DAY, 2, 8 * YEAR, &[0]);
        }
    }
}

/// Tokens are there at round instants, for years: the arithmetic is not late either.
#[test]
fn round_instants_stay_round() {
    let seconds = |tokens, seconds| Quota::new(tokens, Duration::from_secs(seconds)).burst(7);
    for (fast, slow, n, period) in [
        (seconds(10_000, 1), seconds(10, 1), 5, 1),
        (seconds(3_000, 1), seconds(3, 1), 3, 1),
        (seconds(3, 1), seconds(3, 2), 3, 2),
        (seconds(7, 1), seconds(7, 10), 7, 10),
    ] {
        let subject = Subject::new(fast);
        subject.clock.advance(Duration::from_secs(86_400));
        subject.set(slow);
        let take = |n| [subject.lone.try_acquire_n(n).is_ok(), subject.keyed.try_acquire_n(&1, n).is_ok()];
        assert_eq!(take(7), [true; 2]);
        for rest in [0, 1, 60, 3_600, 86_400, 86_400 * 365, 86_400 * 365 * 7] {
            subject.clock.advance(Duration::from_secs(rest / period * period));
            // Nothing is left if this is no more than what was earned.
            while take(1) == [true; 2] {}
            subject.clock.advance(Duration::from_secs(period));
            assert_eq!(take(n), [true; 2], "{fast}, {slow}, {rest} s");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any two quotas, at any times, with other changes before the last one.
    #[test]
    fn no_window_is_granted_more_after_any_changes(
        fast in (1..1_000_000_000u64, any::<u64>()),
        n in 1..6u64,
        window_gene in any::<u64>(),
        before_gene in any::<u64>(),
        seed in any::<u64>(),
    ) {
        let (tokens, period) = (fast.0, any_size(fast.1, 50).max(fast.0));
        let fast = Quota::new(tokens, Duration::from_nanos(period)).burst(10);
        let window = any_size(window_gene, 55);
        let burst = 1 + (seed % n) as u32;
        let Ok(slow) = Quota::at_most_with_burst(n, Duration::from_nanos(window), burst) else { return Ok(()) };
        let before = any_size(before_gene, 59);
        let subject = Subject::new(fast);
        let mut random = Random::new(seed);
        for _ in 0..random.below(4) {
            subject.clock.advance(Duration::from_nanos(random.below(before)));
            let quota = Quota::new(1 + random.below(tokens), Duration::from_nanos(period)).burst(10);
            subject.set(quota);
        }
        if subject.lone.set_quota(slow).is_err() {
            return Ok(());
        }
        subject.set(slow);
        let mut grants = Vec::new();
        for _ in 0..4 * n + 3 {
            let rest = if random.below(4) == 0 { random.below(before) } else { 0 };
            if subject.clock.now() + rest + 2 * window >= LAST {
                break;
            }
            subject.clock.advance(Duration::from_nanos(rest));
            grants.push((subject.take(), 1i64));
        }
        let most = most_within(window, &mut grants);
        prop_assert!(most <= i128::from(n), "{}, {} in {} ns: {:?}", most, n, window, grants);
    }
}

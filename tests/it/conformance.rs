//! The expectations of other libraries' own tests, as tables of time, cost and answer. If a row
//! follows from another model than ours, its table says so.

use std::thread;
use std::time::Duration;

use brimful::{Quota, RateLimiter, Tokens};

use crate::support::{SECOND, limiter, tokens};

/// A tenth of a second, the step of Go's tables.
const T: u64 = SECOND / 10;

/// The expected answer of a call: admitted, denied, or the balance before the call.
#[derive(Clone, Copy, Debug)]
enum Row {
    Yes(u64, u32),
    No(u64, u32),
    Holds(u64, f64),
}
use Row::{Holds, No, Yes};

#[track_caller]
fn play(quota: Quota, rows: &[Row]) {
    let limiter = limiter(quota);
    for (index, &row) in rows.iter().enumerate() {
        match row {
            Yes(time, cost) => {
                assert!(limiter.at(time * T).try_acquire_n(cost).is_ok(), "{quota}, row {index}: {row:?}");
            }
            No(time, cost) => {
                assert!(limiter.at(time * T).try_acquire_n(cost).is_err(), "{quota}, row {index}: {row:?}");
            }
            Holds(time, tokens) => assert_eq!(limiter.at(time * T).available_tokens(), tokens, "{quota}, row {index}"),
        }
    }
}

#[test]
fn go_burst_of_one() {
    let rows = [Holds(0, 1.0), Yes(0, 1), No(0, 1), No(0, 1), Yes(1, 1), No(1, 1), No(1, 1)];
    play(Quota::per_second(10).burst(1), &rows);
    // A cost of 2 is above the burst, in Go and here.
    let rows = [Yes(0, 1), Yes(1, 1), No(1, 1), No(2, 2), Yes(2, 1), No(2, 1)];
    play(Quota::per_second(10).burst(1), &rows);
}

#[test]
fn go_burst_of_three() {
    let quota = Quota::per_second(10).burst(3);
    play(quota, &[Yes(0, 2), No(0, 2), Yes(0, 1), No(0, 1), No(1, 4), Yes(2, 1)]);
    let rows = [
        Yes(0, 2),
        No(0, 2),
        Yes(0, 1),
        No(0, 1),
        No(1, 4),
        Holds(2, 2.0),
        Yes(2, 1),
        Holds(3, 2.0),
        Yes(3, 1),
        Holds(4, 2.0),
        Yes(4, 1),
        Yes(4, 1),
        No(4, 1),
        No(4, 1),
        Holds(9, 3.0),
        Yes(9, 3),
        Yes(9, 0),
        Holds(9, 0.0),
    ];
    play(quota, &rows);
}

/// Go moves its state to the earlier time, and so earns the interval twice: it admits two calls at
/// t0, and then one more at t1. A reading that counts as itself sees fewer tokens, never more.
#[test]
fn go_a_clock_that_jumps_back() {
    let rows = [
        Holds(1, 3.0),
        Yes(1, 1),
        Yes(0, 1),
        No(0, 1),
        No(0, 1),
        Yes(1, 1),
        No(1, 1),
        No(1, 1),
        Yes(2, 1),
        No(2, 1),
        No(2, 1),
    ];
    play(Quota::per_second(10).burst(3), &rows);
}

#[test]
fn go_odd_rates() {
    let odd = Quota::try_from_rate(0.769_230_769_230_769_3, 1.0).unwrap();
    play(odd, &[Yes(0, 1), No(0, 1), No(12, 1), Yes(14, 1)]);
    // One token in more than 300 years.
    play(Quota::try_from_rate(1e-10, 1.0).unwrap(), &[Yes(0, 1), No(0, 1), No(1_000_000_000, 1)]);
}

#[test]
fn go_fifteen_threads_at_a_burst_of_five() {
    let limiter = limiter(Quota::per_second(1).burst(5));
    let admitted = thread::scope(|scope| {
        let threads: Vec<_> = (0..15).map(|_| scope.spawn(|| u32::from(limiter.allow()))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>()
    });
    assert_eq!(admitted, 5);
}

/// Go accepts 599 to 601. On a clock without jitter the number is exact: the burst, plus 5 s of the
/// rate.
#[test]
fn go_polled_for_five_seconds() {
    let limiter = limiter(Quota::per_second(100).burst(100));
    let admitted = (0..=2_500).filter(|poll| limiter.at(poll * 2 * SECOND / 1_000).allow()).count();
    assert_eq!(admitted, 600);
}

#[test]
fn go_more_than_the_burst_is_refused_at_once() {
    let limiter = limiter(Quota::per_second(10).burst(2));
    assert!(limiter.at(0).try_acquire_n(3).unwrap_err().retry_after().is_none());
    assert!(limiter.at(0).try_acquire_n(2).is_ok());
}

#[test]
fn folly_reentrant_and_earlier_readings() {
    let limiter = limiter(Quota::per_second(1_000).burst(10).initial(0));
    for taken in 0..10 {
        assert!(limiter.at(SECOND / 10).allow(), "after {taken}");
    }
    assert!(!limiter.at(SECOND / 10).allow());
    let before = limiter.at(SECOND / 10).balance();
    assert!(!limiter.at(99_999_990).allow());
    assert_eq!((before, limiter.at(SECOND / 10).balance()), (0.0, 0.0));
}

#[test]
fn folly_drained_every_millisecond() {
    for (rate, burst) in [(100, 1), (1_000, 1), (10_000, 1), (10_000, 5)] {
        let limiter = limiter(Quota::per_second(rate).burst(burst).initial(0));
        let mut drained = 0u64;
        for millisecond in 1..=10_000u64 {
            let now = millisecond * SECOND / 1_000;
            while limiter.at(now).allow() {
                drained += 1;
            }
            // If the rate is above a burst per millisecond, the tokens that are not drained in time
            // are clipped.
            let earned = millisecond * u64::from(rate.min(1_000 * burst)) / 1_000;
            assert!(drained <= earned, "({rate}, {burst}): {drained} at {millisecond} ms");
            assert!(drained + u64::from(burst) + 1 >= earned, "({rate}, {burst}): {drained} at {millisecond} ms");
        }
    }
}

#[test]
fn folly_giving_back_and_debt() {
    let limiter_of_ten = limiter(Quota::per_second(10).burst(10));
    assert!(limiter_of_ten.at(0).try_acquire_n(10).is_ok());
    // In folly, a bucket may hold more than its burst until the next take. This one clips at once.
    assert_eq!(limiter_of_ten.at(0).add_tokens(50), Tokens::new(10));
    assert!(limiter_of_ten.at(0).try_acquire_n(10).is_ok());
    assert!(limiter_of_ten.at(0).try_acquire_n(1).is_err());

    let limiter = limiter(Quota::per_second(100).burst(100));
    assert!(limiter.at(0).try_acquire_n(50).is_ok());
    assert_eq!(limiter.at(0).balance(), 50.0);
    assert!(limiter.at(0).try_acquire_n(50).is_ok());
    assert_eq!(limiter.at(0).balance(), 0.0);
    assert!(limiter.at(0).try_reserve_n(0).unwrap().at(0).commit(50).is_zero());
    assert_eq!((limiter.at(0).available_tokens(), limiter.at(0).balance()), (0.0, -50.0));
}

/// redis-cell answers with the tokens left and two times in seconds. Its retry-after of an admitted
/// call is −1, ours is zero. Its GCRA with a limit of 5 is a burst of 5 here.
#[test]
fn redis_cell() {
    // Milliseconds, cost, admitted, remaining, reset after, retry after (both in milliseconds).
    const NEVER: u64 = u64::MAX;
    let table: [(u64, &str, bool, u32, u64, u64); 19] = [
        (0, "6", false, 5, 0, NEVER),
        (0, "1", true, 4, 1_000, 0),
        (0, "1", true, 3, 2_000, 0),
        (0, "1", true, 2, 3_000, 0),
        (0, "1", true, 1, 4_000, 0),
        (0, "1", true, 0, 5_000, 0),
        (0, "1", false, 0, 5_000, 1_000),
        (3_000, "1", true, 2, 3_000, 0),
        (3_100, "1", true, 1, 3_900, 0),
        (4_000, "1", true, 1, 4_000, 0),
        (8_000, "1", true, 4, 1_000, 0),
        (9_500, "1", true, 4, 1_000, 0),
        (9_500, "0", true, 4, 1_000, 0),
        (9_500, "2", true, 2, 3_000, 0),
        (9_500, "5", false, 2, 3_000, 3_000),
        // redis-cell counts in whole tokens, so it has no such row.
        (9_500, "0.5", true, 1, 3_500, 0),
        (9_750, "2", false, 1, 3_250, 250),
        (10_000, "2", true, 0, 5_000, 0),
        (15_000, "5", true, 0, 5_000, 0),
    ];
    let limiter: RateLimiter<_> = limiter(Quota::per_second(1).burst(5));
    let milliseconds = |wait: Option<Duration>| wait.map_or(NEVER, |wait| wait.as_millis() as u64);
    for (index, (time, cost, admitted, remaining, reset, retry)) in table.into_iter().enumerate() {
        let decision = limiter.at(time * SECOND / 1_000).decide(tokens(cost));
        assert_eq!(decision.limit(), 5);
        assert_eq!((decision.allowed(), decision.remaining()), (admitted, remaining), "row {index}");
        let waits = (milliseconds(decision.reset_after()), milliseconds(decision.retry_after()));
        assert_eq!(waits, (reset, retry), "row {index}");
    }
}

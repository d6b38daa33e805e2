//! The coarse clock: what advances it, its time without an upkeep, and the window bound with it.
//!
//! All of these tests share one coarse time, so they take turns.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use brimful::{Clock, CoarseClock, CoarseUpkeep, QuantaClock, Quota, RateLimiter};
use brimful_oracle::window::{Bound, worst_window};

fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until the precise time has advanced.
fn later() {
    let began = QuantaClock.now();
    while QuantaClock.now() == began {}
}

/// Whether the coarse clock returns the precise time.
fn is_precise() -> bool {
    later();
    let before = QuantaClock.now();
    let now = CoarseClock.now();
    (before..=QuantaClock.now()).contains(&now)
}

#[test]
fn it_is_precise_where_nobody_keeps_it() {
    let _turn = alone();
    assert!(is_precise());
    let (first, second) = (CoarseUpkeep::by_hand(), CoarseUpkeep::by_hand());
    assert!(!is_precise());
    drop(first);
    assert!(!is_precise());
    drop(second);
    assert!(is_precise());
}

#[test]
fn a_thread_keeps_it_until_its_upkeep_is_dropped() {
    let _turn = alone();
    let upkeep = CoarseUpkeep::start(Duration::from_micros(100)).unwrap();
    for _ in 0..3 {
        let began = CoarseClock.now();
        while CoarseClock.now() == began {
            thread::yield_now();
        }
    }
    drop(upkeep);
    assert!(is_precise());
}

#[test]
fn it_is_behind_and_never_ahead_nor_goes_back() {
    let _turn = alone();
    let _upkeep = CoarseUpkeep::start(Duration::from_micros(50)).unwrap();
    let (mut before, mut moves) = (0, 0);
    while moves < 1_000 {
        let now = CoarseClock.now();
        // The counters of different cores may differ.
        assert!(now <= QuantaClock.now() + 10_000);
        assert!(before <= now, "{before} then {now}");
        moves += u64::from(before < now);
        before = now;
    }
}

#[test]
fn no_interval_is_an_error_that_says_what_would_be_right() {
    let error = CoarseUpkeep::start(Duration::ZERO).unwrap_err();
    assert_eq!(error.to_string(), "the time cannot be moved on every 0 ns: 1 ms is usual");
}

/// The bound in every window of the precise time is `burst + rate × (window + σ)`, and it is
/// reached: the tokens of an old reading are taken late, and those earned since are taken at once.
#[test]
fn no_window_is_granted_more_than_in_it_and_in_the_staleness() {
    // A token in 100 microseconds. Costs are in millionths of a token.
    const BURST: u64 = 10;
    const TOKEN: u64 = 100_000;
    let pass = |nanos: u64| {
        let until = QuantaClock.now() + nanos;
        while QuantaClock.now() < until {}
    };
    let _turn = alone();
    let upkeep = CoarseUpkeep::by_hand();
    let limiter = RateLimiter::with_clock(Quota::per_second(10_000).burst(BURST as u32), CoarseClock);
    let mut reached = 0;
    for _ in 0..100 {
        // The bucket is full at the first reading. It would be full again at the second, if it were
        // empty at the first.
        pass(BURST * TOKEN);
        let refreshed = QuantaClock.now();
        upkeep.refresh();
        pass(BURST * TOKEN);
        let (mut grants, mut stalest) = (Vec::new(), 0);
        for _ in 0..2 {
            while limiter.allow() {
                let now = QuantaClock.now();
                stalest = stalest.max(now - refreshed);
                grants.push((now, 1_000_000));
            }
            upkeep.refresh();
        }
        let mut margin = |stale: u64| {
            let bound = Bound::new(u128::from(BURST * 1_000_000 + stale * 10), 10_000, 1_000);
            worst_window(bound, &mut grants).expect("something was granted").margin
        };
        reached += u32::from(margin(stalest - TOKEN).is_violation());
        assert!(!margin(stalest).is_violation(), "{grants:?}, at most {stalest} ns behind");
    }
    assert!(reached > 0);
}

/// Waiters are served in time and never early, even if nothing refreshes the clock.
#[test]
fn whoever_waits_by_it_is_served_in_time() {
    let _turn = alone();
    let _upkeep = CoarseUpkeep::by_hand();
    let limiter = RateLimiter::with_clock(Quota::per_second(1_000).burst(1), CoarseClock);
    let mut before = None;
    for _ in 0..10 {
        let granted = limiter.acquire_blocking().unwrap().granted_at();
        assert!(granted <= QuantaClock.now() + 10_000);
        assert!(before.is_none_or(|before| granted >= before + 1_000_000));
        before = Some(granted);
    }
}

/// Readers on two threads pass each other the latest reading, while upkeeps start and stop. No
/// reading is lower than one that happened before it.
#[test]
fn it_does_not_go_back_while_upkeeps_come_and_go() {
    const TURNS: u32 = 2_000;
    let _turn = alone();
    let (latest, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let read = || {
        // Acquire pairs with the release below: the readings that are seen here happened before.
        let before = latest.load(Ordering::Acquire);
        let now = CoarseClock.now();
        latest.fetch_max(now, Ordering::AcqRel);
        assert!(now >= before, "{before} then {now}");
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    read();
                }
            });
        }
        // Runs even if a reading fails, because the readers would not stop otherwise.
        let result = std::panic::catch_unwind(|| {
            for turn in 0..TURNS {
                read();
                let by_hand = CoarseUpkeep::by_hand();
                read();
                let thread =
                    turn.is_multiple_of(20).then(|| CoarseUpkeep::start(Duration::from_micros(20)).expect("a thread"));
                read();
                by_hand.refresh();
                drop(by_hand);
                read();
                drop(thread);
            }
        });
        done.store(true, Ordering::Relaxed);
        result.expect("no reading is lower");
    });
}

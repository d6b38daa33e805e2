//! The coarse clock: who moves it, what it tells without that, and the bound that holds with it.
//!
//! There is one time for all, so these take turns.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use brimful::{Clock, CoarseClock, CoarseUpkeep, QuantaClock, Quota, RateLimiter};
use brimful_oracle::window::{Bound, worst_window};

use crate::support::Random;

fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether it tells the precise time.
fn is_precise() -> bool {
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
        assert!(now <= QuantaClock.now());
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

/// In every window of the precise time, no more than `burst + rate × (window + σ)`.
#[test]
fn no_window_is_granted_more_than_in_it_and_in_the_staleness() {
    // A token a microsecond, in thousandths.
    const BURST: u64 = 10;
    let _turn = alone();
    let upkeep = CoarseUpkeep::by_hand();
    let limiter = RateLimiter::with_clock(Quota::per_second(1_000_000).burst(BURST as u32), CoarseClock);
    let mut random = Random::new(3);
    let (mut grants, mut stalest) = (Vec::new(), 0);
    for _ in 0..20_000 {
        let refreshed = QuantaClock.now();
        upkeep.refresh();
        for _ in 0..random.next() % 100 {
            let granted = limiter.allow();
            let now = QuantaClock.now();
            stalest = stalest.max(now - refreshed);
            if granted {
                grants.push((now, 1_000));
            }
        }
    }
    let bound = |stale: u64| Bound::new(u128::from(BURST * 1_000 + stale), 1_000, 1_000);
    let worst = worst_window(bound(stalest), &mut grants).expect("something was granted");
    assert!(!worst.margin.is_violation(), "{worst:?}");
}

#[test]
fn whoever_waits_by_it_is_never_early() {
    let _turn = alone();
    let _upkeep = CoarseUpkeep::start(Duration::from_micros(200)).unwrap();
    let limiter = RateLimiter::with_clock(Quota::per_second(1_000).burst(1), CoarseClock);
    let granted = [(); 10].map(|()| limiter.acquire_blocking().unwrap().granted_at());
    assert!(granted.windows(2).all(|pair| pair[1] - pair[0] >= 1_000_000), "{granted:?}");
}

//! Promise 3: a call charges its cost once or not at all, and a give-back returns exactly that.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use brimful::{
    CompositeLimiter, KeyedCompositeLimiter, KeyedRateLimiter, MockClock, Quota, Quotas, RateLimiter, Tokens,
    TryAcquireError,
};

use ethnum::U256;
use proptest::prelude::*;

use crate::support::{Counted, PICO, SECOND, any_quota, any_size, from_pico, limiter, pico, tokens};

/// A burst of ten at one token per second, on a clock that stands still.
fn ten() -> (RateLimiter<MockClock>, MockClock) {
    let clock = MockClock::new();
    (RateLimiter::with_clock(Quota::per_second(1).burst(10), clock.clone()), clock)
}

#[test]
fn what_is_not_admitted_charges_nothing() {
    let (limiter, _) = ten();
    assert!(limiter.try_acquire_n(7).is_ok());
    for _ in 0..1_000 {
        assert!(matches!(limiter.try_acquire_n(4), Err(TryAcquireError::RateLimited(_))));
        assert!(matches!(limiter.try_acquire_n(11), Err(TryAcquireError::ExceedsBurst(_))));
        assert!(matches!(limiter.try_acquire_n(Tokens::MAX), Err(TryAcquireError::ExceedsBurst(_))));
        assert!(limiter.try_reserve_n(4).is_err() && limiter.try_reserve_n(11).is_err());
        assert!(!limiter.decide(4).allowed() && !limiter.decide(11).allowed());
        assert_eq!(limiter.balance(), 3.0);
    }
    assert!(limiter.try_acquire_n(3).is_ok());
    assert!(!limiter.allow());
}

#[test]
fn a_cost_of_zero_is_admitted_and_charges_nothing() {
    let (limiter, _) = ten();
    let deep = limiter.try_reserve_n(10).unwrap();
    deep.commit(20);
    assert_eq!(limiter.balance(), -10.0);
    for _ in 0..100 {
        assert!(limiter.try_acquire_n(0).is_ok());
        assert!(limiter.decide(0).allowed());
        limiter.try_reserve_n(0).unwrap().cancel();
        assert_eq!(limiter.time_until(0), Some(Duration::ZERO));
    }
    assert_eq!(limiter.balance(), -10.0);
}

#[test]
fn a_look_changes_nothing() {
    let (limiter, clock) = ten();
    assert!(limiter.try_acquire_n(10).is_ok());
    for half_seconds in 1..=40u32 {
        clock.set(u64::from(half_seconds) * SECOND / 2);
        let expected = (f64::from(half_seconds) / 2.0).min(10.0);
        for _ in 0..3 {
            assert_eq!((limiter.balance(), limiter.available_tokens()), (expected, expected));
            assert_eq!(limiter.decide(0).remaining(), expected as u32);
            let _ = (limiter.time_until(10), format!("{limiter:?}"));
        }
    }
}

#[test]
fn settling_charges_what_it_really_cost() {
    // Reserved, committed, balance afterwards, uncharged.
    let table = [
        ("4", "4", 6.0, "0"),
        ("4", "1", 9.0, "0"),
        ("4", "0", 10.0, "0"),
        ("4", "0.25", 9.75, "0"),
        ("4", "9.5", 0.5, "0"),
        ("4", "10", 0.0, "0"),
        ("4", "15", -5.0, "0"),
        ("4", "20", -10.0, "0"),
        ("4", "23", -10.0, "3"),
        ("4", "4294967295.5", -10.0, "4294967275.5"),
        ("0", "12", -2.0, "0"),
        ("10", "0", 10.0, "0"),
    ];
    for (reserved, committed, balance, uncharged) in table {
        let (limiter, _) = ten();
        let reservation = limiter.try_reserve_n(tokens(reserved)).unwrap();
        assert_eq!(reservation.tokens(), tokens(reserved));
        let left = reservation.commit(tokens(committed));
        assert_eq!((limiter.balance(), left), (balance, tokens(uncharged)), "{committed} of {reserved}");
    }
}

#[test]
fn debt_ends_where_the_quota_says() {
    // The debt limit, committed, balance afterwards, uncharged.
    let table =
        [(0u32, 12u32, 0.0, 2u32), (3, 12, -2.0, 0), (3, 14, -3.0, 1), (100, 110, -100.0, 0), (100, 111, -100.0, 1)];
    for (debt, committed, balance, uncharged) in table {
        let limiter = limiter(Quota::per_second(1).burst(10).max_debt(debt));
        let left = limiter.at(SECOND).try_reserve_n(10).unwrap().at(SECOND).commit(committed);
        assert_eq!(
            (limiter.at(SECOND).balance(), left),
            (balance, Tokens::new(uncharged)),
            "{committed} within {debt}"
        );
        // The debt does not grow, and the attempt gives nothing back.
        let left = limiter.at(SECOND).try_reserve_n(0).unwrap().at(SECOND).commit(200);
        assert_eq!(limiter.at(SECOND).balance(), -f64::from(debt));
        assert_eq!(left.as_f64(), 200.0 - (balance + f64::from(debt)));
        assert_eq!(limiter.at(SECOND).available_tokens(), 0.0);
    }
}

/// The uncharged rest is exact for any number of units.
#[test]
fn the_rest_is_exact_at_the_extremes() {
    // A token takes 1000 weeks, 10 000 years, or a nanosecond. The last rates have units that are
    // not decimal.
    for rate in ["1 per 1000 weeks", "1 per 3660000 days", "1000000000/s", "7 per 999 weeks", "3/s", "1 per 86413ns"] {
        let quota: Quota = rate.parse().unwrap();
        let limiter = limiter(quota);
        let burst = quota.capacity().whole();
        let left = limiter.at(0).try_reserve_n(1).unwrap().at(0).commit(u32::MAX);
        assert_eq!(left, Tokens::new(u32::MAX - 2 * burst), "{rate}");
        assert_eq!(limiter.at(0).balance(), -f64::from(burst), "{rate}");
        let left = limiter.at(0).try_reserve_n(0).unwrap().at(0).commit(Tokens::MAX);
        assert_eq!(left, Tokens::MAX, "{rate}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Compared with 256-bit integers.
    #[test]
    fn the_rest_is_what_the_debt_limit_leaves(
        [kind, rate, terms, burst, debt] in any::<[u64; 5]>(),
        reserved in any::<u64>(),
        actual in any::<u64>(),
        fraction in 0..1_000_000_000_000u64,
    ) {
        let quota = any_quota([kind, rate, terms, burst, 0, debt]);
        let counted = Counted::new(quota);
        let reserved = from_pico(u128::from(any_size(reserved, 63)) % (pico(quota.capacity()) + 1));
        let actual = match actual % 4 {
            0 => Tokens::MAX,
            1 => Tokens::new(u32::MAX),
            _ => Tokens::from_parts(any_size(actual / 4, 32) as u32, fraction).unwrap(),
        };
        let limiter = limiter(quota);
        let left = limiter.at(0).try_reserve_n(reserved).unwrap().at(0).commit(actual);
        let (reserved, actual) = (counted.up(reserved), counted.up(actual));
        let room = counted.capacity - reserved + counted.debt;
        let rest = actual.saturating_sub(reserved).saturating_sub(room);
        // The smallest amount in 10⁻¹² token that is not less, unless there is none.
        let scaled = |amount: u128, by: u128| U256::from(amount) * U256::from(by);
        let is_enough = |amount: Tokens| scaled(pico(amount), counted.per_token) >= scaled(rest, PICO);
        prop_assert!(is_enough(left) || left == Tokens::MAX, "{left} for {rest} of {counted:?}");
        prop_assert!(left.is_zero() || !is_enough(from_pico(pico(left) - 1)), "{left} for {rest} of {counted:?}");
    }
}

#[test]
fn debt_is_earned_back_before_anything_is_admitted() {
    let (limiter, clock) = ten();
    limiter.try_reserve_n(10).unwrap().commit(15);
    for (seconds, admitted) in [(1, false), (5, false), (6, true), (6, false), (7, true)] {
        clock.set(seconds * SECOND);
        assert_eq!(limiter.allow(), admitted, "after {seconds} s");
    }
}

/// Two reservations, cancelled in either order, with time in between.
#[test]
fn cancelling_leaves_what_would_have_been_without() {
    for first in 0..=10u32 {
        for second in 0..=10 - first {
            for seconds in 0..12u64 {
                let with = limiter(Quota::per_second(1).burst(10));
                let without = limiter(Quota::per_second(1).burst(10));
                let one = with.at(0).try_reserve_n(first).unwrap();
                let other = with.at(0).try_reserve_n(second).unwrap();
                assert!(without.at(0).try_acquire_n(second).is_ok());
                let now = seconds * SECOND;
                one.at(now).cancel();
                let clipped = f64::from(10 - second) + seconds as f64;
                assert_eq!(
                    with.at(now).balance(),
                    clipped.min(10.0),
                    "{first} cancelled, {second} held, at {seconds} s"
                );
                assert_eq!(with.at(now).balance(), without.at(now).balance());
                other.at(now).cancel();
                assert_eq!(with.at(now).balance(), 10.0);
                // No tokens are hidden above the burst.
                assert!(with.at(now).try_acquire_n(10).is_ok());
                assert_eq!(with.at(now).balance(), 0.0);
            }
        }
    }
}

#[test]
fn what_is_given_back_is_clipped_at_the_burst() {
    // Held before, given back, added.
    let table = [("0", "3", "3"), ("8", "3", "2"), ("10", "3", "0"), ("9.5", "4294967295", "0.5"), ("2", "0", "0")];
    for (held, given, added) in table {
        let (limiter, clock) = ten();
        assert!(limiter.try_acquire_n(10).is_ok());
        assert_eq!(limiter.add_tokens(tokens(held)), tokens(held));
        assert_eq!(limiter.add_tokens(tokens(given)), tokens(added), "{given} to {held}");
        let balance = tokens(held).saturating_add(tokens(added));
        assert_eq!(limiter.balance(), balance.as_f64());
        // Clipped tokens do not come back later.
        clock.advance(Duration::from_secs(100));
        assert_eq!(limiter.balance(), 10.0);
        assert!(limiter.try_acquire_n(10).is_ok() && !limiter.allow());
    }
}

/// The reading of a give-back is from before the last write. The bucket was full at that write, so
/// the tokens that it earned by then must not be added again.
#[test]
fn a_late_give_back_is_clipped_as_of_the_last_write() {
    let limiter = limiter(Quota::per_second(1).burst(10));
    let reserved = limiter.at(0).try_reserve_n(5).unwrap();
    assert!(limiter.at(3_600 * SECOND).try_acquire_n(10).is_ok());
    assert_eq!(limiter.at(3_600 * SECOND).balance(), 0.0);
    reserved.at(SECOND).cancel();
    assert_eq!(limiter.at(3_600 * SECOND).balance(), 5.0);
    // The word knows the time of its last write only to the tick. So more may be added than there
    // was room for, but the balance is clipped all the same.
    assert!(limiter.at(SECOND).add_tokens(100) < Tokens::new(100));
    assert_eq!(limiter.at(3_600 * SECOND).balance(), 10.0);
    assert!(limiter.at(3_600 * SECOND).try_acquire_n(10).is_ok() && !limiter.at(3_600 * SECOND).allow());
}

#[test]
fn a_panic_gives_back() {
    let (limiter, _) = ten();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _reservation = limiter.try_reserve_n(6).unwrap();
        assert_eq!(limiter.balance(), 4.0);
        std::panic::resume_unwind(Box::new("the call failed"));
    }));
    assert!(panicked.is_err());
    assert_eq!(limiter.balance(), 10.0);
}

#[test]
fn a_dropped_reservation_gives_back_once() {
    let (limiter, clock) = ten();
    drop(limiter.try_reserve_n(6).unwrap());
    assert_eq!(limiter.balance(), 10.0);
    // A committed reservation gives nothing back when it is dropped.
    limiter.try_reserve_n(6).unwrap().commit(6);
    clock.advance(Duration::from_secs(1));
    assert_eq!(limiter.balance(), 5.0);
    // A leaked reservation costs its tokens, once.
    std::mem::forget(limiter.try_reserve_n(5).unwrap());
    assert_eq!(limiter.balance(), 0.0);
}

/// If the reservation was given its time, a drop does not read the clock, which may have another
/// time.
#[test]
fn a_dropped_reservation_gives_back_as_of_its_own_time() {
    let (limiter, clock) = ten();
    clock.set(1_000_000 * SECOND);
    drop(limiter.at(5 * SECOND).try_reserve_n(6).unwrap());
    assert_eq!(limiter.at(5 * SECOND).balance(), 10.0);
    // If it were given back at the clock's time, the bucket would be in debt here.
    assert_eq!(limiter.at(SECOND).balance(), 6.0);
}

#[test]
fn an_owned_reservation_is_settled_on_another_thread() {
    let clock = MockClock::new();
    let limiter = Arc::new(RateLimiter::with_clock(Quota::per_second(1).burst(10), clock));
    let settle: [fn(brimful::OwnedReservation<MockClock>); 5] = [
        drop,
        brimful::OwnedReservation::cancel,
        |reservation| assert!(reservation.commit(2).is_zero()),
        |reservation| reservation.at(0).cancel(),
        |reservation| assert!(reservation.at(0).commit(9).is_zero()),
    ];
    for (settle, balance) in settle.into_iter().zip([10.0, 10.0, 8.0, 10.0, 1.0]) {
        limiter.reset();
        let reservation = limiter.try_reserve_n_owned(6).unwrap();
        assert_eq!(limiter.balance(), 4.0);
        thread::spawn(move || settle(reservation)).join().unwrap();
        assert_eq!(limiter.balance(), balance);
    }
    assert_eq!(Arc::strong_count(&limiter), 1);
}

#[test]
fn concurrent_calls_charge_their_costs_and_nothing_else() {
    const CALLS: u32 = 20_000;
    let (limiter, _) = ten();
    let limiter = Arc::new(limiter);
    // Each thread takes a token and gives it back, so nothing is gained or lost in any order.
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..CALLS {
                    limiter.try_reserve_n(1).unwrap().cancel();
                    let _ = limiter.try_reserve_n(9).map(|reservation| reservation.commit(0));
                    assert!(limiter.balance() <= 10.0);
                }
            });
        }
    });
    assert_eq!(limiter.balance(), 10.0);
}

/// Tokens of another verb are settled once, on limiters of every kind.
#[test]
fn tokens_that_were_taken_already_are_settled_later() {
    /// Takes 4 of 10 tokens, and settles them; then settles nothing at 3.
    macro_rules! settles {
        ($taken:expr, $later:expr, $balance:expr) => {{
            $taken;
            assert_eq!($later(4).tokens(), Tokens::new(4));
            assert_eq!($balance, 10.0, "dropped");
            $taken;
            assert_eq!($later(4).commit(1), Tokens::ZERO);
            assert_eq!($balance, 9.0);
            assert_eq!($later(0).commit(6), Tokens::ZERO);
            $later(0).cancel();
            assert_eq!($balance, 3.0);
            assert_eq!($later(0).commit(20), Tokens::new(7), "the debt has a limit");
            assert_eq!($balance, -10.0);
        }};
    }
    let (limiter, _) = ten();
    let limiter = Arc::new(limiter);
    settles!(assert!(limiter.decide(4).allowed()), |n: u32| limiter.settle_later(n), limiter.balance());
    let quota = Quota::per_second(1).burst(10);
    let keyed = KeyedRateLimiter::<str, _>::with_clock(quota, MockClock::new());
    settles!(assert!(keyed.decide("a", 4).allowed()), |n: u32| keyed.settle_later("a", n), keyed.key("a").balance());
    assert_eq!(keyed.key("b").balance(), 10.0);
    let quotas = || Quotas::named([("a", quota), ("b", quota)]).unwrap();
    let several = Arc::new(CompositeLimiter::with_clock(quotas(), MockClock::new()));
    settles!(assert!(several.decide(4).allowed()), |n: u32| several.settle_later(n), several.balance());
    let clients = KeyedCompositeLimiter::<str>::builder().quotas(quotas()).clock(MockClock::new()).build().unwrap();
    settles!(
        assert!(clients.decide("a", 4).allowed()),
        |n: u32| clients.settle_later("a", n),
        clients.key("a").balance()
    );
}

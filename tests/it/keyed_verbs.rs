//! The methods of a keyed limiter: tables of time, key, cost and answer; which calls make a key
//! known and which remove it; and the errors of the builder.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr};
use std::panic::catch_unwind;
use std::sync::Arc;
use std::time::Duration;

use brimful::{
    KeyedRateLimiter, KeyedRateLimiterBuilder, MockClock, OnFull, OwnedReservation, Quota, Reservation, SipState,
    Tokens, TryAcquireError,
};

use crate::keyed_support::{Keyed, Places, keyed};
use crate::support::{LAST, Random, SECOND, tokens};

/// A tenth of a second, the step of Go's tables.
const T: u64 = SECOND / 10;

fn limiter(quota: Quota) -> Keyed<SipState> {
    keyed(quota, 1_000).build().unwrap()
}

/// The expected answer of a call for a key: admitted, denied, or the balance before the call.
#[derive(Clone, Copy, Debug)]
enum Row {
    Yes(u64, u64, u32),
    No(u64, u64, u32),
    Holds(u64, u64, f64),
}
use Row::{Holds, No, Yes};

#[track_caller]
fn play(quota: Quota, rows: &[Row]) {
    let limiter = limiter(quota);
    for (index, &row) in rows.iter().enumerate() {
        match row {
            Yes(time, key, cost) => {
                assert!(limiter.key(&key).at(time * T).try_acquire_n(cost).is_ok(), "{quota}, row {index}: {row:?}");
            }
            No(time, key, cost) => {
                assert!(limiter.key(&key).at(time * T).try_acquire_n(cost).is_err(), "{quota}, row {index}: {row:?}");
            }
            Holds(time, key, tokens) => {
                assert_eq!(limiter.key(&key).at(time * T).available_tokens(), tokens, "{quota}, row {index}");
            }
        }
    }
}

#[test]
fn go_burst_of_one_with_another_key_between() {
    let rows = [
        Holds(0, 1, 1.0),
        Yes(0, 1, 1),
        Yes(0, 2, 1),
        No(0, 1, 1),
        No(0, 2, 1),
        Yes(1, 1, 1),
        No(1, 1, 1),
        Yes(1, 2, 1),
    ];
    play(Quota::per_second(10).burst(1), &rows);
    let rows =
        [Yes(0, 1, 1), Yes(1, 1, 1), No(1, 1, 1), No(2, 1, 2), Yes(2, 2, 1), No(2, 2, 2), Yes(2, 1, 1), No(2, 1, 1)];
    play(Quota::per_second(10).burst(1), &rows);
}

#[test]
fn go_burst_of_three_with_another_key_between() {
    let rows = [
        Yes(0, 1, 2),
        No(0, 1, 2),
        Yes(0, 2, 2),
        Yes(0, 1, 1),
        No(0, 1, 1),
        No(1, 1, 4),
        Holds(1, 2, 2.0),
        Holds(2, 1, 2.0),
        Yes(2, 1, 1),
        Yes(2, 2, 3),
        Holds(3, 1, 2.0),
        Yes(3, 1, 1),
        Holds(4, 1, 2.0),
        Yes(4, 1, 1),
        Yes(4, 1, 1),
        No(4, 1, 1),
        Holds(4, 2, 2.0),
        Holds(9, 1, 3.0),
        Yes(9, 1, 3),
        Yes(9, 1, 0),
        Holds(9, 1, 0.0),
        Holds(9, 2, 3.0),
    ];
    play(Quota::per_second(10).burst(3), &rows);
}

/// A reading counts as itself: see `conformance`, which describes Go's answer.
#[test]
fn go_a_clock_that_jumps_back_with_another_key_between() {
    let rows = [
        Holds(1, 1, 3.0),
        Yes(1, 1, 1),
        Yes(0, 2, 3),
        Yes(0, 1, 1),
        No(0, 1, 1),
        Yes(1, 1, 1),
        No(1, 1, 1),
        Yes(1, 2, 1),
        No(0, 2, 1),
        Yes(2, 1, 1),
        No(2, 1, 1),
    ];
    play(Quota::per_second(10).burst(3), &rows);
}

/// See `conformance`. Here another key calls in between, and asks for its whole burst.
#[test]
fn redis_cell_with_another_key_between() {
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
        (9_500, "0.5", true, 1, 3_500, 0),
        (9_750, "2", false, 1, 3_250, 250),
        (10_000, "2", true, 0, 5_000, 0),
        (15_000, "5", true, 0, 5_000, 0),
    ];
    let limiter = limiter(Quota::per_second(1).burst(5));
    let milliseconds = |wait: Option<Duration>| wait.map_or(NEVER, |wait| wait.as_millis() as u64);
    for (index, (time, cost, admitted, remaining, reset, retry)) in table.into_iter().enumerate() {
        let now = time * SECOND / 1_000;
        let _ = limiter.key(&1).at(now).try_acquire_n(5);
        let decision = limiter.key(&0).at(now).decide(tokens(cost));
        assert_eq!((decision.limit(), decision.exceeds_burst()), (5, retry == NEVER));
        assert_eq!((decision.allowed(), decision.remaining()), (admitted, remaining), "row {index}");
        let waits = (milliseconds(decision.reset_after()), milliseconds(decision.retry_after()));
        assert_eq!(waits, (reset, retry), "row {index}");
        let peek = limiter.key(&0).at(now).peek();
        assert_eq!((peek.remaining(), milliseconds(peek.reset_after())), (remaining, reset), "row {index}");
    }
}

#[test]
fn keys_come_in_every_form_and_borrowed() {
    let quota = Quota::per_minute(1);
    let names = KeyedRateLimiter::<String, _>::with_clock(quota, MockClock::new());
    assert!(names.allow("alice") && !names.allow(&String::from("alice")) && names.allow("bob"));
    let slices = KeyedRateLimiter::<Vec<u8>, _>::with_clock(quota, MockClock::new());
    assert!(slices.allow(&[1, 2][..]) && !slices.allow(&vec![1, 2]) && slices.allow(&[1][..]));
    let pairs = KeyedRateLimiter::<(u32, String), _>::with_clock(quota, MockClock::new());
    let key = |user: u32, route: &str| (user, route.to_owned());
    assert!(
        pairs.allow(&key(1, "/"))
            && !pairs.allow(&key(1, "/"))
            && pairs.allow(&key(1, "/x"))
            && pairs.allow(&key(2, "/"))
    );
    let addresses = KeyedRateLimiter::<IpAddr, _>::with_clock(quota, MockClock::new());
    let address = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
    assert!(addresses.allow(&address(1)) && !addresses.allow(&address(1)) && addresses.allow(&address(2)));
    let texts = KeyedRateLimiter::<str, _>::with_clock(quota, MockClock::new());
    assert!(texts.allow("a") && !texts.allow("a"));
    let numbers = KeyedRateLimiter::<[u64], _>::with_clock(quota, MockClock::new());
    assert!(numbers.allow(&[1u64, 2][..]) && !numbers.allow(&[1u64, 2][..]));
    assert_eq!((names.len(), pairs.len(), texts.len()), (2, 3, 1));
}

/// The calls that make a key known, and those that do not.
#[test]
fn only_what_changes_a_bucket_makes_its_key_known() {
    let limiter = limiter(Quota::per_second(10).burst(5));
    type Act<'a> = &'a dyn Fn(&u64);
    let nothing: [(&str, Act<'_>); 11] = [
        ("peek", &|key| assert_eq!(limiter.key(key).at(0).peek().remaining(), 5)),
        ("balance", &|key| assert_eq!(limiter.key(key).at(0).balance(), 5.0)),
        ("available_tokens", &|key| assert_eq!(limiter.key(key).at(0).available_tokens(), 5.0)),
        ("time_until", &|key| assert_eq!(limiter.key(key).at(0).time_until(5), Some(Duration::ZERO))),
        ("cost zero", &|key| assert!(limiter.key(key).at(0).try_acquire_n(0).is_ok())),
        ("decide zero", &|key| assert!(limiter.key(key).at(0).decide(0).allowed())),
        ("above the burst", &|key| {
            let refused = limiter.key(key).at(0).try_acquire_n(6);
            assert!(matches!(refused, Err(TryAcquireError::ExceedsBurst(_))), "{refused:?}");
            assert!(limiter.key(key).at(0).decide(6).exceeds_burst());
        }),
        ("add to a full one", &|key| assert_eq!(limiter.key(key).at(0).add_tokens(3), Tokens::ZERO)),
        ("reset of a full one", &|key| limiter.key(key).at(0).reset()),
        ("reserve zero", &|key| drop(limiter.key(key).at(0).try_reserve_n(0).unwrap())),
        ("remove", &|key| assert!(!limiter.remove(key))),
    ];
    for (verb, act) in nothing {
        act(&7);
        assert_eq!((limiter.len(), limiter.is_empty()), (0, true), "{verb}");
    }
    assert!(limiter.key(&7).at(0).allow() && limiter.len() == 1);
    assert_eq!(limiter.key(&7).at(0).balance(), 4.0);
    // Denied and cancelled calls change nothing.
    assert!(limiter.key(&7).at(0).try_acquire_n(5).is_err());
    limiter.key(&7).at(0).try_reserve_n(3).unwrap().at(0).cancel();
    assert_eq!((limiter.key(&7).at(0).balance(), limiter.key(&8).at(0).balance()), (4.0, 5.0));
}

#[test]
fn remove_clear_and_retain_recent_forget_what_they_say() {
    let limiter = limiter(Quota::per_second(10).burst(5));
    for key in 0..100u64 {
        assert!(limiter.key(&key).at(0).try_acquire_n(if key < 30 { 1 } else { 5 }).is_ok());
    }
    assert_eq!(limiter.len(), 100);
    limiter.clock().set(T - 1);
    assert_eq!(limiter.retain_recent(), 0);
    limiter.clock().set(T);
    // The keys that took one token are full again.
    assert_eq!((limiter.retain_recent(), limiter.len()), (30, 70));
    assert!(limiter.remove(&99) && !limiter.remove(&99) && !limiter.remove(&0));
    assert_eq!(limiter.len(), 69);
    assert_eq!(
        (limiter.key(&99).at(T).balance(), limiter.key(&98).at(T).balance(), limiter.key(&0).at(T).balance()),
        (5.0, 1.0, 5.0)
    );
    limiter.clear();
    assert_eq!((limiter.len(), limiter.retain_recent()), (0, 0));
    assert!((0..100).all(|key| limiter.key(&key).at(0).balance() == 5.0));
    // The table continues to work.
    assert!((0..1_000).all(|key| limiter.key(&key).at(T).try_acquire_n(5).is_ok()));
    assert!((0..1_000).all(|key| !limiter.key(&key).at(T).allow()));
}

/// A slot takes one new tenant for each tick. Keys that come back within the same tick are kept in
/// the overflow, and behave the same.
#[test]
fn keys_that_are_removed_and_come_back_at_once_are_counted_as_others() {
    for places in [Places::Anywhere, Places::Same] {
        let limiter = keyed(Quota::per_second(10).burst(5), 50).hasher(places).build().unwrap();
        for round in 0..200u64 {
            for key in 0..50u64 {
                assert!(limiter.key(&key).at(0).try_acquire_n(3).is_ok(), "{key} in round {round}");
                assert!(limiter.key(&key).at(0).try_acquire_n(3).is_err());
                assert_eq!(limiter.key(&key).at(0).balance(), 2.0);
            }
            assert_eq!(limiter.len(), 50);
            assert!((0..50).all(|key| limiter.remove(&key)));
            assert!(limiter.is_empty());
        }
    }
}

/// A bucket in the overflow becomes full like any other, whatever is asked of it.
#[test]
fn a_bucket_without_a_slot_fills_as_others_do() {
    for ask in 0..4 {
        for idle in (1..60).map(|tenth| tenth * SECOND / 20) {
            let limiter = keyed(Quota::per_second(3).burst(3), 40).hasher(Places::Same).build().unwrap();
            for key in 0..18u64 {
                assert!(limiter.key(&key).at(0).try_acquire_n(3).is_ok());
            }
            for key in 0..16u64 {
                let _ = limiter.key(&key).at(idle).try_acquire();
            }
            let held = (3.0 * idle as f64 / 1e9).min(3.0);
            let now = idle + 2 * SECOND;
            match ask {
                0 => assert!(limiter.key(&17).at(now).try_acquire_n(4).is_err()),
                1 => drop(limiter.key(&17).at(now).add_tokens(0)),
                2 => drop(limiter.key(&17).at(now).try_reserve_n(0)),
                _ => drop(limiter.key(&17).at(now).add_tokens(3)),
            }
            let balance = limiter.key(&17).at(now).balance();
            assert!(balance >= 3.0 - 1e-6, "{balance} after {idle} and {held}, asked {ask}");
        }
    }
}

#[test]
fn reset_forgets_debt_and_a_clock_that_was_far_ahead() {
    let limiter = limiter(Quota::per_second(10).burst(20));
    assert!(limiter.key(&1).at(0).try_reserve_n(20).unwrap().at(0).commit(35).is_zero());
    assert_eq!((limiter.key(&1).at(0).balance(), limiter.key(&1).at(0).available_tokens()), (-15.0, 0.0));
    limiter.key(&1).at(0).reset();
    assert_eq!(limiter.key(&1).at(0).balance(), 20.0);
    let ahead = 1_000 * 86_400 * SECOND;
    assert!(limiter.key(&2).at(ahead).try_acquire_n(20).is_ok());
    assert!(!limiter.key(&2).at(SECOND).allow() && limiter.key(&2).at(SECOND).balance() < -1e6);
    limiter.key(&2).at(SECOND).reset();
    assert_eq!(limiter.key(&2).at(SECOND).balance(), 20.0);
    assert!(limiter.key(&2).at(SECOND).try_acquire_n(20).is_ok() && !limiter.key(&2).at(SECOND).allow());
    assert_eq!(limiter.key(&2).at(2 * SECOND).balance(), 10.0);
}

/// Keys that were forgotten at a reading far ahead leave new keys empty, until `clear`.
#[test]
fn clear_cures_a_reading_that_was_far_ahead() {
    let limiter = keyed(Quota::per_second(10).burst(20), 8).build().unwrap();
    let ahead = 1_000 * 86_400 * SECOND;
    assert!((0..8).all(|key| limiter.key(&key).at(0).allow()));
    assert!((8..16).all(|key| limiter.key(&key).at(ahead).allow()));
    assert!(!limiter.key(&20).at(SECOND).allow(), "it starts from the floor of the keys forgotten ahead");
    limiter.clear();
    assert!((0..8).all(|key| limiter.key(&key).at(SECOND).try_acquire_n(20).is_ok()));
    assert!(
        (0..8).all(|key| !limiter.key(&key).at(SECOND).allow() && limiter.key(&key).at(2 * SECOND).balance() == 10.0)
    );
}

#[test]
fn reservations_of_a_key_settle_with_it_alone() {
    let limiter = limiter(Quota::per_second(10).burst(100));
    let reservation = limiter.key(&1).at(0).try_reserve_n(60).unwrap();
    assert_eq!((reservation.tokens(), limiter.key(&1).at(0).balance()), (Tokens::new(60), 40.0));
    assert!(limiter.key(&1).at(0).try_reserve_n(41).is_err());
    assert!(reservation.at(0).commit(45).is_zero());
    assert_eq!((limiter.key(&1).at(0).balance(), limiter.key(&2).at(0).balance()), (55.0, 100.0));
    let reservation = limiter.key(&1).at(0).try_reserve_n(5).unwrap();
    // The debt is limited to one burst.
    assert_eq!(reservation.at(0).commit(200), Tokens::new(45));
    assert_eq!(limiter.key(&1).at(0).balance(), -100.0);
    assert_eq!(limiter.key(&1).at(0).add_tokens(150), Tokens::new(150));
    drop(limiter.key(&1).at(0).try_reserve_n(50).unwrap());
    assert_eq!(limiter.key(&1).at(0).balance(), 50.0);
}

#[test]
fn what_is_given_back_at_once_is_all_there_again() {
    // Keys also come to slots that had another tenant in the same tick.
    for quota in [Quota::per_second(100).burst(200), Quota::per_second(1_000_000).burst(10), Quota::per_minute(5)] {
        let limiter = keyed(quota, 8).hasher(Places::Anywhere).build().unwrap();
        let burst = quota.capacity();
        for round in 0..6u64 {
            for key in 8 * round..8 * round + 8 {
                let reservation = limiter.key(&key).at(SECOND).try_reserve_n(burst).unwrap();
                assert_eq!(limiter.key(&key).at(SECOND).balance(), 0.0);
                reservation.at(SECOND).cancel();
                assert_eq!(limiter.key(&key).at(SECOND).balance(), burst.as_f64(), "{quota}, round {round}");
                assert!(limiter.key(&key).at(SECOND).try_acquire_n(burst).is_ok() && limiter.remove(&key));
            }
        }
    }
}

#[test]
fn owned_reservations_go_to_other_threads() {
    let limiter = Arc::new(KeyedRateLimiter::<String, _>::with_clock(Quota::per_minute(10), MockClock::new()));
    let reservation = limiter.try_reserve_n_owned("a", 8).unwrap();
    let other = limiter.try_reserve_n_owned("b", 3).unwrap();
    assert!(limiter.try_reserve_n_owned("a", 3).is_err());
    let threads = [std::thread::spawn(move || reservation.commit(2)), std::thread::spawn(move || other.commit(3))];
    assert!(threads.into_iter().all(|thread| thread.join().unwrap().is_zero()));
    assert_eq!((limiter.key("a").available_tokens(), limiter.key("b").available_tokens()), (8.0, 7.0));
}

#[test]
fn a_batch_answers_as_one_by_one() {
    let (mut random, mut admitted, mut denied) = (Random::new(7), 0, 0);
    for max_keys in [5, 40, 1_000] {
        let quota = Quota::per_second(10).burst(3);
        let make = || keyed(quota, max_keys).hasher(Places::Anywhere).on_full(OnFull::Deny).build().unwrap();
        let (batched, single) = (make(), make());
        let mut out = Vec::new();
        for round in 0..200 {
            let now = round * T / 3;
            let costs = [Tokens::ONE, tokens("0.5"), Tokens::new(3), Tokens::ZERO, Tokens::new(4)];
            let calls: Vec<(u64, Tokens)> =
                (0..random.below(50)).map(|_| (random.below(60), costs[random.below(5) as usize])).collect();
            batched.clock().set(now);
            batched.try_acquire_many_n(&calls, &mut out);
            let one_by_one: Vec<_> = calls.iter().map(|(key, n)| single.key(key).at(now).try_acquire_n(*n)).collect();
            assert_eq!(out, one_by_one, "{max_keys} keys, round {round}");
            admitted += out.iter().filter(|answer| answer.is_ok()).count();
            denied += out.iter().filter(|answer| answer.is_err()).count();
            let keys: Vec<u64> = calls.iter().map(|&(key, _)| key).collect();
            batched.try_acquire_many(&keys, &mut out);
            let one_by_one: Vec<_> = keys.iter().map(|key| single.key(key).at(now).try_acquire()).collect();
            assert_eq!(out, one_by_one, "{max_keys} keys, round {round}");
        }
        assert_eq!((batched.len(), batched.refusals()), (single.len(), single.refusals()));
    }
    println!("{admitted} admitted, {denied} denied");
    assert!(admitted > 1_000 && denied > 1_000);
}

/// A key whose hash runs other calls, as another thread might at that moment.
struct Meanwhile<'a>(u64, &'a dyn Fn());

impl Hash for Meanwhile<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.1)();
        self.0.hash(state);
    }
}

/// Buckets that are forgotten while a batch runs take nothing from the batch's new keys.
#[test]
fn a_batch_admits_new_keys_whatever_is_forgotten_meanwhile() {
    let quota = Quota::per_second(10).burst(1);
    let limiter = KeyedRateLimiter::<Meanwhile<'_>, _>::with_clock(quota, MockClock::new());
    let nothing = || ();
    let forget = || {
        limiter.clock().advance(Duration::from_millis(5));
        assert!(limiter.retain_recent() <= 1_000);
    };
    let old: Vec<_> = (0..1_000).map(|key| Meanwhile(key, &nothing)).collect();
    assert!(old.iter().all(|key| limiter.allow(key)));
    limiter.clock().set(SECOND);
    // The clock was read for the batch before its keys are hashed.
    let new: Vec<_> = (0..100).map(|nth| Meanwhile(2_000 + nth, if nth == 0 { &forget } else { &nothing })).collect();
    let mut out = Vec::new();
    limiter.try_acquire_many(&new, &mut out);
    assert_eq!(limiter.len(), 100, "the others were forgotten");
    assert_eq!(out.iter().filter(|answer| answer.is_err()).count(), 0);
}

/// A key that is denied by the batch's reading may have been charged at a later one.
#[test]
fn a_batch_denies_no_token_that_is_there() {
    // The word of the second call is of the tick of the batch's reading.
    let quota = Quota::per_second(10).burst(2);
    let limiter = KeyedRateLimiter::<Meanwhile<'_>, _>::with_clock(quota, MockClock::new());
    limiter.clock().set(1_080_000_000);
    let (nothing, later) = (|| (), || limiter.clock().advance(Duration::from_millis(150)));
    let mut out = Vec::new();
    limiter.try_acquire_many(&[Meanwhile(7, &later), Meanwhile(7, &nothing)], &mut out);
    assert!(out.iter().all(Result::is_ok), "{out:?}");
}

#[test]
fn a_builder_says_what_is_wrong_and_what_would_be_right() {
    let quota = Quota::per_minute(5);
    let builder = KeyedRateLimiter::<u64>::builder;
    let text = |builder: KeyedRateLimiterBuilder<u64>| builder.build().unwrap_err().to_string();
    let cases = [
        (text(builder()), ["quota", "Quota::per_second(100)"]),
        (text(builder().quota(quota).max_keys(0)), ["max_keys is 0", "one key at least"]),
        (text(builder().quota(quota).max_keys((1 << 31) + 1)), ["max_keys is 2147483649", "at most 2147483648"]),
        (
            text(builder().quota(quota).max_keys((u64::MAX) as usize)),
            ["max_keys is 18446744073709551615", "at most 2147483648"],
        ),
        (text(builder().quota(quota).max_bytes(0)), ["max_bytes is 0", "at least"]),
        (text(builder().quota(quota).max_bytes(1_000)), ["max_bytes is 1000", "at least"]),
    ];
    for (text, parts) in cases {
        assert!(parts.iter().all(|part| text.contains(part)), "{text} without {parts:?}");
    }
    // The size that the error names is sufficient.
    let least = text(builder().quota(quota).max_bytes(1_000));
    let least: u64 =
        least.split_whitespace().find_map(|word| word.parse().ok().filter(|&bytes| bytes > 1_000)).unwrap();
    assert!(builder().quota(quota).max_bytes(least as usize).build().unwrap().allow(&1));
    assert!(builder().quota(quota).max_bytes((least - 1) as usize).build().is_err());
}

/// A size that does not fit into memory works or is an error, and never ends the process.
#[test]
fn a_table_too_large_for_the_machine_is_an_error() {
    for max_keys in [1 << 29, 1 << 31, 1 << 35, 1 << 60] {
        match KeyedRateLimiter::<u64>::builder().quota(Quota::per_minute(5)).max_keys(max_keys).build() {
            Ok(limiter) => assert!(limiter.allow(&1) && limiter.memory_usage() < 1 << 20, "{limiter:?}"),
            Err(error) => {
                let text = error.to_string();
                println!("{max_keys}: {text}");
                assert!(text.contains("bytes") || text.contains(&max_keys.to_string()), "{text}");
                assert!(text.contains("max_keys"), "{text}");
            }
        }
    }
}

#[test]
fn it_is_shared_by_threads_whatever_the_keys() {
    fn shared<T: Send + Sync>() {}
    // The limiter does not keep its keys, so the keys need not be `Send`.
    shared::<KeyedRateLimiter<std::rc::Rc<str>>>();
    shared::<KeyedRateLimiter<str>>();
    shared::<Reservation<'_>>();
    shared::<OwnedReservation>();
}

#[test]
fn the_end_of_time_fails_closed() {
    let limiter = limiter(Quota::per_day(1));
    assert!(limiter.key(&1).at(LAST).allow());
    for now in [LAST, LAST + 1, 1 << 61, u64::MAX] {
        assert!(!limiter.key(&1).at(now).allow(), "at {now}");
        assert_eq!(limiter.key(&1).at(now).time_until(1), None);
        assert_eq!(limiter.key(&1).at(now).try_acquire().unwrap_err().retry_after(), None);
    }
    // Keys come and go as usual, as far as the time permits.
    let limiter = keyed(Quota::per_second(100).burst(5), 8).hasher(Places::Anywhere).build().unwrap();
    let mut admitted = 0;
    for nth in 0..1_000 {
        admitted += u64::from(limiter.key(&nth).at(LAST - 5 * SECOND + nth * SECOND / 200).allow());
    }
    assert!(admitted >= 900, "{admitted}");
    assert!(limiter.len() <= 8);
}

/// No time and no cost panics, in any state of a table.
#[test]
fn no_time_and_no_cost_panics() {
    const TIMES: [u64; 12] =
        [0, 1, SECOND, LAST - 1, LAST, 1 << 59, 1 << 60, 1 << 61, (1 << 61) + 1, 1 << 63, u64::MAX - 1, u64::MAX];
    let slow = Quota::new(1, Duration::from_secs(10_000 * 366 * 86_400));
    let quotas = [
        Quota::per_second(1_000_000_000),
        Quota::per_second(1_000_000_000).burst(1),
        Quota::per_second(1).burst(u32::MAX).max_debt(u32::MAX),
        slow,
        slow.burst(u32::MAX).initial(0),
        Quota::per_minute(7).initial(1).max_debt(0),
        Quota::try_from_rate(3.2e-12, 1e-6).unwrap(),
        Quota::new(u64::MAX, Duration::MAX),
    ];
    let costs = [Tokens::ZERO, tokens("0.000000000001"), Tokens::ONE, Tokens::new(u32::MAX), Tokens::MAX];
    for (quota, places) in quotas.into_iter().flat_map(|quota| [(quota, Places::Anywhere), (quota, Places::Same)]) {
        let mut random = Random::new(3);
        let limiter = keyed(quota, 20).hasher(places).build().unwrap();
        for step in 0..6_000 {
            let now = if step < 3_000 { TIMES[random.below(12) as usize] } else { random.next() >> random.below(64) };
            let (key, cost) = (random.below(60), costs[random.below(5) as usize]);
            let _ =
                limiter.key(&key).at(now).try_acquire_n(cost).map_err(|error| (error.to_string(), error.retry_after()));
            let decision = limiter.key(&key).at(now).decide(cost);
            let _ = (
                decision.remaining(),
                decision.retry_after(),
                decision.reset_after(),
                limiter.key(&key).at(now).peek(),
            );
            let _ = limiter.key(&key).at(now).time_until(cost);
            assert!(limiter.key(&key).at(now).balance() <= quota.capacity().as_f64() * (1.0 + 1e-15));
            if let Ok(reservation) = limiter.key(&key).at(now).try_reserve_n(cost) {
                let _ = reservation.at(u64::MAX - now).commit(Tokens::MAX);
            }
            assert!(limiter.key(&key).at(now).add_tokens(cost) <= cost);
            match random.below(64) {
                0 => {
                    limiter.clock().set(now);
                    limiter.retain_recent();
                }
                1 => limiter.clear(),
                2..=9 => limiter.key(&key).at(now).reset(),
                10..=13 => drop(limiter.remove(&key)),
                _ => {}
            }
            assert!(limiter.len() <= 20 && !format!("{limiter:?}{decision:?}").is_empty());
        }
    }
    // A hasher that panics leaves the limiter unchanged.
    struct Panics;
    impl std::hash::BuildHasher for Panics {
        type Hasher = std::collections::hash_map::DefaultHasher;
        fn build_hasher(&self) -> Self::Hasher {
            panic!("a hasher panics")
        }
    }
    let limiter = keyed(Quota::per_second(1), 4).hasher(Panics).build().unwrap();
    assert!(catch_unwind(std::panic::AssertUnwindSafe(|| limiter.key(&1).at(0).allow())).is_err());
    assert!(limiter.is_empty());
}

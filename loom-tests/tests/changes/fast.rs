//! Calls after the first change, which begin with one attempt of their own (`take_changed`), against a change, a move
//! and each other.

use std::time::Duration;

use brimful::{Quota, QuotaChange, RateLimiter};
use brimful_loom_tests::{Key, T, key, quota};

use super::keys::{A, NEW, P, Table, crowded};
use super::{Lone, NoTimer, OrderedClock, STEP, TICK, explore, glacial, lone};

/// A token in 8 T.
fn slow() -> Quota {
    Quota::new(1, Duration::from_nanos(8 * T)).burst(2)
}

/// A limiter whose quota has changed, with two tokens.
fn changed() -> Lone {
    let limiter = lone(quota(3), 0);
    limiter.set_quota(quota(2)).unwrap();
    limiter
}

/// Each of two takers is charged.
///
/// Seen red: a failed swap of the attempt counts as done.
#[test]
fn two_takers() {
    explore(
        changed,
        [|limiter: &Lone| assert!(limiter.allow()), |limiter: &Lone| assert!(limiter.allow())],
        |limiter: &Lone| assert_eq!(limiter.at(4 * T).balance(), 0.0),
        None,
    );
}

/// A call that reads a time from after a change is decided by the new quota: an empty bucket earns half a token by
/// the new quota, and a whole one by the old one.
///
/// Seen red: the attempt copies the piece before it loads the word and reads the clock.
#[test]
fn a_reading_is_never_later_than_its_terms() {
    explore(
        || {
            let clock = OrderedClock::new(4 * T, 0);
            let builder = RateLimiter::builder().quota(quota(3)).clock(clock).timer(|| NoTimer).max_waiters(8);
            let limiter = builder.build().expect("a limiter");
            limiter.set_quota(quota(2)).unwrap();
            assert!(limiter.try_acquire_n(2).is_ok());
            limiter
        },
        [
            |limiter: &RateLimiter<OrderedClock>| {
                limiter.set_quota(slow()).unwrap();
                limiter.clock().set(8 * T);
            },
            |limiter: &RateLimiter<OrderedClock>| assert!(!limiter.allow()),
        ],
        |limiter: &RateLimiter<OrderedClock>| assert_eq!(limiter.at(8 * T).balance(), 0.5),
        Some(2),
    );
}

/// A newcomer displaces the key that is hit. Each is charged once, and no other.
///
/// Seen red: a failed swap of the attempt counts as done.
#[test]
fn a_hit_against_a_move() {
    explore(
        || {
            let table = crowded();
            table.set_quota(quota(3)).unwrap();
            table
        },
        [
            |table: &Table| assert!(table.try_acquire_n(&NEW, 2).is_ok()),
            |table: &Table| assert!(table.try_acquire(&A).is_ok()),
        ],
        |table: &Table| {
            let left = [A, P, NEW].map(|key| table.key(&key).at(4 * T).balance());
            assert_eq!(left, [2.0, 3.0, 1.0]);
        },
        Some(3),
    );
}

/// A newcomer displaces the key that is hit, and empties its own bucket. The fingerprints are so alike that its word
/// would be a word of the key's.
///
/// Seen red: the attempt does not look whether the key is still in its slot.
#[test]
fn a_hit_against_a_newcomer_that_is_like_the_key() {
    /// Has A's name, and another second line.
    const LIKE_A: Key = key(1, 0, 0);
    explore(
        || {
            let table = crowded();
            table.set_quota(quota(3)).unwrap();
            table
        },
        [
            |table: &Table| assert!(table.try_acquire_n(&LIKE_A, 3).is_ok()),
            |table: &Table| assert!(table.try_acquire(&A).is_ok()),
        ],
        |table: &Table| assert_eq!(table.key(&A).at(4 * T).balance(), 2.0),
        Some(2),
    );
}

/// A call by the last piece reads the clock just before or after a tick, with which an era begins. Its charge is
/// scaled or is not, once.
///
/// Seen red: the change reads its start before it has ended the last era.
#[test]
fn an_era_begins_during_a_call() {
    explore(
        || {
            let builder = RateLimiter::builder().quota(glacial(4)).clock(OrderedClock::new(0, STEP));
            let limiter = builder.timer(|| NoTimer).max_waiters(8).build().expect("a limiter");
            limiter.set_quota(glacial(3)).unwrap();
            // Two readings are before the tick, and the next is after it.
            limiter.clock().set(TICK - STEP / 2 - STEP);
            limiter
        },
        [
            |limiter: &RateLimiter<OrderedClock>| limiter.set_quota(QuotaChange::proportional(glacial(1))).unwrap(),
            |limiter: &RateLimiter<OrderedClock>| assert!(limiter.allow()),
        ],
        |limiter: &RateLimiter<OrderedClock>| {
            // 3 − 1, of three one; 1 − 1.
            let left = limiter.at(TICK + 8 * STEP).balance();
            assert!((left - 2.0 / 3.0).abs() < 1e-6 || left.abs() < 1e-6, "{left}");
        },
        Some(2),
    );
}

/// A third era begins while a key of the first one is hit. The hit counts before or after that.
///
/// Seen red: the attempt takes a word of an older era as it is; a word is carried over also from its own era; the log
/// of eras is published after the piece.
#[test]
fn an_era_begins_during_a_hit_of_an_older_one() {
    explore(
        || {
            let table = crowded();
            table.set_quota(QuotaChange::proportional(quota(2))).unwrap();
            table
        },
        [
            |table: &Table| table.set_quota(QuotaChange::proportional(quota(1))).unwrap(),
            |table: &Table| _ = table.allow(&A),
        ],
        |table: &Table| {
            // 3 halved, less one, halved; 3 halved twice, which is not enough for the hit.
            let left = table.key(&A).at(4 * T).balance();
            assert!([0.25, 0.75].contains(&left), "{left}");
            assert_eq!(table.key(&P).at(4 * T).balance(), 0.75);
        },
        Some(1),
    );
}

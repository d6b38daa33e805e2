//! `set_quota` against a key that moves, and against one that comes.

use std::sync::Arc;

use brimful::{KeyedRateLimiter, OnFull, QuotaChange};
use brimful_loom_tests::{IdentityState, Key, T, key, quota};
use loom::thread;

use super::{NoTimer, OrderedClock, STEP, SharedClock, TICK, explore, glacial, run};

/// Can be displaced to its second group.
pub(super) const A: Key = key(1, 0, 2);
/// Cannot be displaced.
pub(super) const P: Key = key(2, 0, 0);
pub(super) const NEW: Key = key(3, 0, 0);

pub(super) type Table = KeyedRateLimiter<Key, SharedClock, IdentityState>;

/// Group 0 is full, and group 1 is empty. A has three of four tokens.
pub(super) fn crowded() -> Table {
    let builder = KeyedRateLimiter::<Key>::builder().quota(quota(4)).max_keys(3).on_full(OnFull::Deny);
    let builder = builder.clock(SharedClock::new(0)).hasher(IdentityState).timer(|| NoTimer);
    let table = builder.build().expect("a table");
    assert!(table.allow(&A) && table.allow(&P));
    table
}

/// The key is charged while its table changes the quota. Each charge is scaled or is not, once.
///
/// Seen red: no leap at the start of an era.
#[test]
fn a_proportional_change_against_hits() {
    explore(
        crowded,
        [
            |table: &Table| table.set_quota(QuotaChange::proportional(quota(2))).unwrap(),
            |table: &Table| {
                assert!(table.allow(&A));
            },
        ],
        |table: &Table| {
            // 3 − 1 halved; 3 halved − 1.
            let left = table.key(&A).at(4 * T).balance();
            assert!(left == 1.0 || left == 0.5, "{left}");
            assert_eq!(table.key(&P).at(4 * T).balance(), 1.5);
        },
        Some(3),
    );
}

/// A hit that begins after the change has the new quota.
///
/// Seen red: a hit does not look whether the quota has changed.
#[test]
fn a_later_hit_has_the_new_quota() {
    explore(
        crowded,
        [
            |table: &Table| {
                table.set_quota(quota(1)).unwrap();
                assert!(table.try_acquire_n(&A, 2).is_err());
            },
            |table: &Table| _ = table.allow(&A),
        ],
        |table: &Table| assert!(table.try_acquire_n(&P, 2).is_err()),
        Some(3),
    );
}

/// The burst is raised while a key is hit. Buckets that were clipped at the lower burst hold no more after.
///
/// Seen red: no era begins.
#[test]
fn a_higher_burst_against_hits() {
    explore(
        || {
            let table = crowded();
            table.set_quota(quota(2)).unwrap();
            table
        },
        [|table: &Table| table.set_quota(quota(4)).unwrap(), |table: &Table| assert!(table.allow(&A))],
        |table: &Table| {
            assert_eq!(table.key(&A).at(4 * T).balance(), 1.0);
            assert_eq!(table.key(&P).at(4 * T).balance(), 2.0);
        },
        Some(1),
    );
}

/// A newcomer displaces the key while the quota changes.
#[test]
fn a_proportional_change_against_a_move() {
    explore(
        crowded,
        [
            |table: &Table| table.set_quota(QuotaChange::proportional(quota(2))).unwrap(),
            |table: &Table| {
                assert!(table.allow(&NEW));
                assert!(table.allow(&A));
            },
        ],
        |table: &Table| {
            let left = table.key(&A).at(4 * T).balance();
            assert!(left == 1.0 || left == 0.5, "{left}");
            let left = table.key(&NEW).at(4 * T).balance();
            assert!(left == 1.5 || left == 1.0, "{left}");
        },
        Some(2),
    );
}

/// All keys are reset, whatever is charged meanwhile.
#[test]
fn a_reset_against_a_move() {
    explore(
        || {
            let table = crowded();
            assert!(table.try_acquire_n(&A, 3).is_ok());
            table
        },
        [|table: &Table| table.set_quota(QuotaChange::reset(quota(2))).unwrap(), |table: &Table| _ = table.allow(&NEW)],
        |table: &Table| {
            assert_eq!(table.key(&A).at(4 * T).balance(), 2.0);
            assert_eq!(table.key(&P).at(4 * T).balance(), 2.0);
        },
        Some(2),
    );
}

/// A sweep has copied the terms of a small burst when another thread raises the burst and charges the bucket. The
/// charge is not forgotten, although the bucket looks full under those terms.
///
/// Seen red: a sweep does not look whether its terms are current.
#[test]
fn a_reset_against_a_sweep() {
    run(None, || {
        // Near the end of a tick, so that limiter time leaps by little: the next era begins with a tick.
        let clock = SharedClock::at(1024 * T - T / 512, 1);
        let table = KeyedRateLimiter::<Key>::builder().quota(quota(8)).max_keys(1).on_full(OnFull::Deny);
        let table = table.clock(clock).hasher(IdentityState).timer(|| NoTimer);
        let table = Arc::new(table.build().expect("a table"));
        table.set_quota(quota(1)).unwrap();
        assert!(table.allow(&A));
        let sweep = table.sweep_later();
        let other = {
            let table = table.clone();
            thread::spawn(move || {
                table.set_quota(QuotaChange::reset(quota(8))).unwrap();
                assert!(table.try_acquire_n(&A, 4).is_ok());
            })
        };
        sweep();
        other.join().expect("the thread does not panic");
        assert!(table.try_acquire_n(&A, 5).is_err());
    });
}

/// A new key comes while the quota changes for the first time. Its charge is scaled or is not, once. A clock of loom's
/// orders the threads, as a clock that never runs backwards does.
///
/// Seen red: the short way for a new key reads the clock after it has looked whether the quota has changed.
#[test]
fn a_first_change_against_a_newcomer() {
    run(None, || {
        // The first three readings are before the tick, and the next is after it.
        let clock = OrderedClock::new(TICK - STEP / 2 - 2 * STEP, STEP);
        let table = KeyedRateLimiter::<Key>::builder().quota(glacial(4));
        let table = table.max_keys(3).on_full(OnFull::Deny).clock(clock).hasher(IdentityState).timer(|| NoTimer);
        let table = Arc::new(table.build().expect("a table"));
        let other = {
            let table = table.clone();
            thread::spawn(move || table.set_quota(QuotaChange::proportional(glacial(2))).unwrap())
        };
        assert!(table.allow(&NEW));
        other.join().expect("the thread does not panic");
        // 4 − 1 halved; 4 halved − 1.
        let left = table.key(&NEW).at(TICK + 8 * STEP).balance();
        assert!((left - 1.5).abs() < 1e-6 || (left - 1.0).abs() < 1e-6, "{left}");
    });
}

/// Changes by two threads are made one after the other.
#[test]
fn two_threads_change() {
    explore(
        crowded,
        [
            |table: &Table| table.set_quota(QuotaChange::proportional(quota(2))).unwrap(),
            |table: &Table| table.set_quota(QuotaChange::reset(quota(3))).unwrap(),
        ],
        |table: &Table| {
            let (burst, left) = (table.quota().capacity().whole(), table.key(&P).at(4 * T).balance());
            // The reset came last, or its full buckets were scaled.
            assert!(matches!(burst, 2 | 3) && left == f64::from(burst), "{burst} {left}");
        },
        Some(2),
    );
}

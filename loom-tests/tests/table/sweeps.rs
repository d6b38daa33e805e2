//! Buckets are forgotten because they have been full for long, while they are hit.

use brimful::OnFull::Deny;
use brimful_loom_tests::{Actor, Hand, Key, Model, T, Table, key, quota};

const A: Key = key(1, 0, 0);
const B: Key = key(2, 0, 0);
const STAYS: Key = key(9, 0, 0);

/// Full at 2 T, and for 10 s.
const IDLE: u64 = 2 * T + 10_000_000_000;

fn full_for_long(actor: &Actor<Table>) {
    assert!(actor.on(STAYS).take_at(100 * T, 1));
    assert!(actor.on(A).take_at(T, 1));
}

/// A newcomer has the slot of a bucket that has been full for 10 s, unless it is hit first.
#[test]
fn idle_against_a_hit() {
    Model::table(quota(2), 3, Deny)
        .forgettable(&[A, B])
        .setup(full_for_long)
        .thread(Hand::Calls(&[IDLE]), |actor| _ = actor.on(B).take(1))
        .thread(Hand::Calls(&[IDLE]), |actor| _ = actor.on(A).take(2))
        .explore(&["+|+"]);
}

/// By a reading from before the 10 s, a bucket that was forgotten has no more than it had.
#[test]
fn idle_against_a_stale_hit() {
    Model::table(quota(1), 3, Deny)
        .forgettable(&[A, B])
        .setup(full_for_long)
        .thread(Hand::Calls(&[IDLE]), |actor| _ = actor.on(B).take(1))
        .thread(Hand::Calls(&[T + T / 2]), |actor| _ = actor.on(A).take(1))
        .explore(&["+|-"]);
}

/// The table sweeps before it doubles, and so does not double.
#[test]
fn sweep_ahead_against_a_hit() {
    Model::table(quota(2), 3, Deny)
        .forgettable(&[A, B])
        .setup(|actor| assert!(actor.on(A).take_at(T, 1)))
        .thread(Hand::Calls(&[IDLE]), |actor| _ = actor.on(B).take(1))
        .thread(Hand::Calls(&[IDLE]), |actor| _ = actor.on(A).take(2))
        .preemptions(3)
        .explore(&["+|+"]);
}

/// All full buckets are forgotten, while one is hit.
#[test]
fn sweep_against_hits() {
    Model::table(quota(2), 3, Deny)
        .forgettable(&[A])
        .setup(|actor| assert!(actor.on(A).take_at(T, 1)))
        .thread(Hand::Calls(&[4 * T]), |actor| actor.sweep())
        .thread(Hand::Calls(&[4 * T, 4 * T]), |actor| {
            actor.on(A).take(1);
            actor.on(A).take(2);
        })
        .explore(&["s|+-"]);
}

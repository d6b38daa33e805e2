//! Buckets are removed after they have been full for a long time, while other calls hit them.

use brimful::OnFull::Deny;
use brimful_loom_tests::{Actor, Key, Model, Readings, T, Table, key, quota};

const A: Key = key(1, 0, 0);
const B: Key = key(2, 0, 0);
const STAYS: Key = key(9, 0, 0);

/// The bucket is full at 2 T, and has then been full for 10 s.
const IDLE: u64 = 2 * T + 10_000_000_000;

fn full_for_long(actor: &Actor<Table>) {
    assert!(actor.on(STAYS).take_at(100 * T, 1));
    assert!(actor.on(A).take_at(T, 1));
}

/// A newcomer gets the slot of a bucket that has been full for 10 s, unless the bucket is hit
/// first.
#[test]
fn idle_against_a_hit() {
    Model::table(quota(2), 3, Deny)
        .forgettable(&[A, B])
        .setup(full_for_long)
        .thread(Readings::Calls(&[IDLE]), |actor| _ = actor.on(B).take(1))
        .thread(Readings::Calls(&[IDLE]), |actor| _ = actor.on(A).take(2))
        .explore(&["+|+"]);
}

/// At a reading from before the 10 s, a removed bucket has no more than it had.
#[test]
fn idle_against_a_stale_hit() {
    Model::table(quota(1), 3, Deny)
        .forgettable(&[A, B])
        .setup(full_for_long)
        .thread(Readings::Calls(&[IDLE]), |actor| _ = actor.on(B).take(1))
        .thread(Readings::Calls(&[T + T / 2]), |actor| _ = actor.on(A).take(1))
        .explore(&["+|-"]);
}

/// The table sweeps before it doubles, and then does not have to double.
#[test]
fn sweep_ahead_against_a_hit() {
    Model::table(quota(2), 3, Deny)
        .forgettable(&[A, B])
        .setup(|actor| assert!(actor.on(A).take_at(T, 1)))
        .thread(Readings::Calls(&[IDLE]), |actor| _ = actor.on(B).take(1))
        .thread(Readings::Calls(&[IDLE]), |actor| _ = actor.on(A).take(2))
        .preemptions(3)
        .explore(&["+|+"]);
}

/// All full buckets are removed, while one of them is hit.
#[test]
fn sweep_against_hits() {
    Model::table(quota(2), 3, Deny)
        .forgettable(&[A])
        .setup(|actor| assert!(actor.on(A).take_at(T, 1)))
        .thread(Readings::Calls(&[4 * T]), |actor| actor.sweep())
        .thread(Readings::Calls(&[4 * T, 4 * T]), |actor| {
            actor.on(A).take(1);
            actor.on(A).take(2);
        })
        .explore(&["s|+-"]);
}

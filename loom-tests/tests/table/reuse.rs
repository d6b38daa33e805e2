//! A slot whose bucket is full is given to another key, while a call for the old key is under way.

use brimful::OnFull::Deny;
use brimful_loom_tests::{Actor, Key, Model, Readings, T, Table, key, quota};

const A: Key = key(1, 0, 0);
const B: Key = key(2, 0, 0);
const C: Key = key(3, 0, 0);
/// Keeps the other slot for a long time.
const STAYS: Key = key(9, 0, 0);

/// Group 0 is full, with a bucket that took `n` tokens at `at`.
fn old(actor: &Actor<Table>, at: u64, n: u32) {
    assert!(actor.on(STAYS).take_at(100 * T, 1));
    assert!(actor.on(A).take_at(at, n));
}

/// The hit's swap fails, or the newcomer's claim does. A hit that must search again reads a time at
/// which the bucket is empty.
#[test]
fn hit_against_reuse() {
    Model::table_that_forgets(quota(2), 3, Deny, 0)
        .forgettable(&[A])
        .setup(|actor| old(actor, T, 1))
        .thread(Readings::Script(&[&[4 * T, T, T]]), |actor| _ = actor.on(A).take(1))
        .thread(Readings::Calls(&[4 * T]), |actor| _ = actor.on(B).take(1))
        .explore(&["+|+", "-|+"]);
}

/// The same, and the newcomer is hit as soon as it is there.
#[test]
fn hits_on_both_tenants() {
    Model::table_that_forgets(quota(2), 3, Deny, 0)
        .forgettable(&[A])
        .setup(|actor| old(actor, T, 1))
        .thread(Readings::Calls(&[4 * T]), |actor| _ = actor.on(A).take(2))
        .thread(Readings::Calls(&[4 * T, 4 * T]), |actor| {
            actor.on(B).take(1);
            actor.on(B).take(1);
        })
        .preemptions(3)
        .explore(&["+|++"]);
}

/// The third tenant arrives while the call for the first is still under way. If the third came at a
/// later reading, the first starts from the floor of that reading, at which it has nothing yet.
#[test]
fn three_tenants() {
    Model::table_that_forgets(quota(2), 3, Deny, 0)
        .forgettable(&[A, B])
        .setup(|actor| old(actor, T, 1))
        .thread(Readings::Calls(&[4 * T]), |actor| _ = actor.on(A).take(1))
        .thread(Readings::Calls(&[4 * T]), |actor| _ = actor.on(B).take(1))
        .thread(Readings::Calls(&[8 * T]), |actor| _ = actor.on(C).take(1))
        .preemptions(1)
        .explore(&["+|+|+", "+|-|+", "-|+|+", "-|-|+"]);
}

/// One token is earned within the tick. The newcomer's bucket, filled again, would be the old one
/// bit for bit, and the call for the old key would be charged to it.
#[test]
fn newcomer_in_the_same_tick() {
    Model::table_that_forgets(quota(7), 3, Deny, 0)
        .forgettable(&[A])
        .setup(|actor| old(actor, 4 * T, 1))
        .thread(Readings::Calls(&[5 * T]), |actor| _ = actor.on(A).take(1))
        .thread(Readings::Calls(&[5 * T, 5 * T]), |actor| {
            actor.on(B).take(1);
            actor.on(B).reset();
        })
        .explore(&["+|+r"]);
}

/// At a reading from before it was removed, the old key has at most what it would have had.
#[test]
fn stale_reading_of_an_empty_bucket() {
    Model::table_that_forgets(quota(1), 3, Deny, 0)
        .forgettable(&[A])
        .setup(|actor| old(actor, T, 1))
        .thread(Readings::Calls(&[T + T / 2]), |actor| _ = actor.on(A).take(1))
        .thread(Readings::Calls(&[2 * T]), |actor| _ = actor.on(B).take(1))
        .explore(&["-|+"]);
}

/// It does not have less either.
#[test]
fn stale_readings_of_what_is_left() {
    Model::table_that_forgets(quota(2), 3, Deny, 0)
        .forgettable(&[A])
        .setup(|actor| old(actor, T, 2))
        .thread(Readings::Calls(&[2 * T + T / 2, 2 * T + T / 2]), |actor| {
            actor.on(A).take(2);
            actor.on(A).take(1);
        })
        .thread(Readings::Calls(&[3 * T]), |actor| _ = actor.on(B).take(1))
        .explore(&["-+|+"]);
}

/// The same on a clock that advances at every reading, and that is a token behind for one thread.
#[test]
fn forgotten_while_time_passes() {
    Model::table_that_forgets(quota(1), 3, Deny, 0)
        .forgettable(&[A])
        .setup(|actor| old(actor, 3 * T, 1))
        .thread(Readings::Shared { step: T / 2, skew: -(T as i64) }, |actor| {
            actor.on(A).take(1);
            actor.on(A).take(1);
        })
        .thread(Readings::Shared { step: T / 2, skew: 0 }, |actor| _ = actor.on(B).take(1))
        .preemptions(3)
        .explore(&["+-|+", "-+|+", "--|+"]);
}

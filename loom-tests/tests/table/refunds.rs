//! Tokens are given back, charged late or reset, while the bucket moves or its slot is reused.

use brimful::OnFull::Deny;
use brimful_loom_tests::{Actor, Key, Model, Readings, T, Table, key, quota};
use loom::sync::atomic::Ordering::Relaxed;

/// Can be displaced.
const A: Key = key(1, 0, 2);
/// Cannot be displaced.
const P: Key = key(2, 0, 0);
const NEW: Key = key(3, 0, 0);
/// Keeps its slot for a long time.
const STAYS: Key = key(9, 0, 0);

const NOW: Readings = Readings::Calls(&[4 * T, 4 * T]);

#[test]
fn added_against_a_take() {
    Model::table(quota(3), 3, Deny)
        .setup(|actor| assert!(actor.on(A).take_at(4 * T, 2)))
        .thread(NOW, |actor| actor.on(A).add(1))
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .preemptions(3)
        .explore(&["a1|+"]);
}

#[test]
fn reset_against_takes() {
    Model::table(quota(2), 3, Deny)
        .setup(|actor| assert!(actor.on(A).take_at(4 * T, 1)))
        .thread(NOW, |actor| actor.on(A).reset())
        .thread(NOW, |actor| {
            actor.on(A).take(1);
            actor.on(A).take(1);
        })
        .preemptions(3)
        .explore(&["r|++", "r|+-"]);
}

/// Group 0 is full, and a newcomer displaces the key to group 1.
fn crowded(actor: &Actor<Table>) {
    assert!(actor.on(A).take_at(4 * T, 2));
    assert!(actor.on(P).take_at(4 * T, 1));
}

#[test]
fn added_against_a_move() {
    Model::table(quota(2), 3, Deny)
        .setup(crowded)
        .thread(NOW, |actor| _ = actor.on(NEW).take(1))
        .thread(NOW, |actor| actor.on(A).add(1))
        .explore(&["+|a1"]);
}

/// A thread that is admitted with given-back tokens sees everything that was done before they were
/// given back, even if the bucket has moved in between.
#[test]
fn given_back_happens_before_admitted_elsewhere() {
    Model::table(quota(2), 3, Deny)
        .setup(crowded)
        .thread(NOW, |actor| {
            actor.mailbox.store(1, Relaxed);
            actor.on(A).add(1);
        })
        .thread(NOW, |actor| {
            actor.on(NEW).take(1);
            if actor.on(A).take(1) {
                assert_eq!(actor.mailbox.load(Relaxed), 1);
            }
        })
        .preemptions(3)
        .explore(&["a1|++", "a1|+-"]);
}

#[test]
fn added_and_taken_against_a_move() {
    Model::table(quota(2), 3, Deny)
        .setup(crowded)
        .thread(NOW, |actor| _ = actor.on(NEW).take(1))
        .thread(NOW, |actor| actor.on(A).add(1))
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .preemptions(1)
        .explore(&["+|a1|+", "+|a1|-"]);
}

#[test]
fn reset_against_a_move() {
    Model::table(quota(2), 3, Deny)
        .setup(crowded)
        .thread(NOW, |actor| _ = actor.on(NEW).take(1))
        .thread(NOW, |actor| actor.on(A).reset())
        .thread(NOW, |actor| _ = actor.on(A).take(2))
        .preemptions(1)
        .explore(&["+|r|+", "+|r|-"]);
}

#[test]
fn commit_of_more_against_a_move() {
    Model::table(quota(4), 3, Deny)
        .setup(crowded)
        .thread(NOW, |actor| _ = actor.on(NEW).take(1))
        .thread(NOW, |actor| {
            let actor = actor.on(A);
            if let Some(reservation) = actor.reserve(1) {
                actor.commit(reservation, 2);
            }
        })
        .preemptions(3)
        .explore(&["+|+d0"]);
}

/// Group 0 is full, with a bucket that may be full at a newcomer's reading.
fn old(actor: &Actor<Table>, n: u32) {
    assert!(actor.on(STAYS).take_at(100 * T, 1));
    assert!(actor.on(A).take_at(T, n));
}

/// The tokens are given back at a reading at which the bucket was not yet full, after the bucket
/// was removed as full. They do not go to the newcomer.
#[test]
fn added_against_reuse() {
    Model::table_that_forgets(quota(2), 3, Deny, 0)
        .forgettable(&[A])
        .setup(|actor| old(actor, 2))
        .thread(Readings::Calls(&[2 * T]), |actor| actor.on(A).add(1))
        .thread(Readings::Calls(&[3 * T]), |actor| _ = actor.on(NEW).take(1))
        .explore(&["a1|+"]);
}

#[test]
fn cancel_against_reuse() {
    Model::table_that_forgets(quota(2), 3, Deny, 0)
        .forgettable(&[A])
        .setup(|actor| old(actor, 1))
        .thread(Readings::Calls(&[4 * T, 4 * T]), |actor| {
            let actor = actor.on(A);
            if let Some(reservation) = actor.reserve(1) {
                actor.cancel(reservation);
            }
        })
        .thread(Readings::Calls(&[8 * T]), |actor| _ = actor.on(NEW).take(1))
        .explore(&["+g|+", "-|+"]);
}

/// A late charge is not charged to the newcomer either.
#[test]
fn commit_of_more_against_reuse() {
    Model::table_that_forgets(quota(2), 3, Deny, 0)
        .forgettable(&[A])
        .setup(|actor| old(actor, 1))
        .thread(Readings::Calls(&[4 * T, 8 * T]), |actor| {
            let actor = actor.on(A);
            if let Some(reservation) = actor.reserve(1) {
                actor.commit(reservation, 3);
            }
        })
        .thread(Readings::Calls(&[8 * T]), |actor| _ = actor.on(NEW).take(1))
        .explore(&["+d0|+", "-|+"]);
}

#[test]
fn reset_against_reuse() {
    Model::table_that_forgets(quota(2), 3, Deny, 0)
        .forgettable(&[A])
        .setup(|actor| old(actor, 2))
        .thread(Readings::Calls(&[2 * T]), |actor| actor.on(A).reset())
        .thread(Readings::Calls(&[3 * T]), |actor| _ = actor.on(NEW).take(1))
        .explore(&["r|+"]);
}

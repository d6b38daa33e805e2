//! Tokens that are given back, charged late or filled up, while the bucket is elsewhere.

use brimful::OnFull::Deny;
use brimful_loom_tests::{Actor, Hand, Key, Model, T, Table, key, quota};
use loom::sync::atomic::Ordering::Relaxed;

/// Can be moved.
const A: Key = key(1, 0, 2);
/// Cannot.
const P: Key = key(2, 0, 0);
const NEW: Key = key(3, 0, 0);
/// Keeps its slot for long.
const STAYS: Key = key(9, 0, 0);

const NOW: Hand = Hand::Calls(&[4 * T, 4 * T]);

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

/// Set 0 is full, and a newcomer moves the key to set 1.
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

/// A thread that is admitted with given-back tokens sees what was done before they were given
/// back, also if the bucket has moved in between.
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

/// Set 0 is full, with a bucket that a newcomer may find full.
fn old(actor: &Actor<Table>, n: u32) {
    assert!(actor.on(STAYS).take_at(100 * T, 1));
    assert!(actor.on(A).take_at(T, n));
}

/// What is given back by a reading at which the bucket was not yet full, after it was forgotten as
/// full: it is not the newcomer's.
#[test]
fn added_against_reuse() {
    Model::table_that_forgets(quota(2), 3, Deny, 0)
        .forgettable(&[A])
        .setup(|actor| old(actor, 2))
        .thread(Hand::Calls(&[2 * T]), |actor| actor.on(A).add(1))
        .thread(Hand::Calls(&[3 * T]), |actor| _ = actor.on(NEW).take(1))
        .explore(&["a1|+"]);
}

#[test]
fn cancel_against_reuse() {
    Model::table_that_forgets(quota(2), 3, Deny, 0)
        .forgettable(&[A])
        .setup(|actor| old(actor, 1))
        .thread(Hand::Calls(&[4 * T, 4 * T]), |actor| {
            let actor = actor.on(A);
            if let Some(reservation) = actor.reserve(1) {
                actor.cancel(reservation);
            }
        })
        .thread(Hand::Calls(&[8 * T]), |actor| _ = actor.on(NEW).take(1))
        .explore(&["+g|+", "-|+"]);
}

/// A debt that is charged late is not the newcomer's either.
#[test]
fn commit_of_more_against_reuse() {
    Model::table_that_forgets(quota(2), 3, Deny, 0)
        .forgettable(&[A])
        .setup(|actor| old(actor, 1))
        .thread(Hand::Calls(&[4 * T, 8 * T]), |actor| {
            let actor = actor.on(A);
            if let Some(reservation) = actor.reserve(1) {
                actor.commit(reservation, 3);
            }
        })
        .thread(Hand::Calls(&[8 * T]), |actor| _ = actor.on(NEW).take(1))
        .explore(&["+d0|+", "-|+"]);
}

#[test]
fn reset_against_reuse() {
    Model::table_that_forgets(quota(2), 3, Deny, 0)
        .forgettable(&[A])
        .setup(|actor| old(actor, 2))
        .thread(Hand::Calls(&[2 * T]), |actor| actor.on(A).reset())
        .thread(Hand::Calls(&[3 * T]), |actor| _ = actor.on(NEW).take(1))
        .explore(&["r|+"]);
}

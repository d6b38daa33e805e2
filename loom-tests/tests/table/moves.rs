//! A key is moved to its other home for a newcomer, and back by a hit, while it is hit.

use brimful::OnFull::Deny;
use brimful_loom_tests::{Actor, Hand, Key, Model, T, Table, key, quota};

/// Can be moved.
const A: Key = key(1, 0, 2);
/// Cannot.
const P: Key = key(2, 0, 0);
const NEW: Key = key(3, 0, 0);

const NOW: Hand = Hand::Calls(&[4 * T, 4 * T, 4 * T]);

/// Set 0 is full, and set 1 empty.
fn crowded(actor: &Actor<Table>) {
    assert!(actor.on(A).take_at(4 * T, 1));
    assert!(actor.on(P).take_at(4 * T, 1));
}

/// Where a hit has to look again, it reads a time at which it has nothing.
#[test]
fn hits_against_a_move() {
    Model::table(quota(3), 3, Deny)
        .setup(crowded)
        .thread(NOW, |actor| _ = actor.on(NEW).take(1))
        .thread(Hand::Script(&[&[4 * T, 2 * T, 2 * T, 2 * T], &[4 * T, 4 * T, 4 * T]]), |actor| {
            actor.on(A).take(1);
            actor.on(A).take(1);
        })
        .preemptions(3)
        .explore(&["+|++", "+|-+"]);
}

/// Two hits that race for the last tokens, one by the newcomer's thread.
#[test]
fn two_hits_against_a_move() {
    Model::table(quota(3), 3, Deny)
        .setup(crowded)
        .thread(NOW, |actor| {
            actor.on(NEW).take(1);
            actor.on(A).take(2);
        })
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .preemptions(3)
        .explore(&["++|-", "+-|+"]);
}

/// It is in its second home, and there is room in the first.
fn away(actor: &Actor<Table>) {
    crowded(actor);
    assert!(actor.on(NEW).take_at(4 * T, 1));
    actor.on(NEW).remove();
}

#[test]
fn hits_against_a_move_back() {
    Model::table(quota(4), 3, Deny)
        .setup(away)
        .thread(NOW, |actor| {
            actor.on(A).take(1);
            actor.on(A).take(1);
        })
        .thread(NOW, |actor| {
            actor.on(A).take(1);
            actor.on(A).take(1);
        })
        .preemptions(3)
        .explore(&["++|+-", "+-|++"]);
}

/// It is moved back by a hit, and away again by a newcomer.
#[test]
fn there_and_back() {
    Model::table(quota(4), 3, Deny)
        .setup(away)
        .thread(NOW, |actor| {
            actor.on(A).take(1);
            actor.on(A).take(1);
        })
        .thread(NOW, |actor| {
            actor.on(NEW).take(1);
            actor.on(A).take(2);
        })
        .preemptions(3)
        .explore(&["++|+-", "+-|++"]);
}

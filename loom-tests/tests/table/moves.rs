//! A key is moved to its other home for a newcomer, and back by a hit, while it is hit.

use brimful::OnFull::Deny;
use brimful_loom_tests::{Actor, Hand, Key, Model, T, Table, key, quota};

/// Can be moved.
const A: Key = key(1, 0, 1);
/// Cannot.
const P: Key = key(2, 0, 0);
const NEW: Key = key(3, 0, 0);
const OTHER: Key = key(4, 0, 1);

const NOW: Hand = Hand::Calls(&[4 * T, 4 * T, 4 * T]);

/// Set 0 is full, and set 1 empty.
fn crowded(actor: &Actor<Table>) {
    assert!(actor.on(A).take_at(4 * T, 1));
    assert!(actor.on(P).take_at(4 * T, 1));
}

/// Where a hit has to look again, it reads a time at which it has nothing.
#[test]
fn hits_against_a_move() {
    Model::table(quota(3), 7, Deny)
        .setup(crowded)
        .thread(NOW, |actor| _ = actor.on(NEW).take(1))
        .thread(Hand::Script(&[&[4 * T, 2 * T, 2 * T, 2 * T], &[4 * T, 4 * T, 4 * T]]), |actor| {
            actor.on(A).take(1);
            actor.on(A).take(1);
        })
        .explore(&["+|++", "+|-+"]);
}

/// Two hits that race for the last tokens.
#[test]
fn two_hits_against_a_move() {
    Model::table(quota(3), 7, Deny)
        .setup(crowded)
        .thread(NOW, |actor| _ = actor.on(NEW).take(1))
        .thread(NOW, |actor| _ = actor.on(A).take(2))
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .preemptions(2)
        .explore(&["+|+|-", "+|-|+"]);
}

/// It is in its second home, and there is room in the first.
fn away(actor: &Actor<Table>) {
    crowded(actor);
    assert!(actor.on(NEW).take_at(4 * T, 1));
    actor.on(NEW).remove();
}

#[test]
fn hits_against_a_move_back() {
    Model::table(quota(4), 7, Deny)
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
    Model::table(quota(4), 7, Deny)
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

/// The newcomer, and who moves it back, are not those who hit it meanwhile.
#[test]
fn a_hit_while_it_goes_there_and_back() {
    Model::table(quota(4), 7, Deny)
        .setup(away)
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .thread(NOW, |actor| _ = actor.on(NEW).take(1))
        .thread(NOW, |actor| _ = actor.on(A).take(3))
        .preemptions(2)
        .explore(&["+|+|-", "-|+|+"]);
}

/// One newcomer moves it, another comes to the set that it is moved to.
#[test]
fn insert_move_and_hit() {
    Model::table(quota(3), 7, Deny)
        .setup(crowded)
        .thread(NOW, |actor| _ = actor.on(NEW).take(1))
        .thread(NOW, |actor| _ = actor.on(OTHER).take(1))
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .preemptions(2)
        .explore(&["+|+|+"]);
}

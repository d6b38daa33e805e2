//! A newcomer displaces a key to its second group, and a hit moves it back, while other calls hit
//! it.

use brimful::OnFull::Deny;
use brimful_loom_tests::{Actor, Key, Model, Readings, T, Table, key, quota};

/// Can be displaced.
const A: Key = key(1, 0, 2);
/// Cannot be displaced.
const P: Key = key(2, 0, 0);
const NEW: Key = key(3, 0, 0);

const NOW: Readings = Readings::Calls(&[4 * T, 4 * T, 4 * T]);

/// Group 0 is full, and group 1 is empty.
fn crowded(actor: &Actor<Table>) {
    assert!(actor.on(A).take_at(4 * T, 1));
    assert!(actor.on(P).take_at(4 * T, 1));
}

/// A hit that must search again reads a time at which the bucket is empty.
#[test]
fn hits_against_a_move() {
    Model::table(quota(3), 3, Deny)
        .setup(crowded)
        .thread(NOW, |actor| _ = actor.on(NEW).take(1))
        .thread(Readings::Script(&[&[4 * T, 2 * T, 2 * T, 2 * T], &[4 * T, 4 * T, 4 * T]]), |actor| {
            actor.on(A).take(1);
            actor.on(A).take(1);
        })
        .preemptions(3)
        .explore(&["+|++", "+|-+"]);
}

/// Two hits compete for the last tokens, one by the newcomer's thread.
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

/// The key is in its second group, and there is room in the first.
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

/// A hit moves the key back, and a newcomer displaces it again.
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

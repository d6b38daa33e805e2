//! Keys that found no slot are kept in the overflow, and move to a slot as soon as one is vacant.

use brimful::OnFull::Deny;
use brimful_loom_tests::{Actor, Key, Model, Readings, T, Table, key, quota};

const P: Key = key(1, 0, 0);
const Q: Key = key(2, 0, 0);
/// Finds no slot.
const APART: Key = key(3, 0, 0);

const NOW: Readings = Readings::Calls(&[4 * T, 4 * T]);

fn three_in_a_set(actor: &Actor<Table>) {
    for name in [P, Q, APART] {
        assert!(actor.on(name).take_at(4 * T, 1));
    }
}

#[test]
fn two_takers_apart() {
    Model::table(quota(2), 3, Deny)
        .setup(three_in_a_set)
        .thread(NOW, |actor| _ = actor.on(APART).take(1))
        .thread(NOW, |actor| _ = actor.on(APART).take(1))
        .explore(&["+|-", "-|+"]);
}

/// The key moves to the slot of a key that was removed.
#[test]
fn takers_against_a_removal() {
    Model::table(quota(3), 3, Deny)
        .setup(three_in_a_set)
        .thread(NOW, |actor| actor.on(P).remove())
        .thread(NOW, |actor| {
            actor.on(APART).take(1);
            actor.on(APART).take(1);
        })
        .thread(NOW, |actor| _ = actor.on(APART).take(1))
        .preemptions(1)
        .explore(&["x|++|-", "x|+-|+"]);
}

/// A newcomer that finds no slot goes to the overflow too.
#[test]
fn newcomer_against_a_removal() {
    Model::table(quota(2), 3, Deny)
        .setup(|actor| {
            assert!(actor.on(P).take_at(4 * T, 1));
            assert!(actor.on(Q).take_at(4 * T, 1));
        })
        .thread(NOW, |actor| _ = actor.on(APART).take(1))
        .thread(NOW, |actor| _ = actor.on(APART).take(2))
        .thread(NOW, |actor| actor.on(P).remove())
        .preemptions(1)
        .explore(&["+|-|x", "-|+|x"]);
}

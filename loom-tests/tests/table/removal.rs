//! Callers remove keys.

use brimful::OnFull::Deny;
use brimful_loom_tests::{Key, Model, Readings, T, key, quota};

const A: Key = key(1, 0, 0);
const B: Key = key(2, 0, 0);
const C: Key = key(3, 0, 0);

const NOW: Readings = Readings::Calls(&[4 * T, 4 * T]);

/// A charge before the removal is forgiven, a charge after it is not.
#[test]
fn remove_against_hits() {
    Model::table(quota(2), 3, Deny)
        .setup(|actor| assert!(actor.on(A).take_at(4 * T, 1)))
        .thread(NOW, |actor| actor.on(A).remove())
        .thread(NOW, |actor| {
            actor.on(A).take(1);
            actor.on(A).take(1);
        })
        .explore(&["x|++", "x|+-"]);
}

/// Except for its tick, the newcomer's bucket would be the old one, bit for bit.
#[test]
fn remove_against_hit_and_insert() {
    Model::table(quota(2), 3, Deny)
        .setup(|actor| assert!(actor.on(A).take_at(4 * T, 1)))
        .thread(Readings::Calls(&[4 * T, 4 * T]), |actor| {
            actor.on(A).remove();
            actor.on(B).take(1);
        })
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .preemptions(3)
        .explore(&["x+|+"]);
}

#[test]
fn remove_hit_and_insert_at_once() {
    Model::table(quota(2), 3, Deny)
        .setup(|actor| assert!(actor.on(A).take_at(4 * T, 1)))
        .thread(NOW, |actor| actor.on(A).remove())
        .thread(NOW, |actor| _ = actor.on(B).take(1))
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .preemptions(1)
        .explore(&["x|+|+"]);
}

#[test]
fn two_removes() {
    Model::table(quota(2), 3, Deny)
        .setup(|actor| assert!(actor.on(A).take_at(4 * T, 1)))
        .thread(NOW, |actor| actor.on(A).remove())
        .thread(NOW, |actor| actor.on(A).remove())
        .thread(NOW, |actor| _ = actor.on(A).take(2))
        .preemptions(1)
        .explore(&["o|x|+", "o|x|-", "x|o|+", "x|o|-", "x|x|+"]);
}

#[test]
fn clear_against_hits() {
    Model::table(quota(2), 3, Deny)
        .setup(|actor| {
            assert!(actor.on(A).take_at(4 * T, 1));
            assert!(actor.on(B).take_at(4 * T, 2));
        })
        .thread(NOW, |actor| actor.clear())
        .thread(NOW, |actor| {
            actor.on(A).take(1);
            actor.on(B).take(1);
        })
        .explore(&["c|++", "c|+-"]);
}

/// The new key is kept or removed, as a whole.
#[test]
fn clear_against_an_insert() {
    Model::table(quota(2), 3, Deny)
        .setup(|actor| assert!(actor.on(A).take_at(4 * T, 1)))
        .thread(NOW, |actor| actor.clear())
        .thread(NOW, |actor| {
            actor.on(B).take(1);
            actor.on(B).take(1);
        })
        .explore(&["c|++"]);
}

/// `clear` also discards the floor. At an earlier reading, the forgotten bucket was not full.
#[test]
fn clear_forgives_what_was_forgotten() {
    Model::table_that_forgets(quota(2), 3, Deny, 0)
        .forgettable(&[A, C])
        .setup(|actor| {
            assert!(actor.on(key(9, 0, 0)).take_at(100 * T, 1));
            assert!(actor.on(A).take_at(T, 1));
            assert!(actor.on(B).take_at(4 * T, 1));
        })
        .thread(NOW, |actor| actor.clear())
        .thread(Readings::Calls(&[2 * T]), |actor| _ = actor.on(C).take(1))
        .explore(&["c|+", "c|-"]);
}

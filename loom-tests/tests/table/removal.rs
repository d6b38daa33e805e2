//! Keys are forgotten because somebody says so.

use brimful::OnFull::Deny;
use brimful_loom_tests::{Hand, Key, Model, T, key, quota};

const A: Key = key(1, 0, 0);
const B: Key = key(2, 0, 0);
const C: Key = key(3, 0, 0);

const NOW: Hand = Hand::Calls(&[4 * T, 4 * T]);

/// What is taken before it is forgiven, what after is not.
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

/// The newcomer's bucket would be the old one's to the bit, but for its tick.
#[test]
fn remove_against_hit_and_insert() {
    Model::table(quota(2), 3, Deny)
        .setup(|actor| assert!(actor.on(A).take_at(4 * T, 1)))
        .thread(Hand::Calls(&[4 * T, 4 * T]), |actor| {
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

/// It may stay, but not half.
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

/// What was forgotten as full is forgiven too: by an earlier reading it was not.
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
        .thread(Hand::Calls(&[2 * T]), |actor| _ = actor.on(C).take(1))
        .explore(&["c|+", "c|-"]);
}

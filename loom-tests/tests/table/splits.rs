//! A group is split, and its keys move to a new group.

use brimful::OnFull::Deny;
use brimful_loom_tests::{Key, Model, Readings, T, key, quota};

/// Moves in the first split.
const A: Key = key(1, 2, 2);
const B: Key = key(2, 0, 0);
const C: Key = key(3, 2, 2);
const STAYS: Key = key(9, 0, 0);

const NOW: Readings = Readings::Calls(&[4 * T, 4 * T]);

/// A hit that must search again reads a time at which the bucket is empty.
#[test]
fn split_against_hits() {
    Model::table(quota(3), 3, Deny)
        .setup(|actor| assert!(actor.on(A).take_at(4 * T, 1)))
        .thread(NOW, |actor| _ = actor.on(B).take(1))
        .thread(Readings::Script(&[&[4 * T, 2 * T, 2 * T, 2 * T], &[4 * T, 4 * T, 4 * T]]), |actor| {
            actor.on(A).take(1);
            actor.on(A).take(1);
        })
        .preemptions(3)
        .explore(&["+|++", "+|-+"]);
}

/// The inserted key belongs in the new group, if that exists by then.
#[test]
fn split_against_inserts_of_one_key() {
    Model::table(quota(1), 3, Deny)
        .setup(|actor| assert!(actor.on(STAYS).take_at(4 * T, 1)))
        .thread(NOW, |actor| _ = actor.on(B).take(1))
        .thread(NOW, |actor| {
            actor.on(A).take(1);
            actor.on(A).take(1);
        })
        .preemptions(3)
        .explore(&["+|+-"]);
}

#[test]
fn split_against_hit_and_insert() {
    Model::table(quota(2), 3, Deny)
        .setup(|actor| assert!(actor.on(A).take_at(4 * T, 1)))
        .thread(NOW, |actor| _ = actor.on(B).take(1))
        .thread(NOW, |actor| {
            actor.on(C).take(1);
            actor.on(A).take(1);
        })
        .preemptions(3)
        .explore(&["+|++"]);
}

/// One newcomer makes two groups become four.
#[test]
fn two_splits_in_a_row() {
    const SECOND: Key = key(4, 6, 6);
    const FIRST: Key = key(5, 4, 4);
    Model::table(quota(2), 4, Deny)
        .setup(|actor| {
            assert!(actor.on(FIRST).take_at(4 * T, 1));
            assert!(actor.on(SECOND).take_at(4 * T, 1));
            assert!(actor.on(A).take_at(4 * T, 1));
        })
        .thread(NOW, |actor| _ = actor.on(B).take(1))
        .thread(NOW, |actor| {
            actor.on(FIRST).take(1);
            actor.on(SECOND).take(1);
        })
        .preemptions(1)
        .explore(&["+|++"]);
}

/// A group is split, but no tenant moves. A newcomer that searched with the old number of groups
/// must not use a slot that no longer belongs to its key. One key is in the overflow, so that slot
/// is vacant while the table is crowded.
#[test]
fn split_of_nothing_against_an_insert() {
    const A: Key = key(1, 6, 6);
    const B: Key = key(2, 2, 2);
    Model::table(quota(1), 5, Deny)
        .setup(|actor| {
            for name in 5..=7 {
                assert!(actor.on(key(name, 0, 0)).take_at(4 * T, 1));
            }
        })
        .thread(NOW, |actor| _ = actor.on(B).take(1))
        .thread(NOW, |actor| {
            actor.on(A).take(1);
            actor.on(A).take(1);
        })
        .preemptions(2)
        .explore(&["+|+-"]);
}

/// The number of groups doubles twice within one call.
#[test]
fn two_doublings_against_a_hit() {
    const A: Key = key(1, 6, 6);
    const D: Key = key(4, 4, 4);
    Model::table(quota(2), 4, Deny)
        .setup(|actor| assert!(actor.on(A).take_at(4 * T, 1)))
        .thread(Readings::Calls(&[4 * T; 3]), |actor| {
            actor.on(B).take(1);
            actor.on(STAYS).take(1);
            actor.on(D).take(1);
        })
        .thread(NOW, |actor| {
            actor.on(A).take(1);
            actor.on(A).take(1);
        })
        .preemptions(1)
        .explore(&["+++|+-"]);
}

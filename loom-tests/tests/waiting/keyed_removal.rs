//! A key that is waited on is forgotten because somebody says so.

use brimful::OnFull::Deny;
use brimful_loom_tests::{Actor, Key, Model, T, Table, key, quota};

use super::{BLIND, LATER, NOW, TWO};

const A: Key = key(1, 0, 0);

fn a_taken(actor: &Actor<Table>) {
    assert!(actor.on(A).take_at(4 * T, 1));
}

fn a_waits(actor: &Actor<Table>) {
    a_taken(actor);
    actor.on(A).enter_and_park(TWO);
}

/// Who waits is told, or comes to a key that starts full.
#[test]
fn remove_against_an_arrival() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(a_taken)
        .thread(NOW, |actor| actor.on(A).enter_and_park(TWO))
        .thread(NOW, |actor| actor.on(A).remove())
        .explore(&["+|x", "w|x|n"]);
}

/// They were served before, or never are.
#[test]
fn remove_against_a_grant() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(a_waits)
        .thread(NOW, |actor| actor.on(A).remove())
        .thread(BLIND, |actor| actor.fire())
        .explore(&["x||+", "x||n"]);
}

/// The queue that was forgotten does not bring its word home, nor the next one's.
#[test]
fn last_leaves_against_a_remove_and_an_arrival() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(a_waits)
        .thread(NOW, |actor| actor.on(A).leave(actor.claim(0)))
        .thread(NOW, |actor| {
            actor.on(A).remove();
            actor.on(A).take(1);
            actor.on(A).enter_and_park(TWO);
        })
        .explore(&["l|x+w|+"]);
}

/// What was granted before is forgiven, and given back to nobody.
#[test]
fn granted_leaves_against_a_remove() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(|actor| {
            a_waits(actor);
            actor.fire();
        })
        .thread(LATER, |actor| actor.on(A).leave(actor.claim(0)))
        .thread(NOW, |actor| {
            actor.on(A).remove();
            actor.on(A).take(2);
        })
        .explore(&["l|x+"]);
}

#[test]
fn clear_against_an_arrival() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(a_taken)
        .thread(NOW, |actor| actor.on(A).enter_and_park(TWO))
        .thread(NOW, |actor| actor.clear())
        .explore(&["+|c", "w|c|n"]);
}

/// Who is told that the key is forgotten looks at it at once.
#[test]
fn forgotten_and_woken_to_look() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(a_taken)
        .thread(NOW, |actor| actor.on(A).enter_and_park(TWO.eager()))
        .thread(NOW, |actor| actor.on(A).remove())
        .explore(&["+|x", "w|x|n"]);
}

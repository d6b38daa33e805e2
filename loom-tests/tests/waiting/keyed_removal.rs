//! A caller removes a key that other callers wait on.

use brimful::OnFull::Deny;
use brimful_loom_tests::{Actor, Key, Model, T, Table, key, quota};

use super::{LATER, NO_CLOCK, NOW, TWO};

const A: Key = key(1, 0, 0);

fn a_taken(actor: &Actor<Table>) {
    assert!(actor.on(A).take_at(4 * T, 1));
}

fn a_waits(actor: &Actor<Table>) {
    a_taken(actor);
    actor.on(A).enter_and_park(TWO);
}

/// The waiter fails with `KeyRemoved`, or it arrives at a key that starts full.
#[test]
fn remove_against_an_arrival() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(a_taken)
        .thread(NOW, |actor| actor.on(A).enter_and_park(TWO))
        .thread(NOW, |actor| actor.on(A).remove())
        .explore(&["+|x", "w|x|n"]);
}

/// The waiter was served before the removal, or is not served.
#[test]
fn remove_against_a_grant() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(a_waits)
        .thread(NOW, |actor| actor.on(A).remove())
        .thread(NO_CLOCK, |actor| actor.fire())
        .explore(&["x||+", "x||n"]);
}

/// The queue of the removed key hands back neither its own word nor that of the next queue.
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

/// The tokens that were granted before the removal are forgiven, and are not given back.
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

/// The waker of a waiter that fails with `KeyRemoved` reads the key at once.
#[test]
fn forgotten_and_woken_to_look() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(a_taken)
        .thread(NOW, |actor| actor.on(A).enter_and_park(TWO.peeking()))
        .thread(NOW, |actor| actor.on(A).remove())
        .explore(&["+|x", "w|x|n"]);
}

//! Callers wait on a key: the queue has its word, its slot is vacant, and other calls come to it.

use brimful::OnFull::Deny;
use brimful_loom_tests::{Actor, Key, Model, Readings, T, Table, WaitRequest, key, quota};

use super::{LATER, NO_CLOCK, NOW, ONE, TWO, long};

const A: Key = key(1, 0, 0);
const B: Key = key(2, 0, 0);
/// Keeps the other slot for a long time.
const STAYS: Key = key(9, 0, 0);
/// Can be displaced.
const MOVES: Key = key(3, 0, 2);

/// Group 0 is full, and A has one token of two.
fn crowded(actor: &Actor<Table>) {
    assert!(actor.on(STAYS).take_at(100 * T, 1));
    assert!(actor.on(A).take_at(4 * T, 1));
}

/// The same, and a caller waits on A.
fn a_waits(actor: &Actor<Table>) {
    crowded(actor);
    actor.on(A).enter_and_park(TWO);
}

/// The hit's swap fails, or the claim of the caller that joins the queue fails.
#[test]
fn arrival_against_hits() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(crowded)
        .thread(NOW, |actor| actor.on(A).enter_and_park(TWO))
        .thread(NOW, |actor| {
            actor.on(A).take(1);
            actor.on(A).take(1);
        })
        .explore(&["w|+-|+", "w|--|+"]);
}

/// A newcomer gets the slot of the waited-on key while that key is still hit.
#[test]
fn lent_against_reuse() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(crowded)
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .thread(Readings::Calls(&[4 * T, 100 * T]), |actor| {
            actor.on(A).enter_and_park(TWO);
            actor.on(B).take(1);
        })
        .preemptions(3)
        .explore(&["+|w+|+", "-|w+|+"]);
}

/// A newcomer displaces the key while the word is handed over.
#[test]
fn lent_against_a_move() {
    Model::waited_on_table(quota(3), 3, Deny)
        .setup(|actor| {
            assert!(actor.on(STAYS).take_at(100 * T, 1));
            assert!(actor.on(MOVES).take_at(4 * T, 1));
        })
        .thread(NOW, |actor| actor.on(MOVES).enter_and_park(WaitRequest::of(3)))
        .thread(NOW, |actor| _ = actor.on(B).take(3))
        .explore(&["w|+|+"]);
}

#[test]
fn lent_against_a_move_and_a_hit() {
    Model::waited_on_table(quota(3), 3, Deny)
        .setup(|actor| {
            assert!(actor.on(STAYS).take_at(100 * T, 1));
            assert!(actor.on(MOVES).take_at(4 * T, 1));
        })
        .thread(NOW, |actor| actor.on(MOVES).enter_and_park(WaitRequest::of(3)))
        .thread(NOW, |actor| _ = actor.on(B).take(3))
        .thread(NOW, |actor| _ = actor.on(MOVES).take(1))
        .preemptions(if long() { 2 } else { 1 })
        .explore(&["w|+|+|+", "w|+|-|+"]);
}

/// The word is handed back by the cancelled wait or by a hit.
#[test]
fn last_leaves_against_hits() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(a_waits)
        .thread(NOW, |actor| actor.on(A).leave(actor.claim(0)))
        .thread(NOW, |actor| {
            actor.on(A).take(1);
            actor.on(A).take(1);
        })
        .explore(&["l|+-", "l|-+", "l|--"]);
}

/// The word is handed over again while it is handed back.
#[test]
fn last_leaves_against_an_arrival() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(a_waits)
        .thread(NOW, |actor| actor.on(A).leave(actor.claim(0)))
        .thread(NOW, |actor| actor.on(A).enter_and_park(TWO))
        .explore(&["l|w|+"]);
}

/// The word is handed back while a newcomer takes the slot that the key had.
#[test]
fn home_against_an_insert() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(a_waits)
        .thread(NOW, |actor| actor.on(A).leave(actor.claim(0)))
        .thread(NOW, |actor| _ = actor.on(B).take(1))
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .preemptions(2)
        .explore(&["l|+|+", "l|+|-"]);
}

/// The key keeps its place among the keys of the table, so a newcomer gets none.
#[test]
fn home_against_an_insert_into_a_full_table() {
    Model::waited_on_table(quota(2), 2, Deny)
        .setup(a_waits)
        .thread(NOW, |actor| actor.on(A).leave(actor.claim(0)))
        .thread(NOW, |actor| _ = actor.on(B).take(1))
        .explore(&["l|f"]);
}

#[test]
fn arrival_against_a_grant() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(a_waits)
        .thread(NO_CLOCK, |actor| actor.fire())
        .thread(NOW, |actor| actor.on(A).enter_and_park(ONE))
        .explore(&["|w|++"]);
}

/// The timer is late, so the caller that joins serves the first waiter, whose waker reads the
/// bucket at once.
#[test]
fn arrival_against_a_grant_of_one_who_looks() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(|actor| {
            crowded(actor);
            actor.on(A).enter_and_park(TWO.peeking());
        })
        .thread(NO_CLOCK, |actor| actor.fire())
        .thread(LATER, |actor| actor.on(A).enter_and_park(ONE))
        .preemptions(2)
        .explore(&["|w|++"]);
}

/// The granted tokens are given back to the key, wherever its word is.
#[test]
fn cancel_against_its_grant() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(a_waits)
        .thread(LATER, |actor| actor.on(A).leave(actor.claim(0)))
        .thread(NO_CLOCK, |actor| actor.fire())
        .explore(&["l|"]);
}

#[test]
fn added_against_an_arrival() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(crowded)
        .thread(NOW, |actor| actor.on(A).enter_and_park(TWO))
        .thread(NOW, |actor| actor.on(A).add(1))
        .explore(&["+|a1", "w|a1|+"]);
}

#[test]
fn reset_against_an_arrival() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(crowded)
        .thread(NOW, |actor| actor.on(A).enter_and_park(TWO))
        .thread(NOW, |actor| actor.on(A).reset())
        .explore(&["+|r", "w|r|+"]);
}

/// Two keys with two queues.
#[test]
fn two_keys() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(|actor| {
            a_waits(actor);
            assert!(actor.on(B).take_at(4 * T, 1));
        })
        .thread(NOW, |actor| actor.on(A).leave(actor.claim(0)))
        .thread(NOW, |actor| actor.on(B).enter_and_park(TWO))
        .explore(&["l|w|+"]);
}

/// A and B are empty.
fn two_are_empty(actor: &Actor<Table>) {
    assert!(actor.on(A).take_at(4 * T, 2));
    assert!(actor.on(B).take_at(4 * T, 2));
}

/// The same, and a caller waits on A.
fn a_waits_beside_b(actor: &Actor<Table>) {
    two_are_empty(actor);
    actor.on(A).enter_and_park(TWO);
}

/// Both queues arm the one shared timer.
#[test]
fn arrivals_on_two_keys() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(|actor| {
            a_waits_beside_b(actor);
            // The timer exists, but is not armed for any waiter.
            actor.on(A).leave(actor.claim(0));
        })
        .thread(NOW, |actor| actor.on(A).enter_and_park(TWO))
        .thread(NOW, |actor| actor.on(B).enter_and_park(ONE))
        .explore(&["w|w|++"]);
}

/// The same while a caller waits on a third key. All are due at the same instant.
#[test]
fn arrivals_beside_another_key() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(|actor| {
            two_are_empty(actor);
            assert!(actor.on(STAYS).take_at(4 * T, 2));
            actor.on(A).enter_and_park(ONE);
        })
        .thread(NOW, |actor| actor.on(B).enter_and_park(ONE))
        .thread(NOW, |actor| actor.on(STAYS).enter_and_park(ONE))
        .explore(&["w|w|+++"]);
}

/// B's queue arms the timer while it fires for A's.
#[test]
fn arrival_against_the_grant_of_another_key() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(|actor| {
            two_are_empty(actor);
            actor.on(A).enter_and_park(ONE);
        })
        .thread(NO_CLOCK, |actor| actor.fire())
        .thread(NOW, |actor| actor.on(B).enter_and_park(TWO))
        .explore(&["|w|++"]);
}

/// The same, if A's next waiter also arms the timer, for later than B's.
#[test]
fn arrival_against_one_of_two_grants_of_another_key() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(|actor| {
            two_are_empty(actor);
            actor.on(A).enter_and_park(ONE);
            actor.on(A).enter_and_park(TWO);
        })
        .thread(NO_CLOCK, |actor| actor.fire())
        .thread(NOW, |actor| actor.on(B).enter_and_park(TWO))
        .explore(&["|w|+++"]);
}

/// A's queue ends while the timer fires for both.
#[test]
fn last_leaves_against_a_grant_of_two_keys() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(|actor| {
            a_waits_beside_b(actor);
            actor.on(B).enter_and_park(TWO);
        })
        .thread(NOW, |actor| actor.on(A).leave(actor.claim(0)))
        .thread(NO_CLOCK, |actor| actor.fire())
        .explore(&["l||+"]);
}

/// The second waiter is due earlier than the first was.
#[test]
fn first_leaves_against_an_arrival() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(|actor| {
            assert!(actor.on(A).take_at(4 * T, 2));
            actor.on(A).enter_and_park(TWO);
            actor.on(A).enter_and_park(ONE);
        })
        .thread(NOW, |actor| actor.on(A).leave(actor.claim(0)))
        .thread(NOW, |actor| actor.on(A).enter_and_park(ONE))
        .explore(&["l|w|++"]);
}

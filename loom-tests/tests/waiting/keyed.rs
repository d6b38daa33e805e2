//! A key is waited on: its word is lent, its slot vacant, and others come to it.

use brimful::OnFull::Deny;
use brimful_loom_tests::{Actor, Ask, Hand, Key, Model, T, Table, key, quota};

use super::{BLIND, LATER, NOW, ONE, TWO, long};

const A: Key = key(1, 0, 0);
const B: Key = key(2, 0, 0);
/// Keeps the other slot for long.
const STAYS: Key = key(9, 0, 0);
/// Can be moved.
const MOVES: Key = key(3, 0, 2);

/// The set is full, and A has one of two.
fn crowded(actor: &Actor<Table>) {
    assert!(actor.on(STAYS).take_at(100 * T, 1));
    assert!(actor.on(A).take_at(4 * T, 1));
}

/// The same, and A is waited on.
fn a_waits(actor: &Actor<Table>) {
    crowded(actor);
    actor.on(A).enter_and_park(TWO);
}

/// The hit's swap fails, or the lender's claim does.
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

/// A newcomer gets the lent key's slot while that is still hit.
#[test]
fn lent_against_reuse() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(crowded)
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .thread(Hand::Calls(&[4 * T, 100 * T]), |actor| {
            actor.on(A).enter_and_park(TWO);
            actor.on(B).take(1);
        })
        .preemptions(3)
        .explore(&["+|w+|+", "-|w+|+"]);
}

/// It is moved for a newcomer while it is lent.
#[test]
fn lent_against_a_move() {
    Model::waited_on_table(quota(3), 3, Deny)
        .setup(|actor| {
            assert!(actor.on(STAYS).take_at(100 * T, 1));
            assert!(actor.on(MOVES).take_at(4 * T, 1));
        })
        .thread(NOW, |actor| actor.on(MOVES).enter_and_park(Ask::of(3)))
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
        .thread(NOW, |actor| actor.on(MOVES).enter_and_park(Ask::of(3)))
        .thread(NOW, |actor| _ = actor.on(B).take(3))
        .thread(NOW, |actor| _ = actor.on(MOVES).take(1))
        .preemptions(if long() { 2 } else { 1 })
        .explore(&["w|+|+|+", "w|+|-|+"]);
}

/// The word comes home, or a hit brings it.
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

/// It is lent again while it comes home.
#[test]
fn last_leaves_against_an_arrival() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(a_waits)
        .thread(NOW, |actor| actor.on(A).leave(actor.claim(0)))
        .thread(NOW, |actor| actor.on(A).enter_and_park(TWO))
        .explore(&["l|w|+"]);
}

/// It comes home while a newcomer takes what was its slot.
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

/// It keeps its place among the keys: there is none for another.
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
        .thread(BLIND, |actor| actor.fire())
        .thread(NOW, |actor| actor.on(A).enter_and_park(ONE))
        .explore(&["|w|++"]);
}

/// The timer is late, and who comes serves the first, who looks at the key at once.
#[test]
fn arrival_against_a_grant_of_one_who_looks() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(|actor| {
            crowded(actor);
            actor.on(A).enter_and_park(TWO.eager());
        })
        .thread(BLIND, |actor| actor.fire())
        .thread(LATER, |actor| actor.on(A).enter_and_park(ONE))
        .preemptions(2)
        .explore(&["|w|++"]);
}

/// What was granted is given back to the key, wherever that is.
#[test]
fn cancel_against_its_grant() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(a_waits)
        .thread(LATER, |actor| actor.on(A).leave(actor.claim(0)))
        .thread(BLIND, |actor| actor.fire())
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

/// Two keys and two queues.
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

/// The same, and somebody waits on A.
fn a_waits_beside_b(actor: &Actor<Table>) {
    two_are_empty(actor);
    actor.on(A).enter_and_park(TWO);
}

/// Both arm the one timer.
#[test]
fn arrivals_on_two_keys() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(|actor| {
            a_waits_beside_b(actor);
            // The timer is there, and is not armed for anybody who waits.
            actor.on(A).leave(actor.claim(0));
        })
        .thread(NOW, |actor| actor.on(A).enter_and_park(TWO))
        .thread(NOW, |actor| actor.on(B).enter_and_park(ONE))
        .explore(&["w|w|++"]);
}

/// The same while somebody waits on a third, all for the same instant.
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

/// B arms the timer while it fires for A.
#[test]
fn arrival_against_the_grant_of_another_key() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(|actor| {
            two_are_empty(actor);
            actor.on(A).enter_and_park(ONE);
        })
        .thread(BLIND, |actor| actor.fire())
        .thread(NOW, |actor| actor.on(B).enter_and_park(TWO))
        .explore(&["|w|++"]);
}

/// The same where A's next arms it too, for later than B.
#[test]
fn arrival_against_one_of_two_grants_of_another_key() {
    Model::waited_on_table(quota(2), 3, Deny)
        .setup(|actor| {
            two_are_empty(actor);
            actor.on(A).enter_and_park(ONE);
            actor.on(A).enter_and_park(TWO);
        })
        .thread(BLIND, |actor| actor.fire())
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
        .thread(BLIND, |actor| actor.fire())
        .explore(&["l||+"]);
}

/// The second is due earlier than the first was.
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

//! A timer is the user's, and may panic where it is armed: the look is made again, twice, each time
//! with a new one.

use brimful::OnFull::Deny;
use brimful_loom_tests::{Actor, Key, Model, T, Table, key, quota};

use super::{BLIND, LATER, LATEST, NOW, ONE, TWO, emptied, two_wait};

const A: Key = key(1, 0, 0);
const B: Key = key(2, 0, 0);

/// As it is armed for the first.
#[test]
fn breaks_for_arrivals() {
    Model::waited_on(quota(1))
        .broken_timers(0, 2)
        .setup(emptied::<_, 1>)
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .explore(&["w|w|++"]);
}

/// As it is armed for the second, who goes.
#[test]
fn breaks_for_one_who_leaves() {
    Model::waited_on(quota(1))
        .broken_timers(1, 2)
        .setup(two_wait::<_, 1>)
        .thread(BLIND, |actor| actor.fire())
        .thread(LATER, |actor| actor.leave(actor.claim(1)))
        .explore(&["|l|+"]);
}

/// While one comes, and one goes, be it with what they were granted.
#[test]
fn breaks_while_one_comes_and_one_goes() {
    Model::waited_on(quota(2))
        .broken_timers(1, 2)
        .setup(two_wait::<_, 2>)
        .thread(BLIND, |actor| actor.fire())
        .thread(LATER, |actor| actor.enter_and_park(ONE))
        .thread(LATER, |actor| actor.leave(actor.claim(0)))
        .preemptions(2)
        .explore(&["|w|b|++", "|w|l|++"]);
}

/// Three times: it is left to whoever comes next.
#[test]
fn given_up_until_the_next_calls() {
    Model::waited_on(quota(1))
        .broken_timers(1, 3)
        .setup(|actor| {
            two_wait::<_, 1>(actor);
            actor.fire();
        })
        .thread(LATEST, |actor| actor.enter_and_park(ONE))
        .thread(LATEST, |actor| actor.leave(actor.claim(0)))
        .explore(&["w|b|++"]);
}

/// The same where nobody is due who comes.
#[test]
fn given_up_until_anybody_comes() {
    Model::waited_on(quota(1))
        .broken_timers(1, 3)
        .setup(|actor| {
            two_wait::<_, 1>(actor);
            actor.fire();
        })
        .thread(LATER, |actor| actor.enter_and_park(ONE))
        .thread(BLIND, |actor| actor.poll_and_park(actor.claim(0)))
        .explore(&["w|+|++"]);
}

/// A timer that many keys share.
#[test]
fn shared_breaks_for_another_key() {
    Model::waited_on_table(quota(2), 3, Deny)
        .broken_timers(1, 2)
        .setup(|actor: &Actor<Table>| {
            assert!(actor.on(A).take_at(4 * T, 2));
            assert!(actor.on(B).take_at(4 * T, 2));
            actor.on(A).enter_and_park(ONE);
        })
        .thread(BLIND, |actor| actor.fire())
        .thread(NOW, |actor| actor.on(B).enter_and_park(TWO))
        .explore(&["|w|++"]);
}

/// The same, three times.
#[test]
fn shared_given_up_until_another_key_comes() {
    Model::waited_on_table(quota(2), 3, Deny)
        .broken_timers(1, 3)
        .setup(|actor: &Actor<Table>| {
            assert!(actor.on(A).take_at(4 * T, 2));
            assert!(actor.on(B).take_at(4 * T, 2));
            actor.on(A).enter_and_park(ONE);
            actor.on(A).enter_and_park(ONE);
            actor.fire();
        })
        .thread(NOW, |actor| actor.on(B).enter_and_park(TWO))
        .thread(BLIND, |actor| actor.on(A).poll_and_park(actor.claim(0)))
        .explore(&["w|+|++"]);
}

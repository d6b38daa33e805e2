//! A timer is user code, and may panic when it is armed. The dispatch is then repeated, at most
//! twice, each time with a new timer.

use brimful::OnFull::Deny;
use brimful_loom_tests::{Actor, Key, Model, T, Table, key, quota};

use super::{LATER, LATEST, NO_CLOCK, NOW, ONE, TWO, emptied, two_wait};

const A: Key = key(1, 0, 0);
const B: Key = key(2, 0, 0);

/// The timer panics when it is armed for the first waiter.
#[test]
fn breaks_for_arrivals() {
    Model::waited_on(quota(1))
        .panicking_timers(0, 2)
        .setup(emptied::<_, 1>)
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .explore(&["w|w|++"]);
}

/// The timer panics when it is armed for the second waiter, which is cancelled.
#[test]
fn breaks_for_one_who_leaves() {
    Model::waited_on(quota(1))
        .panicking_timers(1, 2)
        .setup(two_wait::<_, 1>)
        .thread(NO_CLOCK, |actor| actor.fire())
        .thread(LATER, |actor| actor.leave(actor.claim(1)))
        .explore(&["|l|+"]);
}

/// The timer panics while one caller joins, and another cancels a wait that may have been granted.
#[test]
fn breaks_while_one_comes_and_one_goes() {
    Model::waited_on(quota(2))
        .panicking_timers(1, 2)
        .setup(two_wait::<_, 2>)
        .thread(NO_CLOCK, |actor| actor.fire())
        .thread(LATER, |actor| actor.enter_and_park(ONE))
        .thread(LATER, |actor| actor.leave(actor.claim(0)))
        .preemptions(2)
        .explore(&["|w|b|++", "|w|l|++"]);
}

/// The timer panics three times, so the dispatch is left to the next call.
#[test]
fn given_up_until_the_next_calls() {
    Model::waited_on(quota(1))
        .panicking_timers(1, 3)
        .setup(|actor| {
            two_wait::<_, 1>(actor);
            actor.fire();
        })
        .thread(LATEST, |actor| actor.enter_and_park(ONE))
        .thread(LATEST, |actor| actor.leave(actor.claim(0)))
        .explore(&["w|b|++"]);
}

/// The same, if the next call has no waiter that is due.
#[test]
fn given_up_until_anybody_comes() {
    Model::waited_on(quota(1))
        .panicking_timers(1, 3)
        .setup(|actor| {
            two_wait::<_, 1>(actor);
            actor.fire();
        })
        .thread(LATER, |actor| actor.enter_and_park(ONE))
        .thread(NO_CLOCK, |actor| actor.poll_and_park(actor.claim(0)))
        .explore(&["w|+|++"]);
}

/// A timer that many keys share.
#[test]
fn shared_breaks_for_another_key() {
    Model::waited_on_table(quota(2), 3, Deny)
        .panicking_timers(1, 2)
        .setup(|actor: &Actor<Table>| {
            assert!(actor.on(A).take_at(4 * T, 2));
            assert!(actor.on(B).take_at(4 * T, 2));
            actor.on(A).enter_and_park(ONE);
        })
        .thread(NO_CLOCK, |actor| actor.fire())
        .thread(NOW, |actor| actor.on(B).enter_and_park(TWO))
        .explore(&["|w|++"]);
}

/// The same, three times.
#[test]
fn shared_given_up_until_another_key_comes() {
    Model::waited_on_table(quota(2), 3, Deny)
        .panicking_timers(1, 3)
        .setup(|actor: &Actor<Table>| {
            assert!(actor.on(A).take_at(4 * T, 2));
            assert!(actor.on(B).take_at(4 * T, 2));
            actor.on(A).enter_and_park(ONE);
            actor.on(A).enter_and_park(ONE);
            actor.fire();
        })
        .thread(NOW, |actor| actor.on(B).enter_and_park(TWO))
        .thread(NO_CLOCK, |actor| actor.on(A).poll_and_park(actor.claim(0)))
        .explore(&["w|+|++"]);
}

//! Tokens that are given back go to the first waiter at once.

use brimful_loom_tests::{Model, quota};

use super::{LATER, NO_CLOCK, NOW, ONE, emptied, long, one_waits, two_before_one};

#[test]
fn added_against_an_arrival() {
    Model::waited_on(quota(1))
        .setup(emptied::<_, 1>)
        .thread(NOW, |actor| actor.add(1))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .explore(&["a1|+", "a1|w|+"]);
}

#[test]
fn cancel_against_an_arrival() {
    Model::waited_on(quota(1))
        .thread(NOW, |actor| {
            if let Some(reservation) = actor.reserve(1) {
                actor.cancel(reservation);
            }
        })
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .explore(&["+g|+", "+g|w|+", "-|+"]);
}

/// The taker may get them before a caller waits, but not after.
#[test]
fn added_against_an_arrival_and_a_taker() {
    Model::waited_on(quota(1))
        .setup(emptied::<_, 1>)
        .thread(NOW, |actor| actor.add(1))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(NOW, |actor| _ = actor.take(1))
        .preemptions(2)
        .explore(&["a1|+|-", "a1|w|+|+", "a1|w|-|+"]);
}

/// The tokens are too few for the first waiter, but enough for the second.
#[test]
fn added_against_a_cancel_of_the_first() {
    Model::waited_on(quota(2))
        .setup(two_before_one)
        .thread(NOW, |actor| actor.add(1))
        .thread(NOW, |actor| actor.leave(actor.claim(0)))
        .explore(&["a1|l|+"]);
}

/// The waiter that is granted them is cancelled.
#[test]
fn added_against_a_cancel_of_the_last() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(NOW, |actor| actor.add(1))
        .thread(NOW, |actor| actor.leave(actor.claim(0)))
        .explore(&["a1|b", "a1|l"]);
}

/// Two threads give back at once. Each refund alone is too small.
#[test]
fn two_who_add() {
    Model::waited_on(quota(2))
        .setup(two_before_one)
        .thread(NOW, |actor| actor.add(1))
        .thread(NOW, |actor| actor.add(1))
        .explore(&["a1|a1|++"]);
}

#[test]
fn added_against_a_grant() {
    Model::waited_on(quota(2))
        .setup(two_before_one)
        .thread(NOW, |actor| actor.add(1))
        .thread(NO_CLOCK, |actor| actor.fire())
        .explore(&["a1||++"]);
}

/// The first waiter is cancelled, the timer fires, and tokens are given back.
#[test]
fn added_against_a_grant_and_a_cancel() {
    Model::waited_on(quota(2))
        .setup(two_before_one)
        .thread(NOW, |actor| actor.add(1))
        .thread(LATER, |actor| actor.leave(actor.claim(0)))
        .thread(NO_CLOCK, |actor| actor.fire())
        .preemptions(if long() { 3 } else { 2 })
        .explore(&["a1|b||+", "a1|l||+"]);
}

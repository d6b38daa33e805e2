//! A caller joins the queue while others take tokens, join, or are served.

use brimful_loom_tests::{Model, quota};

use super::{LATER, NO_CLOCK, NOW, ONE, TWO, emptied, long, one_waits};

/// The taker's swap fails, or the word is handed over after the taker's swap.
#[test]
fn arrival_against_a_taker() {
    Model::waited_on(quota(1))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(NOW, |actor| _ = actor.take(1))
        .explore(&["+|-", "w|+|+"]);
}

/// At its later reading the taker finds a token, but only if no waiter comes first.
#[test]
fn nobody_overtakes() {
    Model::waited_on(quota(2))
        .setup(emptied::<_, 2>)
        .thread(NOW, |actor| actor.enter_and_park(TWO))
        .thread(LATER, |actor| {
            actor.take(1);
            actor.take(1);
        })
        .explore(&["w|+-|+", "w|--|+"]);
}

/// The arrival and the takers compete for the last token.
#[test]
fn arrival_against_two_takers() {
    Model::waited_on(quota(1))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(NOW, |actor| _ = actor.take(1))
        .thread(NOW, |actor| _ = actor.take(1))
        .preemptions(2)
        .explore(&["+|-|-", "w|+|-|+", "w|-|+|+"]);
}

/// Both find the bucket empty, and one of them hands the word over.
#[test]
fn two_arrivals() {
    Model::waited_on(quota(1))
        .setup(emptied::<_, 1>)
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .explore(&["w|w|++"]);
}

/// A caller that joins while the first waiter is served is served when the timer fires next.
#[test]
fn arrival_against_a_grant() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(NO_CLOCK, |actor| actor.fire())
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .explore(&["|w|++"]);
}

/// The timer may fire while it is armed for the next waiter.
#[test]
fn arrival_against_its_own_grant() {
    Model::waited_on(quota(1))
        .setup(emptied::<_, 1>)
        .thread(NO_CLOCK, |actor| actor.fire())
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(NO_CLOCK, |actor| actor.fire())
        .preemptions(3)
        .explore(&["|w||+"]);
}

#[test]
fn two_arrivals_against_a_grant() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(NO_CLOCK, |actor| actor.fire())
        .preemptions(if long() { 3 } else { 2 })
        .explore(&["w|w||+++"]);
}

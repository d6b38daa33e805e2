//! Somebody comes to wait while others take, and come, and are served.

use brimful_loom_tests::{Model, quota};

use super::{BLIND, LATER, NOW, ONE, TWO, emptied, long, one_waits};

/// The taker's swap fails, or what it left is lent.
#[test]
fn arrival_against_a_taker() {
    Model::waited_on(quota(1))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(NOW, |actor| _ = actor.take(1))
        .explore(&["+|-", "w|+|+"]);
}

/// By a later reading the taker has a token; not if somebody waits for it.
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

/// The arrival and the takers want the last token.
#[test]
fn arrival_against_two_takers() {
    Model::waited_on(quota(1))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(NOW, |actor| _ = actor.take(1))
        .thread(NOW, |actor| _ = actor.take(1))
        .preemptions(2)
        .explore(&["+|-|-", "w|+|-|+", "w|-|+|+"]);
}

/// Both find the bucket empty, and one lends its word.
#[test]
fn two_arrivals() {
    Model::waited_on(quota(1))
        .setup(emptied::<_, 1>)
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .explore(&["w|w|++"]);
}

/// Whoever comes while the first is served is served by the next fire of the timer.
#[test]
fn arrival_against_a_grant() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(BLIND, |actor| actor.fire())
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .explore(&["|w|++"]);
}

/// The timer may fire while it is armed for another.
#[test]
fn arrival_against_its_own_grant() {
    Model::waited_on(quota(1))
        .setup(emptied::<_, 1>)
        .thread(BLIND, |actor| actor.fire())
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(BLIND, |actor| actor.fire())
        .preemptions(3)
        .explore(&["|w||+"]);
}

#[test]
fn two_arrivals_against_a_grant() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(BLIND, |actor| actor.fire())
        .preemptions(if long() { 3 } else { 2 })
        .explore(&["w|w||+++"]);
}

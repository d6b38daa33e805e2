//! Somebody gives their wait up: before they are served, then, or after.

use brimful_loom_tests::{Hand, Model, T, quota};

use super::{BLIND, LATER, NOW, ONE, one_granted, one_waits, two_before_one, two_wait};

/// The word goes home, and a taker has what nobody waits for any longer.
#[test]
fn last_leaves_against_a_taker() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(NOW, |actor| actor.leave(actor.claim(0)))
        .thread(LATER, |actor| {
            actor.take(1);
            actor.take(1);
        })
        .explore(&["l|+-", "l|-+", "l|--"]);
}

/// The word is lent again while it goes home.
#[test]
fn last_leaves_against_an_arrival() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(NOW, |actor| actor.leave(actor.claim(0)))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .explore(&["l|w|+"]);
}

#[test]
fn last_leaves_against_an_arrival_and_a_taker() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(NOW, |actor| actor.leave(actor.claim(0)))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(LATER, |actor| _ = actor.take(1))
        .preemptions(2)
        .explore(&["l|w|+|+", "l|w|-|+"]);
}

/// The second is due earlier than the first was.
#[test]
fn first_leaves_against_a_grant() {
    Model::waited_on(quota(2))
        .setup(two_before_one)
        .thread(NOW, |actor| actor.leave(actor.claim(0)))
        .thread(BLIND, |actor| actor.fire())
        .explore(&["b||+", "l||+"]);
}

/// The second is served when it is due then: no timer has fired, and none is armed for so early.
#[test]
fn first_leaves_against_an_arrival() {
    Model::waited_on(quota(2))
        .setup(two_before_one)
        .thread(NOW, |actor| actor.leave(actor.claim(0)))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .explore(&["l|w|++"]);
}

#[test]
fn first_leaves_against_a_poll() {
    Model::waited_on(quota(2))
        .setup(two_before_one)
        .thread(NOW, |actor| actor.leave(actor.claim(0)))
        .thread(BLIND, |actor| actor.poll_and_park(actor.claim(1)))
        .explore(&["l|.|+"]);
}

/// The first leaves while the second does.
#[test]
fn both_leave() {
    Model::waited_on(quota(2))
        .setup(two_before_one)
        .thread(NOW, |actor| actor.leave(actor.claim(0)))
        .thread(NOW, |actor| actor.leave(actor.claim(1)))
        .explore(&["l|l"]);
}

/// Either it was not granted, or it is given back.
#[test]
fn cancel_against_its_grant() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(LATER, |actor| actor.leave(actor.claim(0)))
        .thread(BLIND, |actor| actor.fire())
        .explore(&["b|", "l|"]);
}

/// What is given back is the next one's, at once.
#[test]
fn cancel_against_its_grant_before_another() {
    Model::waited_on(quota(1))
        .setup(two_wait::<_, 1>)
        .thread(LATER, |actor| actor.leave(actor.claim(0)))
        .thread(BLIND, |actor| actor.fire())
        .explore(&["b||+", "l||+"]);
}

/// The wait is polled while it is granted.
#[test]
fn poll_against_its_grant() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(BLIND, |actor| actor.poll_and_park(actor.claim(0)))
        .thread(BLIND, |actor| actor.fire())
        .explore(&["+|", ".||+"]);
}

/// What was granted is given back while somebody comes to wait.
#[test]
fn granted_leaves_against_an_arrival() {
    Model::waited_on(quota(1))
        .setup(one_granted::<_, 1>)
        .thread(LATER, |actor| actor.leave(actor.claim(0)))
        .thread(LATER, |actor| actor.enter_and_park(ONE))
        .explore(&["b|+", "b|w|+"]);
}

#[test]
fn granted_leaves_against_a_taker() {
    Model::waited_on(quota(1))
        .setup(one_granted::<_, 1>)
        .thread(LATER, |actor| actor.leave(actor.claim(0)))
        .thread(LATER, |actor| {
            actor.take(1);
            actor.take(1);
        })
        .explore(&["b|+-", "b|-+", "b|--"]);
}

/// It is the next one's, and not a taker's.
#[test]
fn granted_leaves_before_another() {
    Model::waited_on(quota(1))
        .setup(|actor| {
            two_wait::<_, 1>(actor);
            actor.fire();
        })
        .thread(LATER, |actor| actor.leave(actor.claim(0)))
        .thread(LATER, |actor| _ = actor.take(1))
        .thread(LATER, |actor| actor.leave(actor.claim(1)))
        .preemptions(2)
        .explore(&["b|+|b", "b|+|l", "b|-|b", "b|-|l"]);
}

/// Who is forgotten is served in its turn, and who comes after it in theirs.
#[test]
fn leaked_before_an_arrival() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(BLIND, |actor| {
            actor.leak(actor.claim(0));
            actor.fire();
        })
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .explore(&["|w|+"]);
}

/// The word of one who was served and forgotten is brought home by whoever comes by.
#[test]
fn leaked_before_takers() {
    Model::waited_on(quota(1))
        .setup(|actor| {
            one_waits::<_, 1>(actor);
            actor.leak(actor.claim(0));
        })
        .thread(BLIND, |actor| actor.fire())
        .thread(Hand::Calls(&[6 * T]), |actor| _ = actor.take(1))
        .thread(LATER, |actor| _ = actor.take(1))
        .preemptions(2)
        .explore(&["|+|-", "|-|-"]);
}

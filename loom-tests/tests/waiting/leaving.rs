//! A caller cancels its wait before, while or after it is served.

use brimful_loom_tests::{Model, Readings, T, quota};

use super::{LATER, NO_CLOCK, NOW, ONE, one_granted, one_waits, two_before_one, two_wait};

/// The word is handed back, and a taker gets the tokens that no caller waits for any longer.
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

/// The word is handed over again while it is handed back.
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

/// The second waiter is due earlier than the first was.
#[test]
fn first_leaves_against_a_grant() {
    Model::waited_on(quota(2))
        .setup(two_before_one)
        .thread(NOW, |actor| actor.leave(actor.claim(0)))
        .thread(NO_CLOCK, |actor| actor.fire())
        .explore(&["b||+", "l||+"]);
}

/// The second waiter is served if it is due then. No timer has fired, and none is armed for an
/// instant so early.
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
        .thread(NO_CLOCK, |actor| actor.poll_and_park(actor.claim(1)))
        .explore(&["l|.|+"]);
}

/// Both waiters are cancelled at the same time.
#[test]
fn both_leave() {
    Model::waited_on(quota(2))
        .setup(two_before_one)
        .thread(NOW, |actor| actor.leave(actor.claim(0)))
        .thread(NOW, |actor| actor.leave(actor.claim(1)))
        .explore(&["l|l"]);
}

/// The wait was not granted, or its tokens are given back.
#[test]
fn cancel_against_its_grant() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(LATER, |actor| actor.leave(actor.claim(0)))
        .thread(NO_CLOCK, |actor| actor.fire())
        .explore(&["b|", "l|"]);
}

/// The tokens that are given back go to the next waiter at once.
#[test]
fn cancel_against_its_grant_before_another() {
    Model::waited_on(quota(1))
        .setup(two_wait::<_, 1>)
        .thread(LATER, |actor| actor.leave(actor.claim(0)))
        .thread(NO_CLOCK, |actor| actor.fire())
        .explore(&["b||+", "l||+"]);
}

/// The wait is polled while it is granted.
#[test]
fn poll_against_its_grant() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(NO_CLOCK, |actor| actor.poll_and_park(actor.claim(0)))
        .thread(NO_CLOCK, |actor| actor.fire())
        .explore(&["+|", ".||+"]);
}

/// The granted tokens are given back while another caller joins the queue.
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

/// The tokens go to the next waiter, and not to a taker.
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

/// A leaked waiter is served in its turn, and the next one after it.
#[test]
fn leaked_before_an_arrival() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(NO_CLOCK, |actor| {
            actor.leak(actor.claim(0));
            actor.fire();
        })
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .explore(&["|w|+"]);
}

/// A leaked waiter was served. The next call hands the word back.
#[test]
fn leaked_before_takers() {
    Model::waited_on(quota(1))
        .setup(|actor| {
            one_waits::<_, 1>(actor);
            actor.leak(actor.claim(0));
        })
        .thread(NO_CLOCK, |actor| actor.fire())
        .thread(Readings::Calls(&[6 * T]), |actor| _ = actor.take(1))
        .thread(LATER, |actor| _ = actor.take(1))
        .preemptions(2)
        .explore(&["|+|-", "|-|-"]);
}

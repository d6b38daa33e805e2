//! A caller cancels its wait before, while or after it is granted: all of it is given back.

use brimful_loom_tests::LlmModel;

use crate::{ONE_SLOT, one_waits};

#[test]
fn cancelled_against_its_grant() {
    LlmModel::new(ONE_SLOT)
        .setup(one_waits)
        .thread(|actor| actor.end(actor.kept(0)))
        .thread(|actor| actor.leave(actor.claim(0)))
        .explore(&["g|l"]);
}

/// The slot goes to the next waiter.
#[test]
fn cancelled_against_its_grant_before_another() {
    LlmModel::new(ONE_SLOT)
        .setup(|actor| {
            one_waits(actor);
            actor.enter(1);
        })
        .thread(|actor| actor.end(actor.kept(0)))
        .thread(|actor| actor.leave(actor.claim(0)))
        .preemptions(3)
        .explore(&["g|l|+"]);
}

/// A granted wait is cancelled while a call takes.
#[test]
fn a_granted_wait_cancelled_against_a_taker() {
    LlmModel::new(ONE_SLOT)
        .setup(|actor| {
            one_waits(actor);
            actor.end(actor.kept(0));
        })
        .thread(|actor| actor.leave(actor.claim(0)))
        .thread(|actor| drop(actor.take(1)))
        .explore(&["l|+", "l|-"]);
}

/// A granted wait is cancelled while a caller joins.
#[test]
fn a_granted_wait_cancelled_against_an_arrival() {
    LlmModel::new(ONE_SLOT)
        .setup(|actor| {
            one_waits(actor);
            actor.end(actor.kept(0));
        })
        .thread(|actor| actor.leave(actor.claim(0)))
        .thread(|actor| actor.enter(1))
        .preemptions(3)
        .explore(&["l|+", "l|w|+"]);
}

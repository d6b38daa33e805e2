//! A permit is given back while callers come to wait, or wait.

use brimful_loom_tests::PermitModel;
use loom::sync::atomic::Ordering;

use super::{both_taken, one_waits, taken, two_wait};

/// The permit is given back while a caller joins the queue: the caller finds it, or is granted it.
#[test]
fn given_back_against_an_arrival() {
    PermitModel::new(1)
        .setup(taken)
        .thread(|actor| actor.give_kept())
        .thread(|actor| actor.enter())
        .explore(&["g|+g", "g|w|+g"]);
}

/// The same, for a thread that blocks.
#[test]
fn given_back_against_a_thread_that_blocks() {
    PermitModel::new(1)
        .setup(taken)
        .thread(|actor| {
            actor.mailbox.store(1, Ordering::Relaxed);
            actor.give_kept();
        })
        .thread(|actor| {
            let held = actor.block();
            assert_eq!(actor.mailbox.load(Ordering::Relaxed), 1);
            if let Some(held) = held {
                actor.give(held);
            }
        })
        .explore(&["g|+g"]);
}

/// Two callers join the queue while the permit is given back; both are served.
#[test]
fn given_back_against_two_arrivals() {
    PermitModel::new(1)
        .setup(taken)
        .thread(|actor| actor.give_kept())
        .thread(|actor| actor.enter())
        .thread(|actor| actor.enter())
        .preemptions(2)
        .explore(&["g|+g|+g", "g|+g|w|+g", "g|w|+g|+g", "g|w|w|+g+g"]);
}

/// A permit that was given back is the waiter's, and no taker gets it.
#[test]
fn a_taker_does_not_overtake() {
    PermitModel::new(1)
        .setup(one_waits)
        .thread(|actor| actor.give_kept())
        .thread(|actor| {
            actor.take_and_give();
            actor.take_and_give();
        })
        .explore(&["g|--|+g"]);
}

/// A caller that joins does not overtake the first waiter.
#[test]
fn an_arrival_does_not_overtake() {
    PermitModel::new(1)
        .setup(one_waits)
        .thread(|actor| actor.give_kept())
        .thread(|actor| actor.enter())
        .explore(&["g|w|+g+g"]);
}

/// Two permits are given back at once, for two waiters.
#[test]
fn both_given_back_against_two_waiters() {
    PermitModel::new(2)
        .setup(|actor| {
            both_taken(actor);
            actor.enter();
            actor.enter();
        })
        .thread(|actor| actor.give_kept())
        .thread(|actor| actor.give_kept())
        .explore(&["g|g|+g+g"]);
}

/// Two permits are given back at once, and a caller joins.
#[test]
fn both_given_back_against_an_arrival() {
    PermitModel::new(2)
        .setup(both_taken)
        .thread(|actor| actor.give_kept())
        .thread(|actor| actor.give_kept())
        .thread(|actor| actor.enter())
        .preemptions(3)
        .explore(&["g|g|+g", "g|g|w|+g"]);
}

/// The first waiter is polled while it is granted the permit. It gives the permit back, and the second gets it.
#[test]
fn a_poll_against_its_grant() {
    PermitModel::new(1)
        .setup(two_wait)
        .thread(|actor| actor.give_kept())
        .thread(|actor| actor.poll(actor.claim(0)))
        .explore(&["g|+g|+g", "g|.|+g+g"]);
}

//! The queue of a key is made, given up and removed while callers come to it.

use brimful_loom_tests::{CompositeActor, CompositeModel};

fn one_waits(actor: &CompositeActor) {
    actor.enter(1);
}

/// Two callers join while the last waiter leaves, and with it the queue: both wait in one queue.
#[test]
fn two_arrivals_against_the_last_that_leaves() {
    CompositeModel::new(&[1, 1], 1)
        .setup(one_waits)
        .thread(|actor| actor.leave(actor.claim(0)))
        .thread(|actor| actor.enter(1))
        .thread(|actor| actor.enter(1))
        .preemptions(2)
        .explore_keyed(&["l|w|w|++"]);
}

/// Two callers make the queue at once.
#[test]
fn two_arrivals() {
    CompositeModel::new(&[1, 1], 1)
        .thread(|actor| actor.enter(1))
        .thread(|actor| actor.enter(1))
        .explore_keyed(&["w|w|++"]);
}

/// A granted wait ends, and with it the queue, while a caller joins.
#[test]
fn an_arrival_against_the_last_that_ends() {
    CompositeModel::new(&[2, 2], 2)
        .setup(|actor| {
            one_waits(actor);
            actor.add(1);
        })
        .thread(|actor| actor.poll(actor.claim(0)))
        .thread(|actor| actor.enter(1))
        .explore_keyed(&["+|w|+"]);
}

/// The queue is given up while a token is added and a caller joins.
#[test]
fn added_against_the_last_that_leaves_and_an_arrival() {
    CompositeModel::new(&[2, 2], 2)
        .setup(one_waits)
        .thread(|actor| actor.leave(actor.claim(0)))
        .thread(|actor| actor.enter(1))
        .thread(|actor| actor.add(1))
        .preemptions(1)
        .explore_keyed(&["l|+|a", "l|w|a|+"]);
}

/// The queue is given up while a call takes: it takes from the limits.
#[test]
fn a_taker_against_the_last_that_leaves() {
    CompositeModel::new(&[2, 2], 1)
        .setup(|actor| actor.enter(2))
        .thread(|actor| actor.leave(actor.claim(0)))
        .thread(|actor| _ = actor.take(1))
        .explore_keyed(&["l|+", "l|-"]);
}

/// The waiter is granted before its key is removed, or fails.
#[test]
fn removed_against_a_grant() {
    CompositeModel::new(&[2, 2], 2)
        .setup(one_waits)
        .thread(|actor| actor.remove())
        .thread(|actor| actor.add(1))
        .preemptions(2)
        .explore_keyed(&["x|a|+", "x|a|n"]);
}

/// A wait is cancelled while its key is removed.
#[test]
fn removed_against_a_wait_that_is_cancelled() {
    CompositeModel::new(&[1, 1], 1)
        .setup(|actor| {
            one_waits(actor);
            one_waits(actor);
        })
        .thread(|actor| actor.remove())
        .thread(|actor| actor.leave(actor.claim(0)))
        .explore_keyed(&["x|l|n"]);
}

/// A caller joins while the key is removed from one limit after the other: it fails, or finds or is granted the
/// tokens of the new bucket.
#[test]
fn removed_against_an_arrival() {
    CompositeModel::new(&[1, 1], 1)
        .thread(|actor| actor.remove())
        .thread(|actor| actor.enter(1))
        .preemptions(2)
        .explore_keyed(&["x|+", "x|w|+", "x|w|n"]);
}

/// The same, if all keys are removed.
#[test]
fn cleared_against_an_arrival() {
    CompositeModel::new(&[1, 1], 1)
        .thread(|actor| actor.clear())
        .thread(|actor| actor.enter(1))
        .preemptions(2)
        .explore_keyed(&["c|+", "c|w|+", "c|w|n"]);
}

/// The key is removed while a caller joins behind a waiter.
#[test]
fn removed_against_a_second_arrival() {
    CompositeModel::new(&[1, 1], 1)
        .setup(one_waits)
        .thread(|actor| actor.remove())
        .thread(|actor| actor.enter(1))
        .preemptions(2)
        .explore_keyed(&["x|+|n", "x|w|n+", "x|w|nn"]);
}

/// The timer fires while the key is removed.
#[test]
fn removed_against_the_timer() {
    CompositeModel::new(&[1, 1], 1)
        .setup(one_waits)
        .thread(|actor| actor.remove())
        .thread(|actor| actor.fire())
        .explore_keyed(&["x||+", "x||n"]);
}

//! A caller cancels its wait before, while or after it is granted its tokens; and the composite is closed.

use brimful_loom_tests::{CompositeActor, CompositeModel};

fn one_waits(actor: &CompositeActor) {
    actor.enter(1);
}

fn two_wait(actor: &CompositeActor) {
    actor.enter(1);
    actor.enter(1);
}

/// The wait is not granted, or its tokens are given back.
#[test]
fn cancelled_against_its_grant() {
    CompositeModel::new(&[2, 3], 2)
        .setup(one_waits)
        .thread(|actor| actor.add(1))
        .thread(|actor| actor.leave(actor.claim(0)))
        .explore(&["a|l"]);
}

/// Tokens that are given back serve the next waiter at once.
#[test]
fn cancelled_against_its_grant_before_another() {
    CompositeModel::new(&[2, 3], 2)
        .setup(two_wait)
        .thread(|actor| actor.add(1))
        .thread(|actor| actor.leave(actor.claim(0)))
        .preemptions(2)
        .explore(&["a|l|+"]);
}

/// The same, if the timer grants the wait.
#[test]
fn cancelled_against_the_timer_before_another() {
    CompositeModel::new(&[3, 4], 3)
        .setup(two_wait)
        .thread(|actor| actor.fire())
        .thread(|actor| actor.leave(actor.claim(0)))
        .explore(&["|l|+"]);
}

/// The first wait, which needs more, is cancelled while the second is polled. The second is due before the instant for
/// which the timer is armed.
#[test]
fn the_first_cancelled_against_a_poll() {
    CompositeModel::new(&[3, 2], 2)
        .setup(|actor| {
            actor.enter(2);
            actor.enter(1);
        })
        .thread(|actor| actor.leave(actor.claim(0)))
        .thread(|actor| actor.poll(actor.claim(1)))
        .explore(&["l|.|+"]);
}

/// Both waits are cancelled while a token is added.
#[test]
fn both_cancelled_against_a_grant() {
    CompositeModel::new(&[2, 2], 2)
        .setup(two_wait)
        .thread(|actor| actor.add(1))
        .thread(|actor| actor.leave(actor.claim(0)))
        .thread(|actor| actor.leave(actor.claim(1)))
        .preemptions(1)
        .explore(&["a|l|l"]);
}

/// The last wait is cancelled while another caller joins.
#[test]
fn cancelled_against_an_arrival() {
    CompositeModel::new(&[1, 1], 1)
        .setup(one_waits)
        .thread(|actor| actor.leave(actor.claim(0)))
        .thread(|actor| actor.enter(1))
        .explore(&["l|w|+"]);
}

/// A granted wait is cancelled while another caller joins: it finds the tokens, or is granted them.
#[test]
fn a_granted_wait_cancelled_against_an_arrival() {
    CompositeModel::new(&[2, 3], 2)
        .setup(|actor| {
            one_waits(actor);
            actor.add(1);
        })
        .thread(|actor| actor.leave(actor.claim(0)))
        .thread(|actor| actor.enter(1))
        .preemptions(2)
        .explore(&["l|+", "l|w|+"]);
}

/// A granted wait is cancelled while a call takes.
#[test]
fn a_granted_wait_cancelled_against_a_taker() {
    CompositeModel::new(&[2, 3], 2)
        .setup(|actor| {
            one_waits(actor);
            actor.add(1);
        })
        .thread(|actor| actor.leave(actor.claim(0)))
        .thread(|actor| _ = actor.take(1))
        .explore(&["l|+", "l|-"]);
}

/// The first waiter is polled while it is granted.
#[test]
fn polled_against_its_grant() {
    CompositeModel::new(&[2, 2], 2)
        .setup(two_wait)
        .thread(|actor| actor.add(1))
        .thread(|actor| actor.poll(actor.claim(0)))
        .explore(&["a|+|+", "a|.|++"]);
}

/// The waiter is granted, or fails.
#[test]
fn closed_against_a_grant() {
    CompositeModel::new(&[2, 2], 2)
        .setup(two_wait)
        .thread(|actor| actor.close())
        .thread(|actor| actor.add(1))
        .explore_lone(&["z|a|+e", "z|a|ee"]);
}

/// The caller that joins fails at once, or waits and is woken to fail.
#[test]
fn closed_against_an_arrival() {
    CompositeModel::new(&[1, 1], 1)
        .thread(|actor| actor.close())
        .thread(|actor| actor.enter(1))
        .explore_lone(&["z|e", "z|w|e"]);
}

/// A wait is cancelled while the composite is closed, and a token is added: no token is lost.
#[test]
fn closed_against_a_wait_that_is_cancelled() {
    CompositeModel::new(&[2, 2], 2)
        .setup(one_waits)
        .thread(|actor| actor.close())
        .thread(|actor| actor.leave(actor.claim(0)))
        .thread(|actor| actor.add(1))
        .preemptions(2)
        .explore_lone(&["z|l|a"]);
}

/// Calls that do not wait are admitted, and the last token is taken once.
#[test]
fn closed_against_takers() {
    CompositeModel::new(&[3, 2], 1)
        .thread(|actor| actor.close())
        .thread(|actor| _ = actor.take(1))
        .thread(|actor| _ = actor.take(1))
        .preemptions(2)
        .explore_lone(&["z|+|-", "z|-|+"]);
}

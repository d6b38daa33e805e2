//! Waits with deadlines. The timer fires when a thread fires it, and the time is the deadline then.

use brimful_loom_tests::{PermitActor, PermitModel};

use super::taken;

/// The only permit is out, and a caller waits until 10.
fn waits_until_10(actor: &PermitActor) {
    taken(actor);
    actor.enter_until(10);
}

/// The waiter is granted the permit, or has timed out.
#[test]
fn timed_out_against_a_return() {
    PermitModel::new(1)
        .setup(waits_until_10)
        .thread(|actor| actor.give_kept())
        .thread(|actor| actor.fire())
        .explore(&["g||+g", "g||t"]);
}

/// The timer refuses the last waiter, which leaves the word queued. A taker finds the permit all the same.
#[test]
fn a_taker_after_the_last_waiter_timed_out() {
    PermitModel::new(1)
        .setup(|actor| {
            waits_until_10(actor);
            actor.fire();
        })
        .thread(|actor| actor.give_kept())
        .thread(|actor| actor.take_and_give())
        .explore(&["g|+g|t", "g|-|t"]);
}

/// The timer refuses the last waiter while another caller joins.
#[test]
fn timed_out_against_an_arrival() {
    PermitModel::new(1)
        .setup(waits_until_10)
        .thread(|actor| {
            actor.fire();
            actor.poll(actor.claim(0));
        })
        .thread(|actor| actor.enter())
        .explore(&["t|w|+g"]);
}

/// A permit goes to the second waiter if the first has timed out.
#[test]
fn timed_out_before_another_against_a_return() {
    PermitModel::new(1)
        .setup(|actor| {
            waits_until_10(actor);
            actor.enter();
        })
        .thread(|actor| actor.give_kept())
        .thread(|actor| actor.fire())
        .explore(&["g||+g+g", "g||t+g"]);
}

/// The waiter leaves while its deadline passes, and the last permit returns.
#[test]
fn timed_out_against_a_wait_that_leaves() {
    PermitModel::new(1)
        .setup(waits_until_10)
        .thread(|actor| actor.leave(actor.claim(0)))
        .thread(|actor| actor.fire())
        .thread(|actor| actor.give_kept())
        .preemptions(2)
        .explore(&["l||g"]);
}

/// A caller joins with an earlier deadline while the timer fires: for that deadline, or for the later one.
#[test]
fn an_earlier_deadline_against_the_timer() {
    PermitModel::new(1)
        .setup(waits_until_10)
        .thread(|actor| actor.fire())
        .thread(|actor| actor.enter_until(5))
        .preemptions(3)
        .explore(&["|t|t", "|w|+gt", "|w|tt"]);
}

/// Only the timer ends the wait of a thread that blocks.
#[test]
fn blocked_until_its_deadline() {
    PermitModel::new(1)
        .setup(taken)
        .thread(|actor| assert!(actor.block_until(10).is_none(), "the permit stays out"))
        .timekeeper()
        .explore(&["t|"]);
}

/// The permit returns while a thread blocks until its deadline.
#[test]
fn blocked_against_a_return() {
    PermitModel::new(1)
        .setup(taken)
        .thread(|actor| {
            if let Some(held) = actor.block_until(10) {
                actor.give(held);
            }
        })
        .thread(|actor| actor.give_kept())
        .timekeeper()
        .preemptions(2)
        .explore(&["+g|g|", "t|g|"]);
}

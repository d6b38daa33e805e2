//! A caller cancels its wait before, while or after it is granted a permit.

use brimful_loom_tests::PermitModel;

use super::{one_waits, taken, two_wait};

#[test]
fn the_last_leaves_against_a_return() {
    PermitModel::new(1)
        .setup(one_waits)
        .thread(|actor| actor.give_kept())
        .thread(|actor| actor.leave(actor.claim(0)))
        .explore(&["g|l"]);
}

/// A permit that was granted and not observed goes to the next waiter at once.
#[test]
fn the_first_leaves_against_a_return() {
    PermitModel::new(1)
        .setup(two_wait)
        .thread(|actor| actor.give_kept())
        .thread(|actor| actor.leave(actor.claim(0)))
        .explore(&["g|l|+g"]);
}

#[test]
fn the_last_leaves_against_an_arrival() {
    PermitModel::new(1)
        .setup(one_waits)
        .thread(|actor| actor.leave(actor.claim(0)))
        .thread(|actor| actor.enter())
        .explore(&["l|w|+g"]);
}

#[test]
fn the_last_leaves_against_an_arrival_and_a_return() {
    PermitModel::new(1)
        .setup(one_waits)
        .thread(|actor| actor.leave(actor.claim(0)))
        .thread(|actor| actor.enter())
        .thread(|actor| actor.give_kept())
        .preemptions(2)
        .explore(&["l|+g|g", "l|w|g|+g"]);
}

#[test]
fn both_leave_against_a_return() {
    PermitModel::new(1)
        .setup(two_wait)
        .thread(|actor| actor.leave(actor.claim(0)))
        .thread(|actor| actor.leave(actor.claim(1)))
        .thread(|actor| actor.give_kept())
        .preemptions(2)
        .explore(&["l|l|g"]);
}

/// A granted wait leaves while another caller takes.
#[test]
fn a_granted_wait_leaves_against_a_taker() {
    PermitModel::new(1)
        .setup(|actor| {
            one_waits(actor);
            actor.give_kept();
        })
        .thread(|actor| actor.leave(actor.claim(0)))
        .thread(|actor| actor.take_and_give())
        .explore(&["l|+g", "l|-"]);
}

/// A granted wait leaves while another caller joins.
#[test]
fn a_granted_wait_leaves_against_an_arrival() {
    PermitModel::new(1)
        .setup(|actor| {
            one_waits(actor);
            actor.give_kept();
        })
        .thread(|actor| actor.leave(actor.claim(0)))
        .thread(|actor| actor.enter())
        .explore(&["l|+g", "l|w|+g"]);
}

/// A taker comes while the last waiter leaves and the permit is still out.
#[test]
fn the_last_leaves_against_a_taker_and_a_return() {
    PermitModel::new(1)
        .setup(|actor| {
            taken(actor);
            actor.enter();
        })
        .thread(|actor| {
            actor.leave(actor.claim(0));
            actor.give_kept();
        })
        .thread(|actor| {
            actor.take_and_give();
            actor.take_and_give();
        })
        .explore(&["lg|+g+g", "lg|-+g", "lg|--"]);
}

/// The last waiter of a paused limit leaves while a caller is refused. A key goes with it.
#[test]
fn the_last_leaves_a_paused_limit() {
    PermitModel::new(0)
        .setup(|actor| actor.enter())
        .thread(|actor| actor.leave(actor.claim(0)))
        .thread(|actor| actor.take_and_give())
        .explore(&["l|-"]);
}

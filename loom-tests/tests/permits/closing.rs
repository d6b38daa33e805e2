//! The limit is closed while permits are taken, given back and waited for.

use brimful_loom_tests::PermitModel;

use super::{one_waits, taken};

/// The caller that joins is granted the permit before, or refused.
#[test]
fn closed_against_an_arrival() {
    PermitModel::new(1).thread(|actor| actor.close()).thread(|actor| actor.enter()).explore(&["z|+g", "z|e"]);
}

/// The caller that joins waits for a permit that is out, and is refused.
#[test]
fn closed_against_an_arrival_that_waits() {
    PermitModel::new(1)
        .setup(taken)
        .thread(|actor| actor.close())
        .thread(|actor| actor.enter())
        .explore(&["z|e", "z|w|e"]);
}

/// The waiter is granted the permit, or refused.
#[test]
fn closed_against_a_return() {
    PermitModel::new(1)
        .setup(one_waits)
        .thread(|actor| actor.close())
        .thread(|actor| actor.give_kept())
        .explore(&["z|g|+g", "z|g|e"]);
}

/// No permit is taken after the limit was closed.
#[test]
fn closed_against_takers() {
    PermitModel::new(1)
        .thread(|actor| {
            actor.close();
            actor.take_and_give();
        })
        .thread(|actor| actor.take_and_give())
        .explore(&["ze|+g", "ze|e"]);
}

#[test]
fn closed_against_a_wait_that_leaves() {
    PermitModel::new(1)
        .setup(one_waits)
        .thread(|actor| actor.close())
        .thread(|actor| actor.leave(actor.claim(0)))
        .thread(|actor| actor.give_kept())
        .preemptions(2)
        .explore(&["z|l|g"]);
}

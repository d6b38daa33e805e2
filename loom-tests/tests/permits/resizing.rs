//! The limit changes while permits are taken, given back and waited for.

use brimful_loom_tests::PermitModel;

use super::{both_taken, one_waits, taken, two_wait};

/// A higher limit serves the waiter, or the caller that joins finds it.
#[test]
fn raised_against_an_arrival() {
    PermitModel::new(1)
        .setup(taken)
        .thread(|actor| actor.resize(2))
        .thread(|actor| actor.enter())
        .explore(&["r|+g", "r|w|+g"]);
}

/// A higher limit and a return, for two waiters.
#[test]
fn raised_against_a_return() {
    PermitModel::new(1)
        .setup(two_wait)
        .thread(|actor| actor.resize(2))
        .thread(|actor| actor.give_kept())
        .explore(&["r|g|+g+g"]);
}

/// After a lower limit has been set, a permit is granted only below it.
#[test]
fn lowered_against_takers() {
    PermitModel::new(2)
        .setup(taken)
        .thread(|actor| {
            actor.resize(1);
            // One is in flight, unless the taker has taken the second before.
            assert!(actor.take().is_none(), "a permit is granted above the limit");
        })
        .thread(|actor| actor.take_and_keep())
        .explore(&["r-|+", "r-|-"]);
}

/// Both permits are out, and the limit is lowered to one: the first that returns is not granted again.
#[test]
fn lowered_against_returns() {
    PermitModel::new(2)
        .setup(|actor| {
            both_taken(actor);
            actor.enter();
        })
        .thread(|actor| actor.resize(1))
        .thread(|actor| actor.give_kept())
        .explore(&["r|g|+g"]);
}

/// A pause keeps the waiter, or comes after its grant.
#[test]
fn paused_against_a_return() {
    PermitModel::new(1)
        .setup(one_waits)
        .thread(|actor| actor.resize(0))
        .thread(|actor| actor.give_kept())
        .explore(&["r|g|+g"]);
}

/// The limit is lowered and raised while a caller joins.
#[test]
fn two_changes_against_an_arrival() {
    PermitModel::new(1)
        .thread(|actor| actor.resize(0))
        .thread(|actor| actor.resize(1))
        .thread(|actor| actor.enter())
        .preemptions(3)
        .explore(&["r|r|+g", "r|r|w|+g"]);
}

/// Two changes at once: the limit of a key in use is that of all keys.
#[test]
fn two_changes() {
    PermitModel::new(1).setup(taken).thread(|actor| actor.resize(2)).thread(|actor| actor.resize(3)).explore(&["r|r"]);
}

/// The limit is raised and a waiter leaves.
#[test]
fn raised_against_a_wait_that_leaves() {
    PermitModel::new(1)
        .setup(two_wait)
        .thread(|actor| actor.resize(2))
        .thread(|actor| actor.leave(actor.claim(0)))
        .explore(&["r|l|+g"]);
}

/// The limit is lowered while the queue is served. A look that sees the lower limit never sees more in flight later,
/// because a grant is a swap of the very word that has the limit.
#[test]
fn lowered_while_the_queue_is_served() {
    PermitModel::new(2)
        .setup(|actor| {
            both_taken(actor);
            actor.enter();
        })
        .thread(|actor| actor.give_kept())
        .thread(|actor| actor.resize(1))
        .thread(|actor| {
            if actor.limit() == 1 {
                let before = actor.in_flight();
                assert!(actor.in_flight() <= before.max(1), "a permit is granted above the limit");
            }
        })
        .preemptions(3)
        .explore(&["g|r||+g"]);
}

//! Calls that do not wait.

use brimful_loom_tests::PermitModel;
use loom::sync::atomic::Ordering;

use super::taken;

/// Exactly one of two takes the only permit.
#[test]
fn two_takers_of_the_last_permit() {
    PermitModel::new(1)
        .thread(|actor| actor.take_and_keep())
        .thread(|actor| actor.take_and_keep())
        .explore(&["+|-", "-|+"]);
}

/// A permit that is given back can be taken again.
#[test]
fn takers_that_give_back() {
    PermitModel::new(1)
        .thread(|actor| {
            actor.take_and_give();
            actor.take_and_give();
        })
        .thread(|actor| actor.take_and_give())
        .explore(&["+g+g|+g", "+g+g|-", "+g-|+g", "-+g|+g", "--|+g"]);
}

/// Everything done before a permit was given back happens before the work of the next owner.
#[test]
fn given_back_happens_before_taken() {
    PermitModel::new(1)
        .setup(taken)
        .thread(|actor| {
            actor.mailbox.store(1, Ordering::Relaxed);
            actor.give_kept();
        })
        .thread(|actor| {
            if let Some(held) = actor.take() {
                assert_eq!(actor.mailbox.load(Ordering::Relaxed), 1);
                actor.give(held);
            }
        })
        .explore(&["g|+g", "g|-"]);
}

/// A look that no longer counts a permit sees everything done before it was given back.
#[test]
fn given_back_happens_before_a_look() {
    PermitModel::new(1)
        .setup(taken)
        .thread(|actor| {
            actor.mailbox.store(1, Ordering::Relaxed);
            actor.give_kept();
        })
        .thread(|actor| {
            if actor.in_flight() == 0 {
                assert_eq!(actor.mailbox.load(Ordering::Relaxed), 1);
                actor.take_and_give();
            }
        })
        .explore(&["g|", "g|+g"]);
}

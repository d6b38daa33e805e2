//! Calls that do not wait, while callers wait.

use brimful_loom_tests::CompositeModel;
use loom::sync::atomic::Ordering;

/// A call after the arrival does not take the token that is added for the waiter.
#[test]
fn a_taker_after_an_arrival() {
    CompositeModel::new(&[2, 2], 2)
        .thread(|actor| {
            actor.enter(1);
            actor.take(1);
        })
        .thread(|actor| actor.add(1))
        .preemptions(2)
        .explore(&["+-|a", "w-|a|+"]);
}

/// The same for a call that shows the numbers of each limit.
#[test]
fn a_decision_after_an_arrival() {
    CompositeModel::new(&[2, 2], 2)
        .thread(|actor| {
            actor.enter(1);
            actor.decide(1);
        })
        .thread(|actor| actor.add(1))
        .preemptions(2)
        .explore(&["+-|a", "w-|a|+"]);
}

/// The same, if there is a token for each of them: the call is refused, or takes the second one.
#[test]
fn a_taker_after_an_arrival_with_a_token_for_each() {
    CompositeModel::new(&[3, 3], 3)
        .thread(|actor| {
            actor.enter(1);
            actor.take(1);
        })
        .thread(|actor| actor.add(2))
        .preemptions(2)
        .explore(&["++|a", "w+|a|+", "w-|a|+"]);
}

/// The call is made by another thread, which has seen that the caller waits.
#[test]
fn a_taker_that_knows_of_the_waiter() {
    CompositeModel::new(&[2, 2], 2)
        .thread(|actor| {
            actor.enter(1);
            actor.mailbox.store(1, Ordering::Release);
        })
        .thread(|actor| {
            if actor.mailbox.load(Ordering::Acquire) == 1 {
                actor.take(1);
            }
        })
        .thread(|actor| actor.add(1))
        .preemptions(1)
        .explore(&["+|-|a", "+||a", "w|-|a|+", "w||a|+"]);
}

/// A taker and a caller that is ready to wait: one of them gets the last token.
#[test]
fn an_arrival_against_a_taker() {
    CompositeModel::new(&[3, 2], 1)
        .thread(|actor| actor.enter(1))
        .thread(|actor| _ = actor.take(1))
        .preemptions(2)
        .explore(&["+|-", "w|+|+"]);
}

/// Two takers with different costs against a caller that needs what one of them gives back.
#[test]
fn an_arrival_against_two_takers() {
    CompositeModel::new(&[3, 2], 1)
        .thread(|actor| actor.enter(1))
        .thread(|actor| _ = actor.take(1))
        .thread(|actor| _ = actor.take(1))
        .preemptions(1)
        .explore(&["+|-|-", "w|+|-|+", "w|-|+|+"]);
}

/// A caller that joins does not overtake the waiter.
#[test]
fn an_arrival_behind_a_waiter() {
    CompositeModel::new(&[2, 2], 2)
        .setup(|actor| actor.enter(1))
        .thread(|actor| {
            actor.enter(1);
            actor.poll(actor.claim(1));
        })
        .thread(|actor| actor.add(1))
        .preemptions(2)
        .explore(&["w.|a|++"]);
}

//! The word is lent, and comes home, whatever is done to it meanwhile.

use brimful_loom_tests::{Model, T, quota};
use loom::sync::atomic::Ordering::Relaxed;

use super::{BLIND, LATER, LATEST, NOW, ONE, TWO, emptied, one_granted, one_waits};

/// Lent and brought home by one, while another takes.
#[test]
fn there_and_back_against_takers() {
    Model::waited_on(quota(2))
        .setup(|actor| assert!(actor.take_at(4 * T, 1)))
        .thread(NOW, |actor| {
            if let Some(waiting) = actor.enter(TWO) {
                actor.leave(waiting);
            }
        })
        .thread(NOW, |actor| {
            actor.take(1);
            actor.take(1);
        })
        .explore(&["wl|+-", "wl|-+", "wl|--"]);
}

/// The last who is served brings it home.
#[test]
fn served_against_a_taker() {
    Model::waited_on(quota(1))
        .setup(one_granted::<_, 1>)
        .thread(BLIND, |actor| actor.poll_and_park(actor.claim(0)))
        .thread(LATEST, |actor| {
            actor.take(1);
            actor.take(1);
        })
        .explore(&["+|+-"]);
}

/// It is brought home by one and lent again by another.
#[test]
fn served_against_an_arrival() {
    Model::waited_on(quota(1))
        .setup(one_granted::<_, 1>)
        .thread(BLIND, |actor| actor.poll_and_park(actor.claim(0)))
        .thread(LATER, |actor| actor.enter_and_park(ONE))
        .thread(LATEST, |actor| _ = actor.take(1))
        .preemptions(2)
        .explore(&["+|w|+|+", "+|w|-|+"]);
}

#[test]
fn lent_against_a_reset() {
    Model::waited_on(quota(1))
        .setup(emptied::<_, 1>)
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(NOW, |actor| actor.reset())
        .explore(&["+|r", "w|r|+"]);
}

#[test]
fn home_against_a_reset() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(NOW, |actor| actor.leave(actor.claim(0)))
        .thread(NOW, |actor| {
            actor.reset();
            actor.take(1);
        })
        .explore(&["b|r+", "b|r-", "l|r+"]);
}

#[test]
fn home_against_a_charge() {
    Model::waited_on(quota(2))
        .setup(|actor| assert!(actor.take_at(4 * T, 1)))
        .thread(NOW, |actor| {
            if let Some(waiting) = actor.enter(TWO) {
                actor.leave(waiting);
            }
        })
        .thread(NOW, |actor| {
            if let Some(reservation) = actor.reserve(1) {
                actor.commit(reservation, 2);
            }
        })
        .explore(&["wl|+d0", "wl|-"]);
}

/// A bucket that does not start full is started once, and waited on from then.
#[test]
fn first_calls() {
    Model::waited_on(quota(2).initial(1))
        .thread(NOW, |actor| actor.enter_and_park(TWO))
        .thread(NOW, |actor| _ = actor.take(1))
        .explore(&["w|+|+", "w|-|+"]);
}

/// What was done before tokens were given back is seen by who is admitted with them: to the queue
/// and from it, and to the word that has come home.
#[test]
fn given_back_to_the_queue_happens_before_admitted() {
    Model::waited_on(quota(2))
        .setup(|actor| {
            emptied::<_, 2>(actor);
            actor.enter_and_park(TWO);
        })
        .thread(NOW, |actor| {
            actor.mailbox.store(1, Relaxed);
            actor.add(1);
        })
        .thread(NOW, |actor| actor.leave(actor.claim(0)))
        .thread(NOW, |actor| {
            if actor.take(1) {
                assert_eq!(actor.mailbox.load(Relaxed), 1);
            }
        })
        .preemptions(2)
        .explore(&["a1|l|+", "a1|l|-"]);
}

/// The same by who comes to wait.
#[test]
fn given_back_happens_before_granted() {
    Model::waited_on(quota(1))
        .setup(emptied::<_, 1>)
        .thread(NOW, |actor| {
            actor.mailbox.store(1, Relaxed);
            actor.add(1);
        })
        .thread(NOW, |actor| {
            if let Some(waiting) = actor.enter(ONE) {
                actor.leave(waiting);
            } else {
                assert_eq!(actor.mailbox.load(Relaxed), 1);
            }
        })
        .explore(&["a1|+", "a1|wb", "a1|wl"]);
}

//! The word is handed over to the queue and handed back, while other calls change it.

use brimful_loom_tests::{Model, T, quota};
use loom::sync::atomic::Ordering::Relaxed;

use super::{LATER, LATEST, NO_CLOCK, NOW, ONE, TWO, emptied, one_granted, one_waits};

/// One thread hands the word over and back, while another takes.
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

/// The last waiter that is served hands the word back.
#[test]
fn served_against_a_taker() {
    Model::waited_on(quota(1))
        .setup(one_granted::<_, 1>)
        .thread(NO_CLOCK, |actor| actor.poll_and_park(actor.claim(0)))
        .thread(LATEST, |actor| {
            actor.take(1);
            actor.take(1);
        })
        .explore(&["+|+-"]);
}

/// One thread hands the word back, and another hands it over again.
#[test]
fn served_against_an_arrival() {
    Model::waited_on(quota(1))
        .setup(one_granted::<_, 1>)
        .thread(NO_CLOCK, |actor| actor.poll_and_park(actor.claim(0)))
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

/// A bucket that does not start full is started once, and has a queue from then on.
#[test]
fn first_calls() {
    Model::waited_on(quota(2).initial(1))
        .thread(NOW, |actor| actor.enter_and_park(TWO))
        .thread(NOW, |actor| _ = actor.take(1))
        .explore(&["w|+|+", "w|-|+"]);
}

/// A thread that is admitted with given-back tokens sees everything that was done before they were
/// given back: through the queue, and through the word that was handed back.
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

/// A thread that joins the queue sees it too.
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

//! The limiter is closed. Every wait ends, now and later, and the word stays with the queue.

use brimful_loom_tests::{Model, quota};
use loom::sync::atomic::Ordering::Relaxed;

use super::{LATER, NO_CLOCK, NOW, ONE, emptied, one_granted, one_waits, two_before_one};

/// The caller that arrives is refused, or waits and fails.
#[test]
fn close_against_an_arrival() {
    Model::waited_on(quota(1))
        .setup(emptied::<_, 1>)
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(NOW, |actor| actor.close())
        .explore(&["e|z", "w|z|e"]);
}

/// The token is there. A caller that is ready to wait gets it only before the limiter is closed.
#[test]
fn close_against_an_arrival_at_a_full_bucket() {
    Model::waited_on(quota(2))
        .thread(NOW, |actor| {
            actor.enter_and_park(ONE);
            actor.enter_and_park(ONE);
        })
        .thread(NOW, |actor| actor.close())
        .explore(&["++|z", "+e|z", "ee|z"]);
}

/// Callers that do not wait go on as before.
#[test]
fn close_against_takers() {
    Model::waited_on(quota(1))
        .thread(NOW, |actor| {
            actor.close();
            actor.enter_and_park(ONE);
        })
        .thread(NOW, |actor| {
            actor.take(1);
            actor.take(1);
        })
        .explore(&["ze|+-"]);
}

/// A waiter was served before, or fails.
#[test]
fn close_against_a_grant() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(NO_CLOCK, |actor| actor.fire())
        .thread(NOW, |actor| actor.close())
        .explore(&["|z|+", "|z|e"]);
}

/// The same, with a refund in the timer's place.
#[test]
fn close_against_a_refund() {
    Model::waited_on(quota(2))
        .setup(two_before_one)
        .thread(NOW, |actor| actor.add(2))
        .thread(NOW, |actor| actor.close())
        .explore(&["a2|z|+e", "a2|z|ee"]);
}

/// The last waiter is cancelled, and its thread must not hand the word back.
#[test]
fn close_against_a_cancel() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(NOW, |actor| actor.leave(actor.claim(0)))
        .thread(NOW, |actor| {
            actor.close();
            actor.take(1);
        })
        .explore(&["l|z-"]);
}

/// The same, while another caller arrives.
#[test]
fn close_against_a_cancel_and_an_arrival() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(NOW, |actor| actor.leave(actor.claim(0)))
        .thread(NOW, |actor| actor.close())
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .preemptions(2)
        .explore(&["l|z|e", "l|z|w|e"]);
}

/// A waiter is polled while it fails.
#[test]
fn close_against_a_poll() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(NO_CLOCK, |actor| actor.poll_and_park(actor.claim(0)))
        .thread(NOW, |actor| actor.close())
        .explore(&[".|z|e", "e|z"]);
}

/// Granted tokens that were not collected are given back to the word, wherever it is.
#[test]
fn close_against_a_cancel_of_a_grant() {
    Model::waited_on(quota(1))
        .setup(one_granted::<_, 1>)
        .thread(LATER, |actor| {
            actor.leave(actor.claim(0));
            actor.take(1);
        })
        .thread(NOW, |actor| actor.close())
        .explore(&["b+|z"]);
}

/// A grant stays a grant.
#[test]
fn close_against_a_poll_of_a_grant() {
    Model::waited_on(quota(1))
        .setup(one_granted::<_, 1>)
        .thread(NO_CLOCK, |actor| actor.poll_and_park(actor.claim(0)))
        .thread(NOW, |actor| actor.close())
        .explore(&["+|z"]);
}

/// A waiter is displaced, or the limiter is closed before.
#[test]
fn close_against_a_displacing_arrival() {
    Model::waited_on_by(quota(2), 1)
        .setup(|actor| {
            emptied::<_, 2>(actor);
            actor.enter_and_park(ONE.leaving(1));
        })
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(NOW, |actor| actor.close())
        .explore(&["e|z|e", "w|z|pe"]);
}

/// Two threads close the limiter.
#[test]
fn two_close() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(NOW, |actor| actor.close())
        .thread(NOW, |actor| actor.close())
        .explore(&["z|z|e"]);
}

/// A reset is not lost.
#[test]
fn close_against_a_reset() {
    Model::waited_on(quota(1))
        .setup(emptied::<_, 1>)
        .thread(NOW, |actor| actor.close())
        .thread(NOW, |actor| {
            actor.reset();
            actor.take(1);
        })
        .explore(&["z|r+"]);
}

/// No timer fires, so the thread wakes only if the limiter is closed.
#[test]
fn blocked_until_closed() {
    Model::waited_on(quota(1))
        .setup(emptied::<_, 1>)
        .thread(NOW, |actor| actor.block(ONE))
        .thread(NOW, |actor| actor.close())
        .explore(&["e|z"]);
}

/// The limiter is closed, or the timer wakes the thread.
#[test]
fn blocked_until_closed_or_granted() {
    Model::waited_on(quota(1))
        .setup(emptied::<_, 1>)
        .thread(NOW, |actor| actor.block(ONE))
        .thread(NOW, |actor| actor.close())
        .timekeeper()
        .preemptions(2)
        .explore(&["+|z|", "e|z|"]);
}

/// The waker of a waiter that fails may read the bucket.
#[test]
fn closed_and_woken_to_look() {
    Model::waited_on(quota(1))
        .setup(|actor| {
            emptied::<_, 1>(actor);
            actor.enter_and_park(ONE.peeking());
        })
        .thread(NOW, |actor| actor.close())
        .thread(NOW, |actor| actor.add(1))
        .explore(&["z|a1|+", "z|a1|e"]);
}

/// A thread that is admitted with given-back tokens sees everything that was done before they were
/// given back, also if the word has been handed over meanwhile.
#[test]
fn given_back_to_a_closed_limiter_happens_before_admitted() {
    Model::waited_on(quota(1))
        .setup(emptied::<_, 1>)
        .thread(NOW, |actor| {
            actor.mailbox.store(1, Relaxed);
            actor.add(1);
        })
        .thread(NOW, |actor| actor.close())
        .thread(NOW, |actor| {
            if actor.take(1) {
                assert_eq!(actor.mailbox.load(Relaxed), 1);
            }
        })
        .preemptions(2)
        .explore(&["a1|z|+", "a1|z|-"]);
}

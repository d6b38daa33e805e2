//! Threads that block until they are served. Wakers and timers that call back from within.

use brimful_loom_tests::{Model, quota};

use super::{NO_CLOCK, NOW, ONE, emptied, long, one_waits};

/// Only the timer can serve it.
#[test]
fn blocked_until_the_timer_fires() {
    Model::waited_on(quota(1))
        .setup(emptied::<_, 1>)
        .thread(NOW, |actor| actor.block(ONE))
        .timekeeper()
        .explore(&["+|"]);
}

#[test]
fn blocked_until_tokens_are_given_back() {
    Model::waited_on(quota(1))
        .setup(emptied::<_, 1>)
        .thread(NOW, |actor| actor.block(ONE))
        .thread(NOW, |actor| actor.add(1))
        .explore(&["+|a1"]);
}

/// The first waiter is cancelled, and may have been served.
#[test]
fn blocked_behind_one_who_leaves() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(NOW, |actor| actor.block(ONE))
        .thread(NOW, |actor| actor.leave(actor.claim(0)))
        .timekeeper()
        .preemptions(if long() { 3 } else { 2 })
        .explore(&["+|b|", "+|l|"]);
}

/// A blocked thread and a task.
#[test]
fn blocked_beside_a_task() {
    Model::waited_on(quota(1))
        .setup(emptied::<_, 1>)
        .thread(NOW, |actor| actor.block(ONE))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .timekeeper()
        .preemptions(if long() { 3 } else { 2 })
        .explore(&["+|w||+"]);
}

/// Two threads block. Tokens for one are given back, and the timer fires for the other.
#[test]
fn two_blocked() {
    Model::waited_on(quota(2))
        .setup(emptied::<_, 2>)
        .thread(NOW, |actor| actor.block(ONE))
        .thread(NOW, |actor| actor.block(ONE))
        .timekeeper()
        .preemptions(2)
        .explore(&["+|+|"]);
}

/// A waiter that was served and leaked does not delay a blocked thread.
#[test]
fn blocked_behind_one_who_is_leaked() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(NOW, |actor| actor.block(ONE))
        .thread(NO_CLOCK, |actor| actor.leak(actor.claim(0)))
        .timekeeper()
        .preemptions(if long() { 3 } else { 2 })
        .explore(&["+||"]);
}

/// A waker may read the bucket from within the dispatch that wakes it.
#[test]
fn woken_to_look_at_the_bucket() {
    Model::waited_on(quota(1))
        .setup(emptied::<_, 1>)
        .thread(NOW, |actor| actor.enter_and_park(ONE.peeking()))
        .thread(NO_CLOCK, |actor| actor.fire())
        .thread(NOW, |actor| actor.add(1))
        .preemptions(2)
        .explore(&["+||a1", "w||a1|+"]);
}

/// A timer may wake its waker from within `arm`.
#[test]
fn timer_that_fires_as_it_is_armed() {
    Model::waited_on(quota(1))
        .waking_timers()
        .setup(emptied::<_, 1>)
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .explore(&["w|w|++"]);
}

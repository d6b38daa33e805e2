//! Threads that block, which sleep until they are served; and wakers and timers that come back at once.

use brimful_loom_tests::{Model, quota};

use super::{BLIND, NOW, ONE, emptied, long, one_waits};

/// Nobody but the timer is there.
#[test]
fn blocked_until_the_timer_fires() {
    Model::waited_on(quota(1)).setup(emptied::<_, 1>).thread(NOW, |actor| actor.block(1)).timekeeper().explore(&["+|"]);
}

#[test]
fn blocked_until_tokens_are_given_back() {
    Model::waited_on(quota(1))
        .setup(emptied::<_, 1>)
        .thread(NOW, |actor| actor.block(1))
        .thread(NOW, |actor| actor.add(1))
        .explore(&["+|a1"]);
}

/// The first goes before it is served.
#[test]
fn blocked_behind_one_who_leaves() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(NOW, |actor| actor.block(1))
        .thread(NOW, |actor| actor.leave(actor.claim(0)))
        .timekeeper()
        .preemptions(if long() { 3 } else { 2 })
        .explore(&["+|b|", "+|l|"]);
}

/// A thread and a task.
#[test]
fn blocked_beside_a_task() {
    Model::waited_on(quota(1))
        .setup(emptied::<_, 1>)
        .thread(NOW, |actor| actor.block(1))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .timekeeper()
        .preemptions(if long() { 3 } else { 2 })
        .explore(&["+|w||+"]);
}

/// Two threads, and tokens for one that are given back; the timer fires for the other.
#[test]
fn two_blocked() {
    Model::waited_on(quota(2))
        .setup(emptied::<_, 2>)
        .thread(NOW, |actor| actor.block(1))
        .thread(NOW, |actor| actor.block(1))
        .timekeeper()
        .preemptions(2)
        .explore(&["+|+|"]);
}

/// Whoever was served and forgets it does not keep a thread waiting.
#[test]
fn blocked_behind_one_who_is_leaked() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(NOW, |actor| actor.block(1))
        .thread(BLIND, |actor| actor.leak(actor.claim(0)))
        .timekeeper()
        .preemptions(if long() { 3 } else { 2 })
        .explore(&["+||"]);
}

/// A waker may come to the queue, from within.
#[test]
fn woken_to_look_at_the_bucket() {
    Model::waited_on(quota(1))
        .setup(emptied::<_, 1>)
        .thread(NOW, |actor| actor.enter_and_park(ONE.eager()))
        .thread(BLIND, |actor| actor.fire())
        .thread(NOW, |actor| actor.add(1))
        .preemptions(2)
        .explore(&["+||a1", "w||a1|+"]);
}

/// So may a timer, by its waker.
#[test]
fn timer_that_fires_as_it_is_armed() {
    Model::waited_on(quota(1))
        .hasty_timers()
        .setup(emptied::<_, 1>)
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .explore(&["w|w|++"]);
}

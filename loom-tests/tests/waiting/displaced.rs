//! The queue is full, and a caller that leaves less takes the place of the waiter that is served
//! last.

use brimful::OnFull::Deny;
use brimful_loom_tests::{Actor, Key, Model, T, Table, WaitRequest, Waitable, key, quota};

use super::{LATER, LATEST, NO_CLOCK, NOW, ONE, TWO, emptied, long};

/// A wait of the lower class.
const LOW: WaitRequest = ONE.leaving(1);

const A: Key = key(1, 0, 0);

/// The bucket is empty, and a caller of the lower class waits.
fn low_waits<L: Waitable>(actor: &Actor<L>) {
    emptied::<_, 2>(actor);
    actor.enter_and_park(LOW);
}

/// The same, and a second caller of that class waits.
fn two_low_wait<L: Waitable>(actor: &Actor<L>) {
    low_waits(actor);
    actor.enter_and_park(LOW);
}

/// The waiter is displaced when it is due.
#[test]
fn displaced_against_its_grant() {
    Model::waited_on_by(quota(2), 1)
        .setup(low_waits)
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(NO_CLOCK, |actor| actor.fire())
        .explore(&["w||++", "w||p+"]);
}

/// The newcomer is not first, so only the displaced waiter needs a dispatch.
#[test]
fn displaced_behind_another() {
    Model::waited_on_by(quota(2), 2)
        .setup(|actor| {
            emptied::<_, 2>(actor);
            actor.enter_and_park(ONE);
            actor.enter_and_park(LOW);
        })
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(NO_CLOCK, |actor| actor.poll_and_park(actor.claim(1)))
        .explore(&["w|.|p++", "w|p|++"]);
}

/// The only waiter is cancelled, or displaced before.
#[test]
fn displaced_against_its_cancel() {
    Model::waited_on_by(quota(2), 1)
        .setup(low_waits)
        .thread(NOW, |actor| actor.leave(actor.claim(0)))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .explore(&["l|w|+"]);
}

/// The first waiter is cancelled, and the second one keeps its place or is displaced.
#[test]
fn displaced_against_a_cancel_of_the_first() {
    Model::waited_on_by(quota(2), 2)
        .setup(two_low_wait)
        .thread(NOW, |actor| actor.leave(actor.claim(0)))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .explore(&["l|w|++", "l|w|p+"]);
}

/// The waiter is polled while it is displaced.
#[test]
fn displaced_against_a_poll() {
    Model::waited_on_by(quota(2), 1)
        .setup(low_waits)
        .thread(NO_CLOCK, |actor| actor.poll_and_park(actor.claim(0)))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .explore(&[".|w|p+", "p|w|+"]);
}

/// Two callers displace two waiters.
#[test]
fn two_displace() {
    Model::waited_on_by(quota(2), 2)
        .setup(two_low_wait)
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .explore(&["w|w|pp++"]);
}

/// Two callers come for one place. The second one displaces the first, or is refused.
#[test]
fn two_displace_for_one_place() {
    Model::waited_on_by(quota(3), 1)
        .setup(|actor| {
            emptied::<_, 3>(actor);
            actor.enter_and_park(ONE.leaving(2));
        })
        .thread(NOW, |actor| actor.enter_and_park(LOW))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .explore(&["q|w|p+", "w|w|pp+"]);
}

/// The newcomer that displaced a waiter is cancelled while the timer fires.
#[test]
fn displaced_by_one_who_leaves() {
    Model::waited_on_by(quota(2), 1)
        .setup(low_waits)
        .thread(NOW, |actor| {
            if let Some(waiting) = actor.enter(ONE) {
                actor.leave(waiting);
            }
        })
        .thread(NO_CLOCK, |actor| actor.fire())
        .explore(&["wb||+", "wb||p", "wl||+", "wl||p"]);
}

/// No timer fires, so the thread wakes only if it is displaced.
#[test]
fn blocked_until_displaced() {
    Model::waited_on_by(quota(2), 1)
        .setup(emptied::<_, 2>)
        .thread(NOW, |actor| actor.block(LOW))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .explore(&["q|w|+"]);
}

/// The thread is displaced, or the timer wakes it.
#[test]
fn blocked_until_displaced_or_granted() {
    Model::waited_on_by(quota(2), 1)
        .setup(emptied::<_, 2>)
        .thread(NOW, |actor| actor.block(LOW))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .timekeeper()
        .preemptions(if long() { 2 } else { 1 })
        .explore(&["+|w||+", "q|w||+"]);
}

/// The waker of a displaced waiter may read the bucket.
#[test]
fn displaced_and_woken_to_look() {
    Model::waited_on_by(quota(2), 1)
        .setup(|actor| {
            emptied::<_, 2>(actor);
            actor.enter_and_park(LOW.peeking());
        })
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(NOW, |actor| actor.add(1))
        .explore(&["+|a1|+", "w|a1|p+"]);
}

/// A waiter is displaced while its key is removed.
#[test]
fn displaced_against_a_removal() {
    Model::waited_on_table_by(quota(2), 3, Deny, 1)
        .setup(|actor: &Actor<Table>| low_waits(&actor.on(A)))
        .thread(NOW, |actor| actor.on(A).enter_and_park(ONE))
        .thread(NOW, |actor| actor.on(A).remove())
        .explore(&["+|x|n", "w|x|pn"]);
}

/// The queue of a key ends while the waiter that was displaced is not woken yet.
#[test]
fn displaced_by_the_last_one_who_leaves() {
    Model::waited_on_table_by(quota(2), 3, Deny, 1)
        .setup(|actor: &Actor<Table>| low_waits(&actor.on(A)))
        .thread(NOW, |actor| {
            if let Some(waiting) = actor.on(A).enter(ONE) {
                actor.on(A).leave(waiting);
            }
        })
        .thread(LATER, |actor| _ = actor.on(A).take(1))
        .explore(&["wl|+|p", "wl|-|p"]);
}

/// The dispatch is given up while a waiter is displaced, and the queue then ends: no later call
/// comes to it.
#[test]
fn displaced_while_given_up() {
    Model::waited_on_by(quota(2), 1)
        .setup(|actor| {
            low_waits(actor);
            // The waiter is due a token later than the instant for which the timer is armed.
            assert!(actor.take_at(5 * T, 1));
        })
        .thread(NO_CLOCK, |actor| actor.fire_broken())
        .thread(LATEST, |actor| {
            if let Some(waiting) = actor.enter(TWO) {
                actor.leave(waiting);
            }
        })
        .explore(&["|wl|p"]);
}

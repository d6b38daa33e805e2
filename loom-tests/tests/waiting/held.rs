//! A grant that is held back by jitter. It keeps its place among the waiters until it is released.

use brimful_loom_tests::{Actor, Model, T, WaitRequest, Waitable, quota};

use super::{LATER, NO_CLOCK, NOW, ONE, emptied, long};

/// Granted at 5 T, and released a microsecond later.
const HELD: WaitRequest = ONE.held_until(5 * T + 1_000);

/// The bucket is empty, and a caller waits.
fn one_waits<L: Waitable>(actor: &Actor<L>) {
    emptied::<_, 1>(actor);
    actor.enter_and_park(HELD);
}

/// The same, and the caller was granted its token, which is held back.
fn one_is_held<L: Waitable>(actor: &Actor<L>) {
    one_waits(actor);
    actor.fire();
}

/// The caller that arrives is refused before the grant and after it.
#[test]
fn held_against_an_arrival() {
    Model::waited_on_by(quota(1), 1)
        .setup(one_waits)
        .thread(NO_CLOCK, |actor| actor.fire())
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .explore(&["|q|+"]);
}

/// The caller that arrives after the release has a place.
#[test]
fn released_against_an_arrival() {
    Model::waited_on_by(quota(1), 1)
        .setup(one_is_held)
        .thread(NO_CLOCK, |actor| actor.fire())
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .explore(&["|q|+", "|w|++"]);
}

/// The grant is cancelled, so the caller that arrives has a place, or finds the token.
#[test]
fn cancelled_against_an_arrival() {
    Model::waited_on_by(quota(1), 1)
        .setup(one_is_held)
        .thread(LATER, |actor| actor.leave(actor.claim(0)))
        .thread(LATER, |actor| actor.enter_and_park(ONE))
        .explore(&["b|+", "b|q", "b|w|+"]);
}

/// The grant is polled while it is released.
#[test]
fn released_against_a_poll() {
    Model::waited_on_by(quota(1), 1)
        .setup(one_is_held)
        .thread(NO_CLOCK, |actor| actor.poll_and_park(actor.claim(0)))
        .thread(NO_CLOCK, |actor| actor.fire())
        .explore(&["+|", ".||+"]);
}

/// A caller displaces the waiter behind the grant, or has the place of the grant.
#[test]
fn released_against_a_displacing_arrival() {
    Model::waited_on_by(quota(2), 2)
        .setup(|actor| {
            emptied::<_, 2>(actor);
            actor.enter_and_park(HELD);
            actor.enter_and_park(ONE.leaving(1));
            actor.fire();
        })
        .thread(NO_CLOCK, |actor| actor.fire())
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .explore(&["|w|+++", "|w|+p+"]);
}

/// A thread is blocked by its own jitter, and keeps its place.
#[test]
fn blocked_against_an_arrival() {
    Model::waited_on_by(quota(1), 1)
        .setup(emptied::<_, 1>)
        .thread(NOW, |actor| actor.block(HELD))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .timekeeper()
        .preemptions(if long() { 2 } else { 1 })
        .explore(&["+|q|", "+|w||+", "t|w||+"]);
}

/// A grant outlives the limiter's end, and is released in time.
#[test]
fn held_against_a_close() {
    Model::waited_on_by(quota(1), 1)
        .setup(one_is_held)
        .thread(NOW, |actor| actor.close())
        .thread(NO_CLOCK, |actor| actor.fire())
        .explore(&["z||+"]);
}

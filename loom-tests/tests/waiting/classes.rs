//! Waiters that leave fewer tokens are served first.

use brimful_loom_tests::{Model, quota};

use super::{LATER, NO_CLOCK, NOW, ONE, emptied};

/// The lower class is due when the higher one arrives.
#[test]
fn higher_class_against_a_grant() {
    Model::waited_on(quota(2))
        .setup(|actor| {
            emptied::<_, 2>(actor);
            actor.enter_and_park(ONE.leaving(1));
        })
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(NO_CLOCK, |actor| actor.fire())
        .explore(&["w||++"]);
}

/// A taker comes before a lower class, and may delay it.
#[test]
fn taker_before_a_lower_class() {
    Model::waited_on(quota(2))
        .setup(|actor| {
            emptied::<_, 2>(actor);
            actor.enter_and_park(ONE.leaving(1));
        })
        .thread(LATER, |actor| _ = actor.take(1))
        .thread(NO_CLOCK, |actor| actor.fire())
        .explore(&["+||+", "-||+"]);
}

/// The waiter of the higher class is cancelled, and may have been served.
#[test]
fn higher_class_leaves() {
    Model::waited_on(quota(2))
        .setup(|actor| {
            emptied::<_, 2>(actor);
            actor.enter_and_park(ONE.leaving(1));
            actor.enter_and_park(ONE);
        })
        .thread(LATER, |actor| actor.leave(actor.claim(1)))
        .thread(NO_CLOCK, |actor| actor.fire())
        .explore(&["b||+", "l||+"]);
}

/// Waiters of two classes arrive at the same time.
#[test]
fn two_classes_arrive() {
    Model::waited_on(quota(2))
        .setup(emptied::<_, 2>)
        .thread(NOW, |actor| actor.enter_and_park(ONE.leaving(1)))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .explore(&["w|w|++"]);
}

//! Who is to leave less is served first.

use brimful_loom_tests::{Model, quota};

use super::{BLIND, LATER, NOW, ONE, emptied};

/// The lower class is due when the higher one comes.
#[test]
fn higher_class_against_a_grant() {
    Model::waited_on(quota(2))
        .setup(|actor| {
            emptied::<_, 2>(actor);
            actor.enter_and_park(ONE.leaving(1));
        })
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .thread(BLIND, |actor| actor.fire())
        .explore(&["w||++"]);
}

/// A taker comes before a lower class, and may keep it from being served.
#[test]
fn taker_before_a_lower_class() {
    Model::waited_on(quota(2))
        .setup(|actor| {
            emptied::<_, 2>(actor);
            actor.enter_and_park(ONE.leaving(1));
        })
        .thread(LATER, |actor| _ = actor.take(1))
        .thread(BLIND, |actor| actor.fire())
        .explore(&["+||+", "-||+"]);
}

/// The higher class goes before it is served.
#[test]
fn higher_class_leaves() {
    Model::waited_on(quota(2))
        .setup(|actor| {
            emptied::<_, 2>(actor);
            actor.enter_and_park(ONE.leaving(1));
            actor.enter_and_park(ONE);
        })
        .thread(LATER, |actor| actor.leave(actor.claim(1)))
        .thread(BLIND, |actor| actor.fire())
        .explore(&["b||+", "l||+"]);
}

/// Two classes come at once.
#[test]
fn two_classes_arrive() {
    Model::waited_on(quota(2))
        .setup(emptied::<_, 2>)
        .thread(NOW, |actor| actor.enter_and_park(ONE.leaving(1)))
        .thread(NOW, |actor| actor.enter_and_park(ONE))
        .explore(&["w|w|++"]);
}

//! Takers of the same tokens: each is charged once, and no token is granted twice.

use brimful_loom_tests::{Model, Readings, STEP, T, quota};

/// A call that fails reads the clock again, half a token later, which is still too early.
const HALF_LATER: Readings = Readings::Script(&[&[4 * T, 4 * T + T / 2]]);

#[test]
fn two_takers_of_the_last_token() {
    Model::new(quota(1))
        .thread(HALF_LATER, |actor| _ = actor.take(1))
        .thread(HALF_LATER, |actor| _ = actor.take(1))
        .explore(&["+|-", "-|+"]);
}

#[test]
fn three_takers_of_the_last_token() {
    Model::new(quota(1))
        .thread(HALF_LATER, |actor| _ = actor.take(1))
        .thread(HALF_LATER, |actor| _ = actor.take(1))
        .thread(HALF_LATER, |actor| _ = actor.take(1))
        .explore(&["+|-|-", "-|+|-", "-|-|+"]);
}

/// The last token is not taken from a full bucket, so nothing is clipped.
#[test]
fn two_takers_of_the_last_of_two() {
    Model::new(quota(2))
        .setup(|actor| assert!(actor.take_at(4 * T, 1)))
        .thread(HALF_LATER, |actor| _ = actor.take(1))
        .thread(HALF_LATER, |actor| _ = actor.take(1))
        .explore(&["+|-", "-|+"]);
}

/// All readings together span less than the time of a token.
#[test]
fn three_takers_while_time_passes() {
    let readings = Readings::Shared { step: STEP, skew: 0 };
    Model::new(quota(1))
        .thread(readings, |actor| _ = actor.take(1))
        .thread(readings, |actor| _ = actor.take(1))
        .thread(readings, |actor| _ = actor.take(1))
        .preemptions(3)
        .explore(&["+|-|-", "-|+|-", "-|-|+"]);
}

#[test]
fn two_tokens_or_one_of_two() {
    Model::new(quota(3))
        .setup(|actor| assert!(actor.take_at(4 * T, 1)))
        .thread(HALF_LATER, |actor| _ = actor.take(2))
        .thread(HALF_LATER, |actor| _ = actor.take(1))
        .explore(&["+|-", "-|+"]);
}

#[test]
fn two_tokens_or_one_and_one() {
    Model::new(quota(2))
        .thread(HALF_LATER, |actor| _ = actor.take(2))
        .thread(HALF_LATER, |actor| _ = actor.take(1))
        .thread(HALF_LATER, |actor| _ = actor.take(1))
        .explore(&["+|-|-", "-|+|+"]);
}

//! Takers of the same tokens: each is charged once, and nobody gets what another got.

use brimful_loom_tests::{Hand, Model, STEP, T, quota};

/// Whoever loses looks again, half a token later: still not enough.
const HALF_LATER: Hand = Hand::Script(&[&[4 * T, 4 * T + T / 2]]);

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

/// The last token is not that of a full bucket: nothing is clipped.
#[test]
fn two_takers_of_the_last_of_two() {
    Model::new(quota(2))
        .setup(|actor| assert!(actor.take_at(4 * T, 1)))
        .thread(HALF_LATER, |actor| _ = actor.take(1))
        .thread(HALF_LATER, |actor| _ = actor.take(1))
        .explore(&["+|-", "-|+"]);
}

/// All readings together span less than a token.
#[test]
fn three_takers_while_time_passes() {
    let hand = Hand::Shared { step: STEP, skew: 0 };
    Model::new(quota(1))
        .thread(hand, |actor| _ = actor.take(1))
        .thread(hand, |actor| _ = actor.take(1))
        .thread(hand, |actor| _ = actor.take(1))
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

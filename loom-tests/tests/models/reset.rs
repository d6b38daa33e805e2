//! Resets and added tokens against takers.

use brimful_loom_tests::{Model, Readings, T, quota};

const NOW: Readings = Readings::Script(&[&[4 * T, 4 * T], &[4 * T, 4 * T]]);

/// The reset fills the bucket, even if another thread takes from it meanwhile.
#[test]
fn reset_while_tokens_are_taken() {
    Model::new(quota(3))
        .setup(|actor| assert!(actor.take_at(4 * T, 1)))
        .thread(NOW, |actor| actor.reset())
        .thread(NOW, |actor| {
            actor.take(1);
            actor.take(1);
        })
        .explore(&["r|++"]);
}

/// A reset discards a word that is far ahead, but not the tokens that are taken after the reset.
#[test]
fn reset_of_a_clock_that_was_ahead() {
    Model::new(quota(2))
        .setup(|actor| assert!(actor.take_at(1000 * T, 2)))
        .thread(NOW, |actor| actor.reset())
        .thread(NOW, |actor| _ = actor.take(1))
        .thread(NOW, |actor| _ = actor.take(2))
        .explore(&["r|+|-", "r|-|+", "r|-|-"]);
}

/// The bucket has been used. A reset of a bucket that has been full since the origin writes
/// nothing, and may rest on an old word.
#[test]
fn reset_against_a_reservation() {
    Model::new(quota(2))
        .setup(|actor| assert!(actor.take_at(4 * T, 1)))
        .thread(NOW, |actor| {
            if let Some(reservation) = actor.reserve(1) {
                actor.commit(reservation, 3);
            }
        })
        .thread(NOW, |actor| actor.reset())
        .explore(&["+d0|r"]);
}

/// Added tokens are clipped at the burst. The taker decides how many of them fit.
#[test]
fn added_tokens_are_clipped() {
    Model::new(quota(2))
        .setup(|actor| assert!(actor.take_at(4 * T, 1)))
        .thread(NOW, |actor| actor.add(5))
        .thread(NOW, |actor| _ = actor.take(1))
        .explore(&["a1|+", "a2|+"]);
}

#[test]
fn two_who_add() {
    Model::new(quota(3))
        .setup(|actor| assert!(actor.take_at(4 * T, 3)))
        .thread(NOW, |actor| actor.add(2))
        .thread(NOW, |actor| actor.add(2))
        .thread(NOW, |actor| _ = actor.take(2))
        .explore(&["a1|a2|+", "a1|a2|-", "a2|a1|+", "a2|a1|-", "a2|a2|+"]);
}

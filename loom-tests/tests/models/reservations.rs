//! Reservations against takers: what was taken is settled once, whatever comes between.

use brimful_loom_tests::{Hand, Model, T, quota};

const NOW: Hand = Hand::Script(&[&[4 * T, 4 * T], &[4 * T]]);

#[test]
fn cancel_against_a_taker() {
    Model::new(quota(1))
        .thread(NOW, |actor| {
            if let Some(reservation) = actor.reserve(1) {
                actor.cancel(reservation);
            }
        })
        .thread(NOW, |actor| _ = actor.take(1))
        .explore(&["+g|+", "+g|-", "-|+"]);
}

/// Both give back, and nothing is clipped away.
#[test]
fn two_cancels_against_a_taker() {
    Model::new(quota(3))
        .thread(NOW, |actor| {
            if let Some(reservation) = actor.reserve(1) {
                actor.cancel(reservation);
            }
        })
        .thread(NOW, |actor| {
            if let Some(reservation) = actor.reserve(2) {
                actor.cancel(reservation);
            }
        })
        .thread(NOW, |actor| _ = actor.take(2))
        .preemptions(3)
        .explore(&["+g|+g|+", "+g|+g|-", "+g|-|+"]);
}

/// Time passes, so that a give-back of a call that began on a full bucket is clipped.
#[test]
fn cancel_is_clipped() {
    Model::new(quota(2))
        .thread(Hand::Script(&[&[4 * T, 4 * T], &[5 * T]]), |actor| {
            if let Some(reservation) = actor.reserve(2) {
                actor.cancel(reservation);
            }
        })
        .thread(Hand::Script(&[&[5 * T, 6 * T], &[6 * T, 6 * T]]), |actor| {
            actor.take(1);
            actor.take(1);
        })
        .explore(&["+g|++", "-|++"]);
}

/// A cancel whose reading is older than what another has written clips as of the word.
#[test]
fn cancel_with_an_old_reading() {
    Model::new(quota(2))
        .thread(Hand::Script(&[&[4 * T, 4 * T], &[4 * T]]), |actor| {
            if let Some(reservation) = actor.reserve(2) {
                actor.cancel(reservation);
            }
        })
        .thread(Hand::Script(&[&[8 * T, 8 * T]]), |actor| _ = actor.take(1))
        .explore(&["+g|+", "-|+"]);
}

#[test]
fn commit_of_less() {
    Model::new(quota(2))
        .thread(NOW, |actor| {
            if let Some(reservation) = actor.reserve(2) {
                actor.commit(reservation, 1);
            }
        })
        .thread(NOW, |actor| _ = actor.take(1))
        .explore(&["+g|+", "+g|-", "-|+"]);
}

/// The debt ends two below zero: what the taker had is left uncharged.
#[test]
fn commit_of_more() {
    Model::new(quota(2))
        .thread(NOW, |actor| {
            if let Some(reservation) = actor.reserve(1) {
                actor.commit(reservation, 4);
            }
        })
        .thread(NOW, |actor| _ = actor.take(1))
        .explore(&["+d0|-", "+d1|+"]);
}

#[test]
fn two_commits_of_more() {
    Model::new(quota(2))
        .thread(NOW, |actor| {
            if let Some(reservation) = actor.reserve(1) {
                actor.commit(reservation, 3);
            }
        })
        .thread(NOW, |actor| {
            if let Some(reservation) = actor.reserve(1) {
                actor.commit(reservation, 4);
            }
        })
        .explore(&["+d0|+d3", "+d0|-", "+d2|+d1", "-|+d0"]);
}

/// What is charged late is charged to a full bucket, not to all that was earned since; so soon
/// that the word is not yet past its horizon, where it is full without being asked.
#[test]
fn commit_of_more_when_full_again() {
    Model::new(quota(2))
        .thread(Hand::Script(&[&[4 * T, 4 * T], &[7 * T]]), |actor| {
            if let Some(reservation) = actor.reserve(1) {
                actor.commit(reservation, 3);
            }
        })
        .thread(Hand::Script(&[&[7 * T, 7 * T]]), |actor| _ = actor.take(1))
        .explore(&["+d0|+", "+d0|-", "-|+"]);
}

//! Reservations against takers: each reservation is settled once, whatever happens in between.

use brimful_loom_tests::{Model, Readings, T, quota};

const NOW: Readings = Readings::Script(&[&[4 * T, 4 * T], &[4 * T]]);

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

/// Both give back, and nothing is clipped.
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

/// Time passes, so the give-back of a call that began on a full bucket is clipped.
#[test]
fn cancel_is_clipped() {
    Model::new(quota(2))
        .thread(Readings::Script(&[&[4 * T, 4 * T], &[5 * T]]), |actor| {
            if let Some(reservation) = actor.reserve(2) {
                actor.cancel(reservation);
            }
        })
        .thread(Readings::Script(&[&[5 * T, 6 * T], &[6 * T, 6 * T]]), |actor| {
            actor.take(1);
            actor.take(1);
        })
        .explore(&["+g|++", "-|++"]);
}

/// The reading of a cancel is older than the word. The room for its tokens is then computed as of
/// the word's tick.
#[test]
fn cancel_with_an_old_reading() {
    Model::new(quota(2))
        .thread(Readings::Script(&[&[4 * T, 4 * T], &[4 * T]]), |actor| {
            if let Some(reservation) = actor.reserve(2) {
                actor.cancel(reservation);
            }
        })
        .thread(Readings::Script(&[&[8 * T, 8 * T]]), |actor| _ = actor.take(1))
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

/// The debt limit is two tokens, so the tokens that the taker got are left uncharged.
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

/// A late charge is taken from a full bucket, not from everything that was earned since. The word
/// is still within its horizon, so the count must show that the bucket is full.
#[test]
fn commit_of_more_when_full_again() {
    Model::new(quota(2))
        .thread(Readings::Script(&[&[4 * T, 4 * T], &[7 * T]]), |actor| {
            if let Some(reservation) = actor.reserve(1) {
                actor.commit(reservation, 3);
            }
        })
        .thread(Readings::Script(&[&[7 * T, 7 * T]]), |actor| _ = actor.take(1))
        .explore(&["+d0|+", "+d0|-", "-|+"]);
}

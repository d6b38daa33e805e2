//! A bucket that has filled up since: whoever writes first clips it, and everybody else counts
//! from there.

use brimful_loom_tests::{Hand, Model, T, quota, uneven_quota};

/// A nanosecond into the two [`T`] that earn three tokens: no whole number of units has been
/// earned there, and the clip has to round against the taker.
const ODD: u64 = 48 * T + 1;

/// Idle past the word's horizon. From the one reading to the other three tokens are earned, but
/// for a nanosecond's.
#[test]
fn full_for_long() {
    Model::new(uneven_quota(3))
        .setup(|actor| assert!(actor.take_at(T, 3)))
        .thread(Hand::Script(&[&[ODD, 50 * T]]), |actor| _ = actor.take(3))
        .thread(Hand::Script(&[&[50 * T, 50 * T]]), |actor| _ = actor.take(3))
        .explore(&["+|-", "-|+"]);
}

/// Within the horizon, where the count itself tells that the bucket is full.
#[test]
fn full_for_a_moment() {
    Model::new(uneven_quota(3))
        .setup(|actor| assert!(actor.take_at(44 * T, 3)))
        .thread(Hand::Script(&[&[ODD, 50 * T]]), |actor| _ = actor.take(3))
        .thread(Hand::Script(&[&[50 * T, 50 * T]]), |actor| _ = actor.take(2))
        .thread(Hand::Script(&[&[ODD, 50 * T]]), |actor| _ = actor.take(1))
        .explore(&["+|+|-", "+|-|+", "-|+|+"]);
}

/// One reads it full, the other not yet.
#[test]
fn full_for_one_of_two() {
    Model::new(quota(2))
        .setup(|actor| assert!(actor.take_at(4 * T, 2)))
        .thread(Hand::Script(&[&[5 * T, 5 * T]]), |actor| _ = actor.take(1))
        .thread(Hand::Script(&[&[7 * T, 7 * T]]), |actor| _ = actor.take(2))
        .explore(&["+|+", "-|+"]);
}

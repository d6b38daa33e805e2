//! A bucket that has become full since its last write. The first call that writes clips it, and all
//! other calls count from that word.

use brimful_loom_tests::{Model, Readings, T, quota, uneven_quota};

/// One nanosecond into a period of two [`T`], in which three tokens are earned. The units earned by
/// then are not a whole number, so the clip must round them up.
const ODD: u64 = 48 * T + 1;

/// The bucket was idle past the word's horizon. Between the two readings it earns three tokens,
/// less what a nanosecond earns.
#[test]
fn full_for_long() {
    Model::new(uneven_quota(3))
        .setup(|actor| assert!(actor.take_at(T, 3)))
        .thread(Readings::Script(&[&[ODD, 50 * T]]), |actor| _ = actor.take(3))
        .thread(Readings::Script(&[&[50 * T, 50 * T]]), |actor| _ = actor.take(3))
        .explore(&["+|-", "-|+"]);
}

/// The bucket is within the horizon, so the count itself shows that it is full.
#[test]
fn full_for_a_moment() {
    Model::new(uneven_quota(3))
        .setup(|actor| assert!(actor.take_at(44 * T, 3)))
        .thread(Readings::Script(&[&[ODD, 50 * T]]), |actor| _ = actor.take(3))
        .thread(Readings::Script(&[&[50 * T, 50 * T]]), |actor| _ = actor.take(2))
        .thread(Readings::Script(&[&[ODD, 50 * T]]), |actor| _ = actor.take(1))
        .explore(&["+|+|-", "+|-|+", "-|+|+"]);
}

/// At one thread's reading the bucket is full, at the other's it is not.
#[test]
fn full_for_one_of_two() {
    Model::new(quota(2))
        .setup(|actor| assert!(actor.take_at(4 * T, 2)))
        .thread(Readings::Script(&[&[5 * T, 5 * T]]), |actor| _ = actor.take(1))
        .thread(Readings::Script(&[&[7 * T, 7 * T]]), |actor| _ = actor.take(2))
        .explore(&["+|+", "-|+"]);
}

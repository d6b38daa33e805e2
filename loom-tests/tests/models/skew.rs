//! Clocks that stall, differ and run backwards: a reading counts as itself.

use brimful_loom_tests::{Hand, Model, T, quota};

/// A thread reads the clock and stalls while another takes, 98 tokens' time later. Packed
/// limiters that subtract times with wrapping admit it, and all that follow.
#[test]
fn a_stalled_reading_earns_nothing() {
    Model::new(quota(1))
        .thread(Hand::Script(&[&[2 * T, 2 * T + T / 2], &[2 * T + T / 2, 3 * T]]), |actor| {
            actor.take(1);
            actor.take(1);
        })
        .thread(Hand::Script(&[&[100 * T, 100 * T]]), |actor| _ = actor.take(1))
        .clock_first(&["++|+", "+-|+", "--|+"])
        .explore(&["+-|+", "--|+"]);
}

/// As above, with tokens left by the one who was ahead: they are not there at old readings.
#[test]
fn a_stalled_reading_does_not_see_what_is_earned_later() {
    Model::new(quota(2))
        .thread(Hand::Script(&[&[2 * T, 98 * T], &[2 * T, 100 * T]]), |actor| {
            actor.take(2);
            actor.take(1);
        })
        .thread(Hand::Script(&[&[100 * T]]), |actor| _ = actor.take(1))
        .clock_first(&["++|+", "-+|+"])
        .explore(&["++|+", "+-|+", "-+|+"]);
}

/// One thread's readings run backwards while another's advance.
#[test]
fn backward_clocks() {
    Model::new(quota(2))
        .setup(|actor| assert!(actor.take_at(4 * T, 2)))
        .thread(Hand::Script(&[&[8 * T, 3 * T], &[5 * T, 4 * T]]), |actor| {
            actor.take(1);
            actor.take(1);
        })
        .thread(Hand::Script(&[&[5 * T, 7 * T], &[6 * T, 2 * T]]), |actor| {
            actor.take(1);
            actor.take(1);
        })
        .explore(&["+-|++", "+-|+-", "+-|--"]);
}

/// Time passes between a reading and its write, and one core is three tokens behind.
#[test]
fn a_core_that_is_behind() {
    Model::new(quota(1))
        .setup(|actor| assert!(actor.take_at(2 * T, 1)))
        .thread(Hand::Shared { step: T / 2, skew: 0 }, |actor| {
            actor.take(1);
            actor.take(1);
        })
        .thread(Hand::Shared { step: T / 2, skew: -(T as i64) }, |actor| {
            actor.take(1);
            actor.take(1);
        })
        .clock_first(&["++|+-", "++|-+", "++|--", "+-|++", "+-|+-", "+-|-+", "-+|++"])
        .explore(&["++|+-", "++|-+", "++|--", "+-|++", "+-|+-", "+-|-+", "+-|--", "-+|++"]);
}

/// Three cores, each with a time of its own.
#[test]
fn three_cores_that_disagree() {
    Model::new(quota(2))
        .setup(|actor| assert!(actor.take_at(4 * T, 2)))
        .thread(Hand::Script(&[&[5 * T, 5 * T]]), |actor| _ = actor.take(1))
        .thread(Hand::Script(&[&[6 * T, 4 * T]]), |actor| _ = actor.take(2))
        .thread(Hand::Script(&[&[7 * T, 8 * T]]), |actor| _ = actor.take(2))
        .explore(&["+|-|+", "-|+|+", "-|+|-", "-|-|+"]);
}

//! Clocks that stall, differ or run backwards: a reading counts as itself.

use brimful_loom_tests::{Model, Readings, T, quota};

/// A thread reads the clock and stalls, while another thread takes at a reading that is 98 tokens
/// later. Packed limiters that subtract times with wrapping admit the stalled call and all calls
/// after it.
#[test]
fn a_stalled_reading_earns_nothing() {
    Model::new(quota(1))
        .thread(Readings::Script(&[&[2 * T, 2 * T + T / 2], &[2 * T + T / 2, 3 * T]]), |actor| {
            actor.take(1);
            actor.take(1);
        })
        .thread(Readings::Script(&[&[100 * T, 100 * T]]), |actor| _ = actor.take(1))
        .clock_first(&["++|+", "+-|+", "--|+"])
        .explore(&["+-|+", "--|+"]);
}

/// The same, but the thread that was ahead left tokens. They are not there at old readings.
#[test]
fn a_stalled_reading_does_not_see_what_is_earned_later() {
    Model::new(quota(2))
        .thread(Readings::Script(&[&[2 * T, 98 * T], &[2 * T, 100 * T]]), |actor| {
            actor.take(2);
            actor.take(1);
        })
        .thread(Readings::Script(&[&[100 * T]]), |actor| _ = actor.take(1))
        .clock_first(&["++|+", "-+|+"])
        .explore(&["++|+", "+-|+", "-+|+"]);
}

/// The readings of one thread run backwards, those of the other forwards.
#[test]
fn backward_clocks() {
    Model::new(quota(2))
        .setup(|actor| assert!(actor.take_at(4 * T, 2)))
        .thread(Readings::Script(&[&[8 * T, 3 * T], &[5 * T, 4 * T]]), |actor| {
            actor.take(1);
            actor.take(1);
        })
        .thread(Readings::Script(&[&[5 * T, 7 * T], &[6 * T, 2 * T]]), |actor| {
            actor.take(1);
            actor.take(1);
        })
        .explore(&["+-|++", "+-|+-", "+-|--"]);
}

/// Time passes between a reading and its write, and the clock of one core is a token behind.
#[test]
fn a_core_that_is_behind() {
    Model::new(quota(1))
        .setup(|actor| assert!(actor.take_at(2 * T, 1)))
        .thread(Readings::Shared { step: T / 2, skew: 0 }, |actor| {
            actor.take(1);
            actor.take(1);
        })
        .thread(Readings::Shared { step: T / 2, skew: -(T as i64) }, |actor| {
            actor.take(1);
            actor.take(1);
        })
        .clock_first(&["++|+-", "++|-+", "++|--", "+-|++", "+-|+-", "+-|-+", "-+|++"])
        .explore(&["++|+-", "++|-+", "++|--", "+-|++", "+-|+-", "+-|-+", "+-|--", "-+|++"]);
}

/// Three cores, each with its own time.
#[test]
fn three_cores_that_disagree() {
    Model::new(quota(2))
        .setup(|actor| assert!(actor.take_at(4 * T, 2)))
        .thread(Readings::Script(&[&[5 * T, 5 * T]]), |actor| _ = actor.take(1))
        .thread(Readings::Script(&[&[6 * T, 4 * T]]), |actor| _ = actor.take(2))
        .thread(Readings::Script(&[&[7 * T, 8 * T]]), |actor| _ = actor.take(2))
        .explore(&["+|-|+", "-|+|+", "-|+|-", "-|-|+"]);
}

//! A denial stands only on a reading that cannot have been overtaken.

use brimful_loom_tests::{Call, Model, Readings, T, quota};

/// At the second reading there is a token, whichever call came first. So the second call is granted
/// at its first reading, or its swap fails and it reads the clock again. Only a call that loaded
/// the other's word is denied after one reading.
#[test]
fn after_a_lost_swap() {
    Model::new(quota(1))
        .thread(Readings::Script(&[&[4 * T, 4 * T]]), |actor| _ = actor.take(1))
        .thread(Readings::Script(&[&[4 * T, 5 * T]]), |actor| _ = actor.take(1))
        .check(second_looks_of_the_other_are_granted)
        .clock_first(&["+|+", "-|+"])
        .explore(&["+|+", "+|-", "-|+"]);
}

/// A reading from before the word was written finds no token, so the call reads the clock again.
#[test]
fn after_a_reading_older_than_the_word() {
    Model::new(quota(2))
        .setup(|actor| assert!(actor.take_at(4 * T, 2)))
        .thread(Readings::Script(&[&[8 * T, 8 * T]]), |actor| _ = actor.take(1))
        .thread(Readings::Script(&[&[4 * T + T / 2, 9 * T]]), |actor| _ = actor.take(1))
        .check(second_looks_of_the_other_are_granted)
        .clock_first(&["+|+", "-|+"])
        .explore(&["+|+", "+|-"]);
}

/// The second reading replaces the first, even if it is earlier. The answer and the time to retry
/// are those of the second reading.
#[test]
fn the_second_reading_is_earlier() {
    Model::new(quota(2))
        .setup(|actor| assert!(actor.take_at(4 * T, 1)))
        .thread(Readings::Script(&[&[4 * T, 4 * T]]), |actor| _ = actor.take(1))
        .thread(Readings::Script(&[&[4 * T + T / 2, 3 * T]]), |actor| _ = actor.take(1))
        .explore(&["+|-", "-|+"]);
}

fn second_looks_of_the_other_are_granted(calls: &[Call]) {
    assert!(calls.iter().all(|call| call.caller() != 1 || call.clock_reads() == 1 || call.granted()));
}

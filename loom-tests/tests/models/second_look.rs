//! A denial stands only on a reading that cannot have been overtaken.

use brimful_loom_tests::{Call, Hand, Model, T, quota};

/// The token that the second reading sees is there whoever came first: the first reading is
/// granted, or its swap fails and the clock is read again. Denied on one look is only who has
/// loaded the other's word.
#[test]
fn after_a_lost_swap() {
    Model::new(quota(1))
        .thread(Hand::Script(&[&[4 * T, 4 * T]]), |actor| _ = actor.take(1))
        .thread(Hand::Script(&[&[4 * T, 5 * T]]), |actor| _ = actor.take(1))
        .check(second_looks_of_the_other_are_granted)
        .clock_first(&["+|+", "-|+"])
        .explore(&["+|+", "+|-", "-|+"]);
}

/// A reading from before the word was written, which has no token, is looked at again.
#[test]
fn after_a_reading_older_than_the_word() {
    Model::new(quota(2))
        .setup(|actor| assert!(actor.take_at(4 * T, 2)))
        .thread(Hand::Script(&[&[8 * T, 8 * T]]), |actor| _ = actor.take(1))
        .thread(Hand::Script(&[&[4 * T + T / 2, 9 * T]]), |actor| _ = actor.take(1))
        .check(second_looks_of_the_other_are_granted)
        .clock_first(&["+|+", "-|+"])
        .explore(&["+|+", "+|-"]);
}

/// The second reading replaces the first, also where it is the earlier one: the answer, and
/// the time to retry, are its own.
#[test]
fn the_second_reading_is_earlier() {
    Model::new(quota(2))
        .setup(|actor| assert!(actor.take_at(4 * T, 1)))
        .thread(Hand::Script(&[&[4 * T, 4 * T]]), |actor| _ = actor.take(1))
        .thread(Hand::Script(&[&[4 * T + T / 2, 3 * T]]), |actor| _ = actor.take(1))
        .explore(&["+|-", "-|+"]);
}

fn second_looks_of_the_other_are_granted(calls: &[Call]) {
    assert!(calls.iter().all(|call| call.who() != 1 || call.looks() == 1 || call.granted()));
}

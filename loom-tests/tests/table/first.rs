//! The bucket of a key does not start full: its first call starts and charges it in one step.

use brimful::OnFull::Deny;
use brimful_loom_tests::{Key, Model, Readings, T, key, quota};

const A: Key = key(1, 0, 0);

const NOW: Readings = Readings::Calls(&[4 * T, 4 * T]);

#[test]
fn two_first_calls() {
    Model::table(quota(2).initial(1), 3, Deny)
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .explore(&["+|-", "-|+"]);
}

/// The bucket earns from the reading that started it.
#[test]
fn two_first_calls_that_disagree() {
    Model::table(quota(3).initial(1), 3, Deny)
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .thread(Readings::Calls(&[6 * T]), |actor| _ = actor.on(A).take(2))
        .explore(&["+|+", "-|-"]);
}

/// A denied first call starts the bucket too.
#[test]
fn denied_first_calls() {
    Model::table(quota(1).initial(0), 3, Deny)
        .thread(Readings::Calls(&[4 * T, 5 * T]), |actor| {
            actor.on(A).take(1);
            actor.on(A).take(1);
        })
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .preemptions(3)
        .explore(&["-+|-"]);
}

/// A key that was removed starts anew.
#[test]
fn first_calls_against_a_removal() {
    Model::table(quota(2).initial(1), 3, Deny)
        .setup(|actor| assert!(actor.on(A).take_at(4 * T, 1)))
        .thread(NOW, |actor| actor.on(A).remove())
        .thread(NOW, |actor| {
            actor.on(A).take(1);
            actor.on(A).take(1);
        })
        .explore(&["x|+-", "x|-+", "x|--"]);
}

//! A waiter that would not be served by its deadline fails as soon as that is known.

use brimful_loom_tests::{Model, Readings, T, quota};

use super::{LATER, NO_CLOCK, NOW, ONE, TWO, emptied, one_waits};

/// A late charge makes the wait too late, or comes after the grant.
#[test]
fn debt_against_a_grant() {
    Model::waited_on(quota(2))
        .setup(|actor| assert!(actor.take_at(4 * T, 1)))
        .thread(NOW, |actor| {
            let reservation = actor.reserve(1).expect("no other thread takes it");
            actor.enter_and_park(ONE.until(5 * T));
            actor.commit(reservation, 2);
        })
        .thread(NO_CLOCK, |actor| actor.fire())
        .explore(&["+wd0||+", "+wd0||t"]);
}

/// The same, with a second waiter that has a later deadline.
#[test]
fn debt_before_another() {
    Model::waited_on(quota(2))
        .setup(|actor| assert!(actor.take_at(4 * T, 1)))
        .thread(NOW, |actor| {
            if let Some(reservation) = actor.reserve(1) {
                actor.enter_and_park(ONE.until(5 * T));
                actor.commit(reservation, 2);
            }
        })
        .thread(NOW, |actor| actor.enter_and_park(ONE.until(6 * T)))
        .explore(&["+td0|w|+", "+wd0|t|t", "+wd0|w|t+", "-|+"]);
}

/// The charge makes the second waiter too late. That waiter fails at once.
#[test]
fn debt_against_the_second() {
    Model::waited_on(quota(2))
        .setup(|actor| assert!(actor.take_at(4 * T, 1)))
        .thread(NOW, |actor| {
            let reservation = actor.reserve(1).expect("no other thread takes it");
            actor.enter_and_park(ONE);
            actor.enter_and_park(ONE.until(6 * T));
            actor.commit(reservation, 2);
        })
        .thread(NO_CLOCK, |actor| actor.fire())
        .explore(&["+wwd0||+t", "+wwd0||t+"]);
}

/// In time if the first waiter is cancelled before, and too late otherwise.
#[test]
fn deadline_behind_one_who_leaves() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(NOW, |actor| actor.leave(actor.claim(0)))
        .thread(NOW, |actor| actor.enter_and_park(ONE.until(5 * T)))
        .explore(&["l|t", "l|w|+"]);
}

/// The deadline is the instant at which the waiter is due. The timer fires then, and the waiter is
/// served if no taker came first.
#[test]
fn deadline_against_its_grant() {
    Model::waited_on(quota(1))
        .setup(emptied::<_, 1>)
        .thread(NOW, |actor| actor.enter_and_park(ONE.until(5 * T)))
        .thread(NO_CLOCK, |actor| actor.fire())
        .thread(LATER, |actor| _ = actor.take(1))
        .preemptions(2)
        .explore(&["t||+", "w||-|+"]);
}

/// A waiter that leaves fewer tokens comes before one that was in time without it.
#[test]
fn deadline_against_a_higher_class() {
    Model::waited_on(quota(3))
        .setup(|actor| {
            emptied::<_, 3>(actor);
            actor.enter_and_park(ONE.leaving(1).until(6 * T));
        })
        .thread(NOW, |actor| actor.enter_and_park(TWO))
        .thread(NO_CLOCK, |actor| actor.fire())
        .thread(Readings::Calls(&[6 * T]), |actor| _ = actor.take(1))
        .preemptions(2)
        .explore(&["w||+|++", "w||+|t+", "w||-|++", "w||-|t+"]);
}

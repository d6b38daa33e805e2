//! Who would not be served in time is refused, as soon as it is known.

use brimful_loom_tests::{Hand, Model, T, quota};

use super::{BLIND, LATER, NOW, ONE, TWO, emptied, one_waits};

/// A late charge makes it hopeless, or comes after the grant.
#[test]
fn debt_against_a_grant() {
    Model::waited_on(quota(2))
        .setup(|actor| assert!(actor.take_at(4 * T, 1)))
        .thread(NOW, |actor| {
            let reservation = actor.reserve(1).expect("nobody else takes it");
            actor.enter_and_park(ONE.until(5 * T));
            actor.commit(reservation, 2);
        })
        .thread(BLIND, |actor| actor.fire())
        .explore(&["+wd0||+", "+wd0||t"]);
}

/// The same with another behind it who can wait.
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

/// It makes who is behind the first hopeless, who is told at once.
#[test]
fn debt_against_the_second() {
    Model::waited_on(quota(2))
        .setup(|actor| assert!(actor.take_at(4 * T, 1)))
        .thread(NOW, |actor| {
            let reservation = actor.reserve(1).expect("nobody else takes it");
            actor.enter_and_park(ONE);
            actor.enter_and_park(ONE.until(6 * T));
            actor.commit(reservation, 2);
        })
        .thread(BLIND, |actor| actor.fire())
        .explore(&["+wwd0||+t", "+wwd0||t+"]);
}

/// In time if the first comes to nothing, else not.
#[test]
fn deadline_behind_one_who_leaves() {
    Model::waited_on(quota(1))
        .setup(one_waits::<_, 1>)
        .thread(NOW, |actor| actor.leave(actor.claim(0)))
        .thread(NOW, |actor| actor.enter_and_park(ONE.until(5 * T)))
        .explore(&["l|t", "l|w|+"]);
}

/// Its deadline is when it is due. The timer fires then, and it is served, if nobody was before it.
#[test]
fn deadline_against_its_grant() {
    Model::waited_on(quota(1))
        .setup(emptied::<_, 1>)
        .thread(NOW, |actor| actor.enter_and_park(ONE.until(5 * T)))
        .thread(BLIND, |actor| actor.fire())
        .thread(LATER, |actor| _ = actor.take(1))
        .preemptions(2)
        .explore(&["t||+", "w||-|+"]);
}

/// Whoever is to leave less comes before one who is in time without them.
#[test]
fn deadline_against_a_higher_class() {
    Model::waited_on(quota(3))
        .setup(|actor| {
            emptied::<_, 3>(actor);
            actor.enter_and_park(ONE.leaving(1).until(6 * T));
        })
        .thread(NOW, |actor| actor.enter_and_park(TWO))
        .thread(BLIND, |actor| actor.fire())
        .thread(Hand::Calls(&[6 * T]), |actor| _ = actor.take(1))
        .preemptions(2)
        .explore(&["w||+|++", "w||+|t+", "w||-|++", "w||-|t+"]);
}

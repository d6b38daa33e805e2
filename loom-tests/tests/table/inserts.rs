//! New keys that arrive at the same time.

use brimful::OnFull::Deny;
use brimful_loom_tests::{Key, Model, Readings, T, key, quota};

const A: Key = key(1, 0, 0);
const B: Key = key(2, 0, 0);
const OLD: Key = key(9, 0, 0);

const NOW: Readings = Readings::Calls(&[4 * T, 4 * T]);

/// Both calls find the key in no slot, and one of them inserts it.
#[test]
fn two_inserts_of_one_key() {
    Model::table(quota(1), 3, Deny)
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .explore(&["+|-", "-|+"]);
}

/// The first call takes over the slot of an old tenant, and leaves a vacant slot for a second one.
#[test]
fn two_inserts_beside_an_old_tenant() {
    Model::table_that_forgets(quota(1), 3, Deny, 0)
        .forgettable(&[OLD])
        .setup(|actor| assert!(actor.on(OLD).take_at(T, 1)))
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .explore(&["+|-", "-|+"]);
}

/// Hits arrive while the key is inserted into a slot that was never used.
#[test]
fn hits_on_a_newcomer() {
    Model::table(quota(2), 3, Deny)
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .thread(NOW, |actor| {
            actor.on(A).take(1);
            actor.on(A).take(1);
        })
        .preemptions(3)
        .explore(&["+|+-", "-|++"]);
}

/// The change count shows one call that the other has inserted the key. A third key arrives before
/// that, so the count does not start at its first value.
#[test]
fn inserts_that_skip_the_second_look() {
    Model::table(quota(2), 3, Deny)
        .thread(NOW, |actor| {
            actor.on(B).take(1);
            actor.on(A).take(2);
        })
        .thread(NOW, |actor| _ = actor.on(A).take(2))
        .preemptions(3)
        .explore(&["++|-", "+-|+"]);
}

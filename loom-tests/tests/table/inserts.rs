//! Keys that come at once.

use brimful::OnFull::Deny;
use brimful_loom_tests::{Hand, Key, Model, T, key, quota};

const A: Key = key(1, 0, 0);
const B: Key = key(2, 0, 0);
const OLD: Key = key(9, 0, 0);

const NOW: Hand = Hand::Calls(&[4 * T, 4 * T]);

/// Both find it nowhere, and one brings it in.
#[test]
fn two_inserts_of_one_key() {
    Model::table(quota(1), 3, Deny)
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .explore(&["+|-", "-|+"]);
}

/// The first takes an old tenant's slot over, and leaves a vacant one for a second.
#[test]
fn two_inserts_beside_an_old_tenant() {
    Model::table_that_forgets(quota(1), 3, Deny, 0)
        .forgettable(&[OLD])
        .setup(|actor| assert!(actor.on(OLD).take_at(T, 1)))
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .explore(&["+|-", "-|+"]);
}

/// Hits come while the key is brought in, to a slot that was never used.
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

/// The count of changes tells one of them that the other has brought the key in. A third key comes
/// before that, so that the count is not the first one.
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

//! The table has as many keys as it may have.

use brimful::OnFull::{Deny, EvictLeastDebt};
use brimful_loom_tests::{Actor, Key, Model, Readings, T, Table, key, quota};

const A: Key = key(1, 0, 0);
const B: Key = key(2, 0, 0);

const NOW: Readings = Readings::Calls(&[4 * T, 4 * T]);

/// An evicted key comes back to at most what it had left.
#[test]
fn eviction_and_return() {
    Model::table(quota(3), 1, EvictLeastDebt)
        .forgettable(&[A, B])
        .setup(|actor| assert!(actor.on(A).take_at(4 * T, 1)))
        .thread(NOW, |actor| _ = actor.on(B).take(1))
        .thread(NOW, |actor| {
            actor.on(A).take(2);
            actor.on(A).take(1);
        })
        .preemptions(2)
        .explore(&["+|+-", "f|+-"]);
}

/// A charge on the evicted key is not lost.
#[test]
fn eviction_against_a_hit() {
    Model::table(quota(3), 1, EvictLeastDebt)
        .forgettable(&[A, B])
        .setup(|actor| assert!(actor.on(A).take_at(4 * T, 1)))
        .thread(NOW, |actor| _ = actor.on(B).take(1))
        .thread(NOW, |actor| _ = actor.on(A).take(2))
        .preemptions(3)
        .explore(&["+|+", "f|+"]);
}

#[test]
fn two_inserts_for_the_last_place() {
    Model::table(quota(2), 1, Deny)
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .thread(NOW, |actor| _ = actor.on(B).take(1))
        .explore(&["+|f", "f|+"]);
}

/// The newcomer looks for full buckets outside of its own lines. If the hit comes back before the
/// newcomer, it is refused as an unknown key, because it would start with the balance that was
/// removed.
#[test]
fn room_is_made_against_a_hit() {
    const ELSEWHERE: Key = key(3, 2, 2);
    Model::table(quota(2), 2, Deny)
        .forgettable(&[ELSEWHERE, B])
        .setup(|actor| {
            assert!(actor.on(ELSEWHERE).take_at(2 * T, 2));
            assert!(actor.on(A).take_at(3 * T, 2));
        })
        .thread(NOW, |actor| _ = actor.on(B).take(1))
        .thread(NOW, |actor| _ = actor.on(ELSEWHERE).take(1))
        .explore(&["+|f", "f|+"]);
}

/// Of seven places in two stripes, six are in use. Groups 0, 2, 4 and 6 are the first stripe, and
/// all eight groups exist.
fn six_of_seven(actor: &Actor<Table>) {
    for name in 1..=3 {
        let (first, second) = (4 * u64::from(name), 4 * u64::from(name) + 2);
        assert!(actor.on(key(name, first, first)).take_at(4 * T, 1));
        assert!(actor.on(key(name, second, second)).take_at(4 * T, 1));
    }
}

/// The seventh key makes the groups double, and is removed.
fn one_comes_and_goes(actor: &Actor<Table>) {
    let seventh = actor.on(key(4, 0, 0));
    assert!(seventh.take_at(4 * T, 1));
    seventh.remove();
}

#[test]
fn last_place_of_two_stripes() {
    Model::table(quota(2), 7, Deny)
        .setup(|actor| {
            six_of_seven(actor);
            one_comes_and_goes(actor);
        })
        .thread(NOW, |actor| _ = actor.on(key(8, 0, 0)).take(1))
        .thread(NOW, |actor| _ = actor.on(key(8, 2, 2)).take(1))
        .preemptions(2)
        .explore(&["+|f", "f|+"]);
}

/// Room for the newcomer is made in the other stripe, under the lock of that stripe.
#[test]
fn room_is_made_in_the_other_stripe() {
    const FULL: Key = key(9, 2, 2);
    Model::table(quota(2), 7, Deny)
        .forgettable(&[FULL])
        .setup(|actor| {
            assert!(actor.on(FULL).take_at(T, 1));
            six_of_seven(actor);
        })
        .thread(NOW, |actor| _ = actor.on(key(8, 0, 0)).take(1))
        .thread(NOW, |actor| _ = actor.on(FULL).take(1))
        .preemptions(2)
        .explore(&["+|f", "f|+"]);
}

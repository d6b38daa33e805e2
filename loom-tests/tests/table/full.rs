//! The table has all the keys that it may have.

use brimful::OnFull::{Deny, EvictLeastDebt};
use brimful_loom_tests::{Actor, Hand, Key, Model, T, Table, key, key_of_second_shard, quota};

const A: Key = key(1, 0, 0);
const B: Key = key(2, 0, 0);

const NOW: Hand = Hand::Calls(&[4 * T, 4 * T]);

/// Who was evicted comes back to what it had left, or less.
#[test]
fn eviction_and_return() {
    Model::table(quota(3), 1, EvictLeastDebt)
        .forgettable(&[A, B])
        .setup(|actor| assert!(actor.on(A).take_at(4 * T, 1)))
        .thread(NOW, |actor| _ = actor.on(B).take(1))
        .thread(NOW, |actor| {
            actor.on(A).take(1);
            actor.on(A).take(1);
        })
        .preemptions(3)
        .explore(&["+|+-", "+|+f", "f|++"]);
}

/// A charge on the victim is not lost with it.
#[test]
fn eviction_against_a_hit() {
    Model::table(quota(3), 1, EvictLeastDebt)
        .forgettable(&[A, B])
        .setup(|actor| assert!(actor.on(A).take_at(4 * T, 1)))
        .thread(NOW, |actor| _ = actor.on(B).take(1))
        .thread(NOW, |actor| _ = actor.on(A).take(2))
        .explore(&["+|f", "f|+"]);
}

#[test]
fn two_inserts_for_the_last_place() {
    Model::table(quota(2), 1, Deny)
        .thread(NOW, |actor| _ = actor.on(A).take(1))
        .thread(NOW, |actor| _ = actor.on(B).take(1))
        .explore(&["+|f", "f|+"]);
}

/// The newcomer looks for full buckets elsewhere than in its own homes. Where the hit comes back
/// before it, it is refused, and unknown: it would start with what was forgotten.
#[test]
fn room_is_made_against_a_hit() {
    const ELSEWHERE: Key = key(3, 1, 1);
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

/// Of eight places in two shards, seven are taken for long.
fn seven_of_eight(actor: &Actor<Table>) {
    for name in 1..=3 {
        let home = u64::from(name);
        assert!(actor.on(key(name, home, home)).take_at(4 * T, 1));
        assert!(actor.on(key_of_second_shard(name, home, home)).take_at(4 * T, 1));
    }
    assert!(actor.on(key_of_second_shard(4, 0, 0)).take_at(4 * T, 1));
}

#[test]
fn last_place_of_two_shards() {
    Model::table(quota(2), 8, Deny)
        .setup(seven_of_eight)
        .thread(NOW, |actor| _ = actor.on(key(8, 0, 0)).take(1))
        .thread(NOW, |actor| _ = actor.on(key_of_second_shard(8, 1, 1)).take(1))
        .explore(&["+|f", "f|+"]);
}

/// The newcomer's place is made in the other shard, under that one's lock.
#[test]
fn room_is_made_in_the_other_shard() {
    const FULL: Key = key_of_second_shard(9, 1, 1);
    Model::table(quota(2), 8, Deny)
        .forgettable(&[FULL])
        .setup(|actor| {
            assert!(actor.on(FULL).take_at(T, 1));
            seven_of_eight(actor);
        })
        .thread(NOW, |actor| _ = actor.on(key(8, 0, 0)).take(1))
        .thread(NOW, |actor| _ = actor.on(FULL).take(1))
        .explore(&["+|f", "f|+"]);
}

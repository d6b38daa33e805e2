//! Denials of keys, of which two have a place.

use brimful_loom_tests::{Key, StatsActor, StatsModel, key};

const ONE: Key = key(1, 0, 4);
const OTHER: Key = key(2, 1, 5);
const THIRD: Key = key(3, 2, 6);

/// The keys are known, and have no tokens.
fn known(actor: &StatsActor) {
    [ONE, OTHER, THIRD].into_iter().for_each(|key| actor.know(key));
}

/// The third has no place. The place of the first is the next one to be given away.
fn two_have_places(actor: &StatsActor) {
    known(actor);
    actor.call_key(ONE);
    actor.call_key(OTHER);
}

/// Two threads find no place for the same key. It gets one, not two.
#[test]
fn one_key_comes_twice() {
    StatsModel::keys()
        .setup(known)
        .thread(|actor| actor.call_key(ONE))
        .thread(|actor| actor.call_key(ONE))
        .explore(&["d|d"]);
}

/// A key is denied while its place is given away.
#[test]
fn a_key_whose_place_is_given_away() {
    StatsModel::keys()
        .setup(two_have_places)
        .thread(|actor| actor.call_key(ONE))
        .thread(|actor| actor.call_key(THIRD))
        .explore(&["d|d"]);
}

/// The same, and the key comes back and gets a place again.
#[test]
fn a_key_that_comes_back() {
    StatsModel::keys()
        .setup(two_have_places)
        .thread(|actor| actor.call_key(ONE))
        .thread(|actor| {
            actor.call_key(THIRD);
            actor.call_key(ONE);
        })
        .preemptions(3)
        .explore(&["d|dd"]);
}

/// The place is given away for the second time, to a key that had it before.
#[test]
fn two_keys_without_places() {
    StatsModel::keys()
        .setup(two_have_places)
        .thread(|actor| actor.call_key(ONE))
        .thread(|actor| actor.call_key(THIRD))
        .thread(|actor| actor.call_key(OTHER))
        .preemptions(2)
        .explore(&["d|d|d"]);
}

/// The counts begin anew while a key is denied: a denial is in the counts before, or in those after.
#[test]
fn a_key_against_a_read() {
    StatsModel::keys()
        .setup(two_have_places)
        .thread(|actor| actor.call_key(ONE))
        .thread(|actor| actor.take_keys())
        .explore(&["d|"]);
}

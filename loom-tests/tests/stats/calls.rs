//! Threads count calls while others read them and begin anew.

use brimful_loom_tests::StatsModel;

/// One thread owns the place, unless the other has ended; then it may own the same one, and continues from there.
#[test]
fn two_threads_count() {
    StatsModel::calls().thread(|actor| actor.call()).thread(|actor| actor.call()).explore(&["d|d"]);
}

/// Two of the threads share a place.
#[test]
fn three_threads_count() {
    StatsModel::calls()
        .thread(|actor| actor.call())
        .thread(|actor| actor.call())
        .thread(|actor| actor.call())
        .preemptions(3)
        .explore(&["d|d|d"]);
}

/// A read takes what was counted before it, and leaves the rest to the next one.
#[test]
fn a_read_against_a_counter() {
    StatsModel::calls()
        .thread(|actor| {
            actor.call();
            actor.call();
        })
        .thread(|actor| {
            actor.take();
            actor.take();
        })
        .explore(&["dd|00", "dd|01", "dd|02", "dd|10", "dd|11", "dd|20"]);
}

/// Two readers share the calls.
#[test]
fn two_reads_against_a_counter() {
    StatsModel::calls()
        .thread(|actor| actor.call())
        .thread(|actor| actor.take())
        .thread(|actor| actor.take())
        .explore(&["d|0|0", "d|0|1", "d|1|0"]);
}

/// A read while the place goes from one thread to the next.
#[test]
fn a_read_against_two_counters() {
    StatsModel::calls()
        .thread(|actor| actor.call())
        .thread(|actor| actor.call())
        .thread(|actor| actor.take())
        .preemptions(3)
        .explore(&["d|d|0", "d|d|1", "d|d|2"]);
}

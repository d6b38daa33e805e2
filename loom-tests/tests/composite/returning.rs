//! Tokens are given back while callers join the queue.

use brimful_loom_tests::CompositeModel;
use loom::sync::atomic::Ordering;

/// The caller finds the tokens that are added, or is granted them.
#[test]
fn added_against_an_arrival() {
    CompositeModel::new(&[2, 3], 2)
        .thread(|actor| actor.add(1))
        .thread(|actor| actor.enter(1))
        .preemptions(2)
        .explore(&["a|+", "a|w|+"]);
}

/// The same, for a thread that blocks.
#[test]
fn added_against_a_thread_that_blocks() {
    CompositeModel::new(&[2, 3], 2)
        .thread(|actor| {
            actor.mailbox.store(1, Ordering::Relaxed);
            actor.add(1);
        })
        .thread(|actor| {
            actor.block(1);
            assert_eq!(actor.mailbox.load(Ordering::Relaxed), 1);
        })
        .preemptions(2)
        .explore(&["a|+"]);
}

/// A reservation takes the last token, and is dropped.
#[test]
fn reserved_and_dropped_against_an_arrival() {
    CompositeModel::new(&[2, 2], 1)
        .thread(|actor| _ = actor.reserve_and_drop(1))
        .thread(|actor| actor.enter(1))
        .preemptions(2)
        .explore(&["+g|+", "+g|w|+", "-|+"]);
}

/// A reservation takes both tokens, and is settled for one.
#[test]
fn committed_for_less_against_an_arrival() {
    CompositeModel::new(&[3, 3], 1)
        .thread(|actor| _ = actor.reserve_and_commit(2, 1))
        .thread(|actor| actor.enter(1))
        .preemptions(2)
        .explore(&["+g|+", "+g|w|+", "-|+"]);
}

/// A reservation is settled for more than it took: the waiter comes later, or is too late.
#[test]
fn committed_for_more_against_a_deadline() {
    CompositeModel::new(&[3, 3], 1)
        .thread(|actor| _ = actor.reserve_and_commit(2, 3))
        .thread(|actor| actor.enter_within(1, brimful_loom_tests::T))
        .preemptions(2)
        .explore(&["+g|t", "+g|w|t", "-|+"]);
}

/// The same behind a waiter without a deadline. The second waiter is too late then, and fails at once.
#[test]
fn committed_for_more_against_a_deadline_behind_a_waiter() {
    CompositeModel::new(&[4, 4], 1)
        .thread(|actor| _ = actor.reserve_and_commit(2, 3))
        .thread(|actor| {
            actor.enter(2);
            actor.enter_within(1, 2 * brimful_loom_tests::T + brimful_loom_tests::T / 2);
        })
        .preemptions(2)
        .explore(&["+g|wt|+", "+g|ww|t+", "-|++"]);
}

/// Two callers join while one token is added: one of them is granted it, and the other one's turn comes.
#[test]
fn added_against_two_arrivals() {
    CompositeModel::new(&[2, 2], 2)
        .thread(|actor| actor.add(1))
        .thread(|actor| actor.enter(1))
        .thread(|actor| actor.enter(1))
        .preemptions(1)
        .explore(&["a|+|w|+", "a|w|+|+", "a|w|w|++"]);
}

/// A caller joins behind a waiter while a token is added for it.
#[test]
fn added_against_a_second_arrival() {
    CompositeModel::new(&[2, 2], 2)
        .setup(|actor| actor.enter(1))
        .thread(|actor| actor.add(1))
        .thread(|actor| actor.enter(1))
        .explore(&["a|w|++"]);
}

/// The timer fires while a token is added: the first waiter is granted once, and the second in its turn.
#[test]
fn added_against_a_grant() {
    CompositeModel::new(&[3, 4], 3)
        .setup(|actor| {
            actor.enter(1);
            actor.enter(1);
        })
        .thread(|actor| actor.add(1))
        .thread(|actor| actor.fire())
        .preemptions(2)
        .explore(&["a||++"]);
}

/// The timer fires while a caller joins.
#[test]
fn an_arrival_against_a_grant() {
    CompositeModel::new(&[3, 3], 3)
        .setup(|actor| actor.enter(1))
        .thread(|actor| actor.enter(1))
        .thread(|actor| actor.fire())
        .explore(&["w||++"]);
}

//! A slot or tokens come back while a caller joins the queue or waits: it is never forgotten.

use brimful::model::ModelQuota;
use brimful_loom_tests::LlmModel;

use crate::{ONE_SLOT, one_waits, taken};

/// The caller finds the slot, or is woken for it.
#[test]
fn a_slot_against_an_arrival() {
    LlmModel::new(ONE_SLOT)
        .setup(taken)
        .thread(|actor| actor.end(actor.kept(0)))
        .thread(|actor| actor.enter(1))
        .explore(&["g|+", "g|w|+"]);
}

/// The waiter gets the slot, and no call that comes after it.
#[test]
fn a_slot_for_a_waiter_against_a_taker() {
    LlmModel::new(ONE_SLOT)
        .setup(one_waits)
        .thread(|actor| actor.end(actor.kept(0)))
        .thread(|actor| drop(actor.take(1)))
        .explore(&["g|-|+"]);
}

/// Two slots come back, and both waiters are served.
#[test]
fn two_slots_for_two_waiters() {
    LlmModel::new(ModelQuota::new().tpm(4).max_parallel_requests(2))
        .setup(|actor| {
            taken(actor);
            taken(actor);
            actor.enter(1);
            actor.enter(1);
        })
        .thread(|actor| actor.end(actor.kept(0)))
        .thread(|actor| actor.end(actor.kept(1)))
        .explore(&["g|g|++"]);
}

/// A commit of less gives tokens back while a caller joins.
#[test]
fn tokens_against_an_arrival() {
    LlmModel::new(ModelQuota::new().tpm(2))
        .setup(|actor| actor.keep(actor.take(2)))
        .thread(|actor| actor.commit(actor.kept(0), 1))
        .thread(|actor| actor.enter(1))
        .preemptions(3)
        .explore(&["c|+", "c|w|+"]);
}

/// So does a stream, which stays in flight.
#[test]
fn tokens_of_a_stream_against_an_arrival() {
    LlmModel::new(ModelQuota::new().tpm(2))
        .setup(|actor| actor.keep(actor.take(2)))
        .thread(|actor| actor.stream(actor.kept(0), 1))
        .thread(|actor| actor.enter(1))
        .preemptions(3)
        .explore(&["k|+", "k|w|+"]);
}

/// A call that is refused for its tokens has the only slot for a moment, while a caller joins.
#[test]
fn a_slot_of_a_moment_against_an_arrival() {
    LlmModel::new(ONE_SLOT)
        .setup(|actor| actor.end(actor.take(1).expect("it is admitted")))
        .thread(|actor| drop(actor.take(2)))
        .thread(|actor| actor.enter(1))
        .preemptions(3)
        .explore(&["-|+", "-|w|+"]);
}

/// Two takers of the last slot: one gets it.
#[test]
fn two_takers_of_the_last_slot() {
    LlmModel::new(ONE_SLOT)
        .thread(|actor| actor.keep(actor.take(1)))
        .thread(|actor| actor.keep(actor.take(1)))
        .explore(&["+|-", "-|+"]);
}

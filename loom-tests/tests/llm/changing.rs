//! The quota changes, or the model is removed, while calls are made, end and wait. A change replaces the buckets.

use brimful::model::ModelQuota;
use brimful_loom_tests::{LlmActor, LlmModel};

use crate::{ONE_SLOT, one_waits, taken};

/// Twice as many tokens, and one slot more.
fn more(actor: &LlmActor) {
    actor.set(ModelQuota::new().tpm(4).max_parallel_requests(2));
}

/// A caller that finds no slot joins while one is added.
#[test]
fn a_slot_more_against_an_arrival() {
    LlmModel::new(ONE_SLOT).setup(taken).thread(more).thread(|actor| actor.enter(1)).explore(&["s|+", "s|w|+"]);
}

/// A call is charged to the old bucket or to the new one, and not to none.
#[test]
fn replaced_against_a_taker() {
    LlmModel::new(ModelQuota::new().tpm(2))
        .thread(|actor| actor.set(ModelQuota::new().tpm(4)))
        .thread(|actor| drop(actor.take(1)))
        .explore(&["s|+"]);
}

/// Tokens that are given back are not lost.
#[test]
fn replaced_against_a_commit_of_less() {
    LlmModel::new(ModelQuota::new().tpm(2))
        .setup(|actor| actor.keep(actor.take(2)))
        .thread(|actor| actor.set(ModelQuota::new().tpm(4)))
        .thread(|actor| actor.commit(actor.kept(0), 1))
        .explore(&["s|c"]);
}

/// The waiter is served from the old bucket or from the new one.
#[test]
fn replaced_against_a_grant() {
    LlmModel::new(ONE_SLOT)
        .setup(one_waits)
        .thread(|actor| actor.set(ModelQuota::new().tpm(4).max_parallel_requests(1)))
        .thread(|actor| actor.end(actor.kept(0)))
        .explore(&["s|g|+"]);
}

/// A wait that may be granted is cancelled.
#[test]
fn replaced_against_a_wait_that_is_cancelled() {
    LlmModel::new(ONE_SLOT).setup(one_waits).thread(more).thread(|actor| actor.leave(actor.claim(0))).explore(&["s|l"]);
}

/// A wait for more than the new burst is granted before, or fails.
#[test]
fn lowered_against_a_grant() {
    LlmModel::new(ModelQuota::new().tpm(2).max_parallel_requests(1))
        .setup(|actor| {
            actor.keep(actor.take(0));
            actor.enter(2);
        })
        .thread(|actor| actor.set(ModelQuota::new().tpm(1).max_parallel_requests(1)))
        .thread(|actor| actor.end(actor.kept(0)))
        .explore(&["s|g|+", "s|g|b"]);
}

/// The waiter is granted before the model is removed, or fails; so does a caller that joins.
#[test]
fn removed_against_a_grant_and_an_arrival() {
    LlmModel::new(ONE_SLOT)
        .setup(one_waits)
        .thread(|actor| actor.remove())
        .thread(|actor| actor.end(actor.kept(0)))
        .explore(&["x|g|+", "x|g|n"]);
    LlmModel::new(ONE_SLOT)
        .setup(taken)
        .thread(|actor| actor.remove())
        .thread(|actor| actor.enter(1))
        .explore(&["x|n", "x|w|n"]);
}

/// The quota that is set for the model counts, and not the default, which is set when the model is not listed, or after it
/// is.
#[test]
fn set_against_a_default() {
    LlmModel::new(ModelQuota::new().tpm(2))
        .unlisted()
        .thread(|actor| actor.set(ModelQuota::new().tpm(4)))
        .thread(|actor| actor.set_default(ModelQuota::new().tpm(3)))
        .at_end(|actor, _| assert_eq!(actor.quota(), ModelQuota::new().tpm(4)))
        .explore(&["s|d"]);
}

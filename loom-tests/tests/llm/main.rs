//! Models of the limits of an LLM, one for each hazard. Empty without `--cfg brimful_loom`.
//!
//! A call takes a slot and tokens. The clock advances at every reading. After the threads have ended, no waiter may sleep
//! while a slot and its tokens are there; each waiter is woken once, and ends; every slot is free; and the tokens that
//! are left are those that were not charged.
//!
//! An outcome has the calls of each thread in order, and a bar between threads. The waits that were still pending at the
//! end are in a last column:
//!
//! | letter | the call |
//! |---|---|
//! | `+` | admitted |
//! | `-` | refused |
//! | `g` | ended a call, which keeps its charge |
//! | `c` | committed a call, and ended it |
//! | `k` | committed a call, and kept it in flight |
//! | `w` | joined the queue |
//! | `.` | was polled, and still waits |
//! | `l` | cancelled its wait |
//! | `b` | failed: the estimate is above a burst |
//! | `n` | failed: the model was removed |
//! | `s` | changed the quota |
//! | `d` | changed the quota of models that are not listed |
//! | `h` | took over how many tokens the server has left |
//! | `r` | took over that the server refused a call |
//! | `x` | removed the model |
#![cfg(brimful_loom)]

mod changing;
mod correcting;
mod forgetting;
mod leaving;
mod refusals;
mod returning;

use brimful::model::ModelQuota;
use brimful_loom_tests::LlmActor;

/// Two tokens, and one slot.
const ONE_SLOT: ModelQuota = ModelQuota::new().tpm(2).max_parallel_requests(1);

/// The only slot is taken, by a call of one token.
fn taken(actor: &LlmActor) {
    actor.keep(actor.take(1));
}

/// The only slot is taken, and a caller waits for it.
fn one_waits(actor: &LlmActor) {
    taken(actor);
    actor.enter(1);
}

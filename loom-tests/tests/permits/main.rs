//! Models of concurrency limits, one for each hazard. Empty without `--cfg brimful_loom`.
//!
//! Each model runs on a limit and on a key of a keyed limit. After the threads have ended, no permit may be free
//! while a caller waits, each waiter that is woken was woken once and ends, no waiter is left, and exactly `limit`
//! permits can be taken. At no time may more permits be owned than the highest limit so far.
//!
//! An outcome has the calls of each thread in order, and a bar between threads. The waits that were still pending
//! at the end are in a last column:
//!
//! | letter | the call |
//! |---|---|
//! | `+` | granted |
//! | `-` | refused: no permit is free |
//! | `g` | gave a permit back |
//! | `w` | joined the queue |
//! | `.` | was polled, and still waits |
//! | `l` | cancelled its wait |
//! | `t` | failed: the deadline has passed |
//! | `e` | failed: the limit is closed |
//! | `r` | changed the limit |
//! | `z` | closed the limit |
#![cfg(brimful_loom)]

mod closing;
mod deadlines;
mod leaving;
mod resizing;
mod returning;
mod taking;

use brimful_loom_tests::PermitActor;

/// The only permit is out.
fn taken(actor: &PermitActor) {
    actor.keep(actor.take().expect("a permit is free"));
}

/// Both permits are out.
fn both_taken(actor: &PermitActor) {
    taken(actor);
    taken(actor);
}

/// The only permit is out, and a caller waits.
fn one_waits(actor: &PermitActor) {
    taken(actor);
    actor.enter();
}

/// The only permit is out, and two callers wait.
fn two_wait(actor: &PermitActor) {
    one_waits(actor);
    actor.enter();
}

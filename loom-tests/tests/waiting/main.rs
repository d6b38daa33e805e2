//! Models of a bucket's queue, one for each hazard. Empty without `--cfg brimful_loom`.
//!
//! The time is 4 T when the threads start. A timer that fires moves the time to the instant for
//! which it was armed. At the end, timers fire until no parked wait is left. A wait that ends there
//! was woken once, and a wait that only the timer served was served at the exact nanosecond.
//!
//! An outcome has the calls of each thread in order, and a bar between threads. The waits that were
//! still parked at the end are in a last column:
//!
//! | letter | the call |
//! |---|---|
//! | `+` | granted |
//! | `-` | denied |
//! | `g` | gave tokens back |
//! | `aN` | added N tokens: the number that fitted |
//! | `dN` | charged a late cost, and left N tokens of it uncharged |
//! | `r` | reset |
//! | `w` | joined the queue |
//! | `.` | was polled, and still waits |
//! | `l` | cancelled its wait |
//! | `b` | cancelled its wait after the grant, so the tokens were given back (not shown for keys) |
//! | `q` | refused: the queue is full (also a blocked thread that was displaced) |
//! | `p` | failed: displaced by a caller that leaves less |
//! | `e` | failed or refused: the limiter is closed |
//! | `t` | failed: too late for its deadline |
//! | `T` | the same, found by the timer alone |
//! | `n` | failed: the key was removed |
//! | `f` | refused: the table is full |
//! | `x` | removed the key |
//! | `o` | found no key to remove |
//! | `c` | removed all keys (`clear`) |
//! | `z` | closed the limiter (`close`) |
#![cfg(brimful_loom)]

mod arrival;
mod classes;
mod closed;
mod deadlines;
mod displaced;
mod faults;
mod held;
mod keyed;
mod keyed_removal;
mod leaving;
mod lending;
mod refunds;
mod threads;

use brimful_loom_tests::{Actor, Readings, Subject, T, WaitRequest, Waitable};

/// Every call reads 4 T.
const NOW: Readings = Readings::Calls(&[4 * T; 4]);

/// Every call reads 5 T: one token later.
const LATER: Readings = Readings::Calls(&[5 * T; 4]);

/// Every call reads 6 T: two tokens later.
const LATEST: Readings = Readings::Calls(&[6 * T; 4]);

/// No call reads the clock.
const NO_CLOCK: Readings = Readings::Calls(&[]);

const ONE: WaitRequest = WaitRequest::of(1);
const TWO: WaitRequest = WaitRequest::of(2);

/// A full burst was taken, so the bucket is empty.
fn emptied<L: Subject, const BURST: u32>(actor: &Actor<L>) {
    assert!(actor.take_at(4 * T, BURST));
}

/// The same, and a caller waits for one token.
fn one_waits<L: Waitable, const BURST: u32>(actor: &Actor<L>) {
    emptied::<L, BURST>(actor);
    actor.enter_and_park(ONE);
}

/// The same, and a second caller waits for one token.
fn two_wait<L: Waitable, const BURST: u32>(actor: &Actor<L>) {
    one_waits::<L, BURST>(actor);
    actor.enter_and_park(ONE);
}

/// The bucket is empty, a caller waits for two tokens, and another behind it for one.
fn two_before_one<L: Waitable>(actor: &Actor<L>) {
    emptied::<L, 2>(actor);
    actor.enter_and_park(TWO);
    actor.enter_and_park(ONE);
}

/// A waiter was granted one token, and has not been polled since.
fn one_granted<L: Waitable, const BURST: u32>(actor: &Actor<L>) {
    one_waits::<L, BURST>(actor);
    actor.fire();
}

/// Whether the models with a preemption bound are to run with a wider one.
fn long() -> bool {
    std::env::var_os("BRIMFUL_LOOM_LONG").is_some()
}

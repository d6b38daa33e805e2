//! One model per hazard of the queue of those who wait. Nothing without `--cfg brimful_loom`.
//!
//! It is 4 T when the threads start. A timer that fires makes it the time for which it was armed.
//! What is parked is left to the end, when timers fire until nobody waits: who is served there, in
//! the outcome's last column, was woken, and served to the nanosecond.
#![cfg(brimful_loom)]

mod arrival;
mod classes;
mod deadlines;
mod faults;
mod keyed;
mod keyed_removal;
mod leaving;
mod lending;
mod refunds;
mod threads;

use brimful_loom_tests::{Actor, Ask, Hand, Subject, T, Waited};

/// Reads 4 T, whatever it calls.
const NOW: Hand = Hand::Calls(&[4 * T; 4]);

/// Reads a token later.
const LATER: Hand = Hand::Calls(&[5 * T; 4]);

/// Two tokens later.
const LATEST: Hand = Hand::Calls(&[6 * T; 4]);

/// Calls nothing that reads the clock.
const BLIND: Hand = Hand::Calls(&[]);

const ONE: Ask = Ask::of(1);
const TWO: Ask = Ask::of(2);

/// Nothing is left of a burst of so many.
fn emptied<L: Subject, const BURST: u32>(actor: &Actor<L>) {
    assert!(actor.take_at(4 * T, BURST));
}

/// The same, and somebody waits for one.
fn one_waits<L: Waited, const BURST: u32>(actor: &Actor<L>) {
    emptied::<L, BURST>(actor);
    actor.enter_and_park(ONE);
}

/// The same, and somebody else waits behind them.
fn two_wait<L: Waited, const BURST: u32>(actor: &Actor<L>) {
    one_waits::<L, BURST>(actor);
    actor.enter_and_park(ONE);
}

/// Somebody waits for two, and somebody behind them for one.
fn two_before_one<L: Waited>(actor: &Actor<L>) {
    emptied::<L, 2>(actor);
    actor.enter_and_park(TWO);
    actor.enter_and_park(ONE);
}

/// Somebody was granted one, and has not been told.
fn one_granted<L: Waited, const BURST: u32>(actor: &Actor<L>) {
    one_waits::<L, BURST>(actor);
    actor.fire();
}

/// Whether the models that are bounded for their time's sake are to be run with a wider bound.
fn long() -> bool {
    std::env::var_os("BRIMFUL_LOOM_LONG").is_some()
}

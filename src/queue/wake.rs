//! Runs wakers and other user code, which may panic.

use std::hash::{BuildHasher, RandomState};
use std::task::Waker;

use crate::sync::{ignore_panic, panicking};

/// Wakes the wakers in order.
pub(crate) fn wake(woken: Vec<Waker>) {
    for waker in woken {
        // A waker that panics must not keep the others from being woken, nor end a timer's thread.
        ignore_panic(|| waker.wake());
    }
}

/// Runs the work of a `drop`. A second panic while the thread panics would end the process, so it
/// is discarded.
pub(crate) fn in_drop(work: impl FnOnce()) {
    if panicking() {
        ignore_panic(work);
    } else {
        work();
    }
}

/// Returns a random number from 0 to `most`.
pub(super) fn random_up_to(most: u32) -> u32 {
    if most == 0 {
        return 0;
    }
    // Each of the standard library's hashers has a new key.
    let random = RandomState::new().hash_one(0);
    ((u128::from(random) * (u128::from(most) + 1)) >> 64) as u32
}

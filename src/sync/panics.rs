//! User code that may panic.

use std::panic::{AssertUnwindSafe, catch_unwind};
// Of the thread as it is: the models' threads do not panic.
use std::thread::panicking;

/// Runs user code and discards a panic.
pub(crate) fn ignore_panic(work: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        // The payload of the panic may panic too when it is dropped.
        std::mem::forget(panic);
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

//! Blocks a thread until it is woken.

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use crate::sync::{Condvar, Mutex, lock, wait_for};

/// A thread that sleeps until it is woken.
pub(crate) struct Parker {
    sleeper: Arc<Sleeper>,
    waker: Waker,
}

struct Sleeper {
    woken: Mutex<bool>,
    condvar: Condvar,
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *lock(&self.woken) = true;
        self.condvar.notify_one();
    }
}

impl Parker {
    pub(crate) fn new() -> Self {
        let sleeper = Arc::new(Sleeper { woken: Mutex::new(false), condvar: Condvar::new() });
        Parker { waker: Waker::from(sleeper.clone()), sleeper }
    }

    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Sleeps until woken, for `most` at the longest. Returns whether it was woken.
    pub(crate) fn sleep(&self, most: Duration) -> bool {
        wait_for(&self.sleeper.condvar, &self.sleeper.woken, most)
    }
}

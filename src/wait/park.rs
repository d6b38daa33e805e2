//! Waiting by a thread.

use std::sync::Arc;
use std::task::{Poll, Wake, Waker};

use crate::sync::{Condvar, Mutex, lock, wait_while};

/// A thread that sleeps until it is woken.
struct Parker {
    woken: Mutex<bool>,
    condvar: Condvar,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *lock(&self.woken) = true;
        self.condvar.notify_one();
    }
}

/// Polls, and sleeps until woken, until it is ready.
pub(crate) fn block_on<T>(mut poll: impl FnMut(&Waker) -> Poll<T>) -> T {
    let parker = Arc::new(Parker { woken: Mutex::new(false), condvar: Condvar::new() });
    let waker = Waker::from(parker.clone());
    loop {
        if let Poll::Ready(ready) = poll(&waker) {
            return ready;
        }
        let mut woken = wait_while(&parker.condvar, lock(&parker.woken), |woken| !*woken);
        *woken = false;
    }
}
